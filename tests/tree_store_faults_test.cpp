#include "trainer/tree_store.hpp"

#include "tests/file_limit.hpp"
#include "tests/other_process.hpp"
#include "tests/store_in_folder.hpp"

#include <atomic>
#include <memory>
#include <random>
#include <thread>

#include <unistd.h>

#include <catch2/catch.hpp>

namespace banyan {
namespace {

// ---- several users

TEST_CASE_METHOD(store_in_folder, "a second writer waits for the first one", "[trainer]") {
  tree_store second(file, {.busy_s = 60});
  store.begin();
  store.accept(request_of("a"), 1000);
  std::atomic<bool> begins = false;
  std::jthread other([&] {
    begins = true;
    begins.notify_one();
    accept_all(second, {"b"});
  });
  begins.wait(false);
  store.commit();
  other.join();
  CHECK(store.counts().unfinished == 2);
}

TEST_CASE_METHOD(store_in_folder, "a file that stays locked is typed trouble", "[trainer]") {
  tree_store second(file, {.busy_s = 0.01});
  store.begin();
  store.accept(request_of("a"), 1000);
  CHECK(trouble_with(file, [&] { second.begin(); }) == "locked");
  CHECK(second.counts().unfinished == 0); // reading goes on
  store.commit();
  accept_all(second, {"b"});
  CHECK(store.counts().unfinished == 2);
}

TEST_CASE_METHOD(store_in_folder, "who only reads cannot write", "[trainer]") {
  accept_all(store, {"a"});
  tree_store reader(file, {.read_only = true});
  CHECK(listed(reader) == ids{"a"});
  CHECK(trouble_with(file, [&] { accept_all(reader, {"b"}); }) == "io");
  accept_all(store, {"b"}, 2000);
  CHECK(listed(reader) == ids{"b", "a"});
}

TEST_CASE("processes that open a new file at once all write to it", "[trainer]") {
  const scratch_folder folder;
  for (int round = 0; round < 10; ++round) {
    const auto file = folder / ("trees" + std::to_string(round)).c_str();
    {
      std::vector<std::unique_ptr<process>> writers;
      for (int i = 0; i < 6; ++i)
        writers.push_back(std::make_unique<process>([&] {
          tree_store store(file, {.busy_s = 60});
          accept_all(store, {std::to_string(i)});
        }));
      for (auto& w : writers) REQUIRE(w->succeeds());
    }
    REQUIRE(tree_store(file).counts().unfinished == 6);
  }
}

TEST_CASE_METHOD(store_in_folder, "another process reads whole transactions while one writes",
                 "[trainer]") {
  constexpr int num_pairs = 200;
  process reader([&] {
    const tree_store theirs(file, {.read_only = true, .busy_s = 60});
    for (std::size_t seen = 0; seen < 2 * num_pairs;) {
      const auto trees = visited(theirs, {.limit = SIZE_MAX});
      const auto listed = theirs.list({.limit = SIZE_MAX});
      if (listed.size() % 2 != 0 || listed.size() < trees.size()) throw std::logic_error("half");
      if (trees.size() < seen) throw std::logic_error("gone");
      seen = trees.size();
    }
  });
  for (int i = 0; i < num_pairs; ++i)
    finish_all(store, {"a" + std::to_string(i), "b" + std::to_string(i)}, 1000 + i);
  CHECK(reader.succeeds());
}

// ---- trouble

constexpr int trees_per_commit = 3;

/// Writes transactions, from number `first` on, until it is killed; tells each after its commit.
void write_until_killed(const std::filesystem::path& file, int first, int tell) {
  tree_store store(file, {.sync = first % 2 == 0});
  for (int i = first;; ++i) {
    store.begin();
    for (int j = 0; j < trees_per_commit; ++j) {
      const auto id = std::to_string(i) + "." + std::to_string(j);
      store.accept(request_of(id), i);
      store.record(id, thread_of("/", 200));
      if (j != 0) store.finish(finished_tree_of(id, i, 200));
    }
    store.commit();
    if (::write(tell, &i, sizeof i) != sizeof i) return;
  }
}

/// One life of a writer: returns the last transaction that it told of.
int killed_writer(const std::filesystem::path& file, int first, std::mt19937& random) {
  int told[2];
  REQUIRE(::pipe(told) == 0);
  int last = first - 1;
  {
    process writer([&] { write_until_killed(file, first, told[1]); });
    ::close(told[1]);
    for (auto n = random() % 20; n > 0; --n)
      REQUIRE(::read(told[0], &last, sizeof last) == sizeof last);
    ::usleep(static_cast<useconds_t>(random() % 2000)); // anywhere between two commits
  }                                                     // killed here
  while (::read(told[0], &last, sizeof last) == sizeof last) {
  }
  ::close(told[0]);
  return last;
}

TEST_CASE("what was committed outlives the kill of its writer and nothing else does", "[trainer]") {
  const scratch_folder folder;
  const auto file = folder / "trees.db";
  std::mt19937 random(1);
  int next = 0, unknown = 0;
  for (int round = 0; round < 40; ++round) {
    const int told = killed_writer(file, next, random);
    const tree_store store(file);
    const auto counts = store.counts();
    const auto stored = static_cast<int>(counts.unfinished);
    REQUIRE(stored > told);
    REQUIRE(stored <= told + 2); // a commit whose word was on its way
    REQUIRE(counts.finished == counts.unfinished * (trees_per_commit - 1));
    unknown += stored == told + 2;
    next = stored;
  }
  CHECK(next > 100);
  const tree_store store(file);
  for (const auto& t : store.unfinished()) {
    REQUIRE(t.request.id.ends_with(".0"));
    REQUIRE(paths_of(t.threads) == ids{"/"});
  }
  store.for_each({.states = {tree_phase::done}, .limit = SIZE_MAX}, [](tree&& t) {
    const auto number = std::stoi(t.id);
    REQUIRE(encode_tree(t) == encode_tree(finished_tree_of(t.id, number, 200)));
    return true;
  });
  INFO("commits without a word: " << unknown);
}

std::uintmax_t largest_file(const scratch_folder& folder) {
  std::uintmax_t largest = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
    largest = std::max(largest, entry.file_size());
  return largest;
}

TEST_CASE_METHOD(store_in_folder, "a full disk is typed trouble and loses nothing", "[trainer]") {
  accept_all(store, {"first"});
  int written = 0;
  for (const int room : {0, 100, 5'000, 50'000, 500'000, 3'000'000}) {
    int lost = 0;
    {
      const file_limit limit(largest_file(folder) + static_cast<rlim_t>(room));
      const auto fill = [&] {
        for (;; ++written) finish_large(store, 1, written);
      };
      REQUIRE(trouble_with(file, fill) == "full");
      lost = written;
      CHECK(store.counts().finished == static_cast<std::uint64_t>(written)); // reading goes on
      CHECK_FALSE(store.find("t" + std::to_string(lost)));
    }
    finish_large(store, 1, written++);
    CHECK(store.find("t" + std::to_string(lost)));
  }
  reopen();
  CHECK(unfinished_names(store) == ids{"first"});
  REQUIRE(store.counts().finished == static_cast<std::uint64_t>(written));
  for (int i = 0; i < written; ++i)
    check_same(store.find("t" + std::to_string(i)),
               finished_tree_of("t" + std::to_string(i), 1000 + i, 3800));
}

TEST_CASE_METHOD(store_in_folder, "a transaction too large for the disk ends as a whole",
                 "[trainer]") {
  accept_all(store, {"first"});
  {
    const file_limit limit(10'000'000);
    store.begin();
    const auto fill = [&] {
      for (int i = 0;; ++i) store.finish(finished_tree_of("t" + std::to_string(i), i, 3800));
    };
    REQUIRE(trouble_with(file, fill) == "full");
    CHECK(listed(store) == ids{"first"});
    accept_all(store, {"second"}, 2000);
  }
  reopen();
  CHECK(listed(store) == ids{"second", "first"});
}

TEST_CASE("a disk that is full from the start is typed trouble", "[trainer]") {
  const scratch_folder folder;
  const auto file = folder / "trees.db";
  for (const int room : {0, 100, 5'000, 20'000}) {
    const file_limit limit(static_cast<rlim_t>(room));
    CHECK(trouble_with(file, [&] { tree_store{file}; }) == "full");
  }
  CHECK(tree_store(file).counts().finished == 0);
}

TEST_CASE("a place where no file can be is typed trouble", "[trainer]") {
  const scratch_folder folder;
  const auto missing = folder / "missing" / "trees.db";
  CHECK(trouble_with(missing, [&] { tree_store{missing}; }) == "io");
  CHECK(trouble_with(folder.path(), [&] { tree_store{folder.path()}; }) == "io");
  const auto unread = folder / "trees.db";
  CHECK(trouble_with(unread, [&] { tree_store(unread, {.read_only = true}); }) == "io");
  CHECK_FALSE(std::filesystem::exists(unread));
}

TEST_CASE("a store in a folder where nothing can be written is read", "[trainer]") {
  const scratch_folder folder;
  const auto file = folder / "50%?#.db";
  {
    tree_store store(file);
    store.begin();
    store.finish(finished_tree_of("a"));
    store.commit();
  }
  REQUIRE_FALSE(std::filesystem::exists(file.string() + "-wal"));
  std::filesystem::create_symlink(folder / "no" / "where", file.string() + "-shm"); // nor by root
  CHECK(trouble_with(file, [&] { tree_store{file}; }) != "");
  const tree_store reader(file, {.read_only = true});
  CHECK(reader.find("a"));
}

TEST_CASE("a name that looks like an address is a name", "[trainer]") {
  const scratch_folder folder;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  finish_all(*std::make_unique<tree_store>("file:trees?mode=memory"), {"a"});
  std::filesystem::current_path(before);
  CHECK(listed(tree_store(folder / "file:trees?mode=memory")) == ids{"a"});
}

/// The bytes of a store with a few hundred pages, and nothing in its log.
std::string bytes_of_store(const scratch_folder& folder) {
  {
    tree_store store(folder / "trees.db");
    accept_all(store, {"a", "b", "c"});
    finish_large(store, 12);
  }
  return folder.read("trees.db");
}

/// Both are numbers of four bytes, the highest first.
constexpr std::size_t offset_of_version = 60, offset_of_application = 68;

TEST_CASE("a file of a newer version is refused and stays as it is", "[trainer]") {
  const scratch_folder folder;
  auto bytes = bytes_of_store(folder);
  ++bytes[offset_of_version + 3];
  folder.write("trees.db", bytes);
  for (const bool read_only : {false, true})
    CHECK(trouble_with(folder / "trees.db",
                       [&] { tree_store(folder / "trees.db", {.read_only = read_only}); })
          == "newer");
  CHECK((folder.read("trees.db") == bytes));
}

TEST_CASE("a file of something else is refused and stays as it is", "[trainer]") {
  const scratch_folder folder;
  auto other = bytes_of_store(folder);
  ++other[offset_of_application];
  for (const auto& bytes : {other, std::string(100'000, 'x'), std::string("text\n")}) {
    folder.write("trees.db", bytes);
    CHECK(trouble_with(folder / "trees.db", [&] { tree_store(folder / "trees.db"); }) == "damaged");
    CHECK((folder.read("trees.db") == bytes));
  }
}

TEST_CASE("an empty file becomes a store but not for who only reads", "[trainer]") {
  const scratch_folder folder;
  const auto file = folder / "trees.db";
  folder.write("trees.db", "");
  CHECK(trouble_with(file, [&] { tree_store(file, {.read_only = true}); }) == "io");
  finish_all(*std::make_unique<tree_store>(file), {"a"});
  CHECK(listed(tree_store(file)) == ids{"a"});
}

/// All that can be asked of a store.
void use(const std::filesystem::path& file) {
  tree_store store(file);
  store.list({.limit = SIZE_MAX});
  store.list({.labels = {{"run", "a"}}, .limit = SIZE_MAX});
  visited(store, {.limit = SIZE_MAX});
  store.unfinished();
  store.counts();
  accept_all(store, {"new"});
  finish_large(store, 1, 100);
  store.sweep({.max_bytes = 1}, 0);
}

TEST_CASE("a damaged file does no worse than typed trouble", "[trainer]") {
  const scratch_folder folder;
  const auto file = folder / "trees.db";
  const auto whole = bytes_of_store(folder);
  std::mt19937 random(1);
  int refused = 0;
  for (int round = 0; round < 100; ++round) {
    auto bytes = whole;
    if (round % 3 == 0) bytes.resize(random() % bytes.size());
    for (auto n = round % 3 == 0 ? 0 : 1 + random() % 20; n > 0; --n) {
      const auto at =
          4096 * (random() % (bytes.size() / 4096)) + random() % 200; // where trees hang
      bytes[at] = static_cast<char>(random());
    }
    folder.write("trees.db", bytes);
    const auto why = trouble_with(file, [&] { use(file); });
    for (const auto* log : {"trees.db-wal", "trees.db-shm"}) std::filesystem::remove(folder / log);
    refused += why == "damaged";
    REQUIRE((why != "full" && why != "locked"));
  }
  CHECK(refused > 30);
}

} // namespace
} // namespace banyan
