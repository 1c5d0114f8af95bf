#include "solver/record_file.hpp"

#include "tests/scratch_folder.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cmath>
#include <limits>
#include <system_error>

namespace banyan {
namespace {

template <class Number>
constexpr auto highest = std::numeric_limits<Number>::max();
template <class Number>
constexpr auto lowest = std::numeric_limits<Number>::min();

const std::string all_bytes = [] {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  return bytes;
}();

/// A tree in which no member has its default value and many have an extreme one.
tree extreme_tree() {
  tree t;
  t.id = "01J9" + all_bytes;
  t.task = "other";
  t.problem = {{lowest<std::int64_t>, 0, highest<std::int64_t>}, -1};
  t.prompt = all_bytes;
  t.labels = {{"run", "a"}, {all_bytes, ""}, {"", all_bytes}};
  t.phase = tree_phase::cancelled;
  t.failure = errc::bad_request;
  t.outcome = {true, true, {"66-42=24", "", all_bytes}, all_bytes};
  t.created_ms = lowest<std::int64_t>;
  t.finished_ms = highest<std::int64_t>;
  t.weights_epoch = highest<std::uint32_t>;
  t.seed = highest<std::uint64_t>;
  t.wall_ms = std::numeric_limits<double>::denorm_min();
  auto& root = t.add("/");
  root.phase = thread_phase::cancelled;
  root.failure = errc::pool_lost;
  root.depth = root.round = root.rounds = highest<std::uint32_t>;
  root.awaited = false;
  root.since_ms = lowest<std::int64_t>;
  root.waiting_for = {"/0", all_bytes, ""};
  root.pool = "cpu:0", root.node = all_bytes;
  root.prompt_tokens = highest<std::uint64_t>;
  root.cached_tokens = highest<std::uint64_t> - 1;
  root.segments = {
      {.kind = segment_kind::prompt, .text = all_bytes, .ids = {0, -1, lowest<std::int32_t>}},
      {.kind = segment_kind::written,
       .text = "w",
       .ids = {highest<std::int32_t>, 1, 2, 3},
       .logprobs = {-std::numeric_limits<float>::infinity(), -0.0F, std::nanf("7"), 1e-45F},
       .epochs = {0, 1, 1, highest<std::uint32_t>}},
      {.kind = segment_kind::spawn},
      {.kind = segment_kind::joined}};
  root.solution = "";
  root.history = {{thread_phase::waiting, highest<std::int64_t>}, {thread_phase::queued, -1}};
  t.add("/0").solution = all_bytes;
  t.add("/1");
  return t;
}

/// A request in which no member has its default value and many have an extreme one.
solve_request extreme_request() {
  solve_request r;
  r.id = r.task = r.prompt = all_bytes;
  r.problem = extreme_tree().problem;
  r.sampling = {1e-45F, lowest<std::int32_t>, 0.25F, -0.0F, highest<std::uint64_t>};
  r.join = {join_policy::kind::deadline, highest<std::uint32_t>, 1e-300};
  r.budget.max_depth = highest<std::uint32_t>;
  r.budget.max_threads = highest<std::uint32_t> - 1;
  r.budget.max_tokens = highest<std::uint32_t> - 2;
  r.budget.max_context = highest<std::uint32_t> - 4;
  r.budget.max_tree_tokens = highest<std::uint64_t>;
  r.budget.max_rounds = highest<std::uint32_t> - 3;
  r.budget.deadline_s = std::numeric_limits<double>::denorm_min();
  r.labels = extreme_tree().labels;
  r.weights_epoch = highest<std::uint32_t>;
  return r;
}

bool same(const segment& a, const segment& b) {
  const auto same_bits = [](float x, float y) {
    return std::bit_cast<std::uint32_t>(x) == std::bit_cast<std::uint32_t>(y);
  };
  return a.kind == b.kind && a.text == b.text && a.ids == b.ids && a.epochs == b.epochs
         && std::ranges::equal(a.logprobs, b.logprobs, same_bits);
}

void check_same(const thread_record& a, const thread_record& b) {
  CHECK(a.path == b.path);
  CHECK(a.phase == b.phase);
  CHECK(a.failure == b.failure);
  CHECK(a.depth == b.depth);
  CHECK(a.round == b.round);
  CHECK(a.rounds == b.rounds);
  CHECK(a.awaited == b.awaited);
  CHECK(a.since_ms == b.since_ms);
  CHECK(a.waiting_for == b.waiting_for);
  CHECK(a.pool == b.pool);
  CHECK(a.node == b.node);
  CHECK(a.prompt_tokens == b.prompt_tokens);
  CHECK(a.cached_tokens == b.cached_tokens);
  CHECK(std::ranges::equal(a.segments, b.segments, same));
  CHECK(a.solution == b.solution);
  REQUIRE(a.history.size() == b.history.size());
  for (std::size_t i = 0; i < a.history.size(); ++i) {
    CHECK(a.history[i].phase == b.history[i].phase);
    CHECK(a.history[i].at_ms == b.history[i].at_ms);
  }
}

void check_same(const tree& a, const tree& b) {
  CHECK(a.id == b.id);
  CHECK(a.task == b.task);
  CHECK(a.problem == b.problem);
  CHECK(a.prompt == b.prompt);
  CHECK(a.labels == b.labels);
  CHECK(a.phase == b.phase);
  CHECK(a.failure == b.failure);
  CHECK(a.outcome == b.outcome);
  CHECK(a.created_ms == b.created_ms);
  CHECK(a.finished_ms == b.finished_ms);
  CHECK(a.weights_epoch == b.weights_epoch);
  CHECK(a.seed == b.seed);
  CHECK(a.wall_ms == b.wall_ms);
  REQUIRE(a.threads.size() == b.threads.size());
  for (std::size_t i = 0; i < a.threads.size(); ++i) check_same(a.threads[i], b.threads[i]);
}

void check_same(const solve_request& a, const solve_request& b) {
  CHECK(a.id == b.id);
  CHECK(a.task == b.task);
  CHECK(a.problem == b.problem);
  CHECK(a.prompt == b.prompt);
  CHECK(a.sampling.temperature == b.sampling.temperature);
  CHECK(a.sampling.top_k == b.sampling.top_k);
  CHECK(a.sampling.top_p == b.sampling.top_p);
  CHECK(std::signbit(a.sampling.min_p) == std::signbit(b.sampling.min_p));
  CHECK(a.sampling.min_p == b.sampling.min_p);
  CHECK(a.sampling.seed == b.sampling.seed);
  CHECK(a.join.when == b.join.when);
  CHECK(a.join.k == b.join.k);
  CHECK(a.join.seconds == b.join.seconds);
  CHECK(a.budget.max_depth == b.budget.max_depth);
  CHECK(a.budget.max_threads == b.budget.max_threads);
  CHECK(a.budget.max_tokens == b.budget.max_tokens);
  CHECK(a.budget.max_context == b.budget.max_context);
  CHECK(a.budget.max_tree_tokens == b.budget.max_tree_tokens);
  CHECK(a.budget.max_rounds == b.budget.max_rounds);
  CHECK(a.budget.deadline_s == b.budget.deadline_s);
  CHECK(a.labels == b.labels);
  CHECK(a.weights_epoch == b.weights_epoch);
}

tree tree_named(std::string id) {
  tree t;
  t.id = std::move(id);
  t.add("/");
  return t;
}

std::string file_of(const std::vector<tree>& trees) {
  std::string bytes;
  for (const auto& t : trees) bytes += encode_record(t);
  return bytes;
}

/// Reads to the end or to the first fault; returns the ids, and the fault after a '!'.
std::string ids_in(const std::string& bytes) {
  const scratch_folder folder;
  folder.write("a.trees", bytes);
  const auto file = folder / "a.trees";
  record_reader reader(file);
  std::string ids;
  try {
    while (auto t = reader.next()) ids += t->id;
  } catch (const bad_record& why) {
    const std::string what = why.what();
    REQUIRE(what.starts_with(file.string() + ": record at byte "));
    ids += "!" + what.substr(file.string().size() + 2);
  }
  return ids;
}

using Catch::Contains;

TEST_CASE("a tree comes back as it was with every extreme value", "[solver]") {
  const auto t = extreme_tree();
  check_same(decode_tree(encode_tree(t)), t);
  check_same(decode_tree(encode_tree(tree{})), tree{});
}

TEST_CASE("every failure and phase and kind comes back as it was", "[solver]") {
  tree t;
  t.add("/");
  for (int i = 0; i <= static_cast<int>(last_errc); ++i) {
    t.failure = t.threads[0].failure = static_cast<errc>(i);
    check_same(decode_tree(encode_tree(t)), t);
  }
  for (int i = 0; i <= static_cast<int>(tree_phase::cancelled); ++i) {
    t.phase = static_cast<tree_phase>(i);
    check_same(decode_tree(encode_tree(t)), t);
  }
  for (int i = 0; i <= static_cast<int>(thread_phase::cancelled); ++i) {
    t.threads[0].phase = static_cast<thread_phase>(i);
    check_same(decode_tree(encode_tree(t)), t);
  }
  for (int i = 0; i <= static_cast<int>(segment_kind::joined); ++i) {
    t.threads[0].segments = {{.kind = static_cast<segment_kind>(i)}};
    check_same(decode_tree(encode_tree(t)), t);
  }
}

TEST_CASE("numbers in a record are packed", "[solver]") {
  tree t;
  auto& root = t.add("/");
  root.segments.resize(1);
  const auto empty = encode_tree(t).size();
  auto& s = root.segments[0];
  s.ids.assign(1000, 5), s.logprobs.assign(1000, -1), s.epochs.assign(1000, 3);
  CHECK(encode_tree(t).size() - empty < 1000 * (1 + 4 + 1) + 30);
}

TEST_CASE("bytes that are no tree are refused", "[solver]") {
  CHECK_THROWS_AS(decode_tree("\xff"), bad_record);
  CHECK_THROWS_AS(decode_tree(all_bytes), bad_record);
  CHECK_THROWS_AS(decode_tree(encode_tree(extreme_tree()) + "\n"), bad_record);
  CHECK_THROWS_WITH(decode_tree(""), Contains("phase of the tree has the unknown value 0"));
  CHECK_THROWS_WITH(decode_tree("\x30\x07"), Contains("phase of the tree has the unknown value 7"));
  CHECK_THROWS_WITH(decode_tree("\x30\x01\x38\x0f"), Contains("failure has the unknown value 15"));
}

TEST_CASE("trees come out of a file in the order in which they went in", "[solver]") {
  const auto large = tree_named(std::string(300'000, 'x')); // its length takes three bytes
  const auto bytes = file_of({tree_named("a"), extreme_tree(), large, tree_named("b")});
  const scratch_folder folder;
  folder.write("a.trees", bytes);
  record_reader reader(folder / "a.trees");
  CHECK(reader.next()->id == "a");
  check_same(*reader.next(), extreme_tree());
  CHECK(reader.next()->id == large.id);
  CHECK(reader.next()->id == "b");
  CHECK_FALSE(reader.next());
  CHECK_FALSE(reader.next());
  CHECK(ids_in("") == "");
}

TEST_CASE("a file that is cut off anywhere yields its whole records and then says where",
          "[solver]") {
  const auto first = file_of({tree_named("a")}), both = file_of({tree_named("a"), tree_named("b")});
  for (std::size_t size = first.size() + 1; size < both.size(); ++size) {
    const auto read = ids_in(both.substr(0, size));
    CHECK_THAT(read, Catch::StartsWith("a!record at byte " + std::to_string(first.size()))
                         && Contains("cut off"));
  }
  CHECK(ids_in(both.substr(0, first.size())) == "a");
  CHECK_THAT(ids_in(first + "\x85"), Contains("cut off in its length"));
}

TEST_CASE("a length beyond reason is refused before anything is read", "[solver]") {
  CHECK_THAT(ids_in("\x81\x80\x80\x80\x01 abc"),
             Contains("byte 0") && Contains("268435457 bytes long"));
  CHECK_THAT(ids_in(std::string("\x80\x80\x80\x80\x01", 5)),
             Contains("cut off after 0 of 268435456"));
  CHECK_THAT(ids_in(std::string(20, '\xff')), Contains("length is no number"));
  CHECK_THAT(ids_in(std::string("\x81\x80\x80\x80\x80\x00", 6)), Contains("length is no number"));
}

TEST_CASE("a damaged record names its file and offset", "[solver]") {
  const auto first = file_of({tree_named("a")});
  CHECK_THAT(
      ids_in(first + "\x03\xff\xff\xff" + first),
      Catch::StartsWith("a!record at byte " + std::to_string(first.size()) + ": not a tree"));
}

/// How often bytes are refused of which one is another.
template <class Decode>
std::size_t refused_damage(const std::string& bytes, Decode decode) {
  std::size_t refused = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    auto damaged = bytes;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x9b);
    try {
      static_cast<void>(decode(damaged));
    } catch (const bad_record&) {
      ++refused;
    }
  }
  return refused;
}

constexpr std::size_t tag_bytes = 5, checksum_bytes = tag_bytes + 8;

template <class Decode>
void damage_each_byte(const std::string& bytes, Decode decode) {
  CHECK(refused_damage(bytes, decode)
        >= bytes.size() - tag_bytes); // without it there is no checksum
  const auto earlier = bytes.substr(0, bytes.size() - checksum_bytes); // of a version that had none
  const auto refused = refused_damage(earlier, decode);
  CHECK(refused > 10);
  CHECK(refused < earlier.size());
}

TEST_CASE("a record of a version without checksums is read", "[solver]") {
  const auto bytes = encode_tree(extreme_tree());
  check_same(decode_tree(bytes.substr(0, bytes.size() - checksum_bytes)), extreme_tree());
}

TEST_CASE("a bit of a logprob that has turned is noticed", "[solver]") {
  tree t;
  t.add("/").segments.push_back({segment_kind::written, "a", {3}, {-0.5F}, {0}});
  auto bytes = encode_tree(t);
  const float logprob = -0.5F;
  const auto at = bytes.find(std::string(reinterpret_cast<const char*>(&logprob), sizeof logprob));
  REQUIRE(at != bytes.npos);
  bytes[at + 1] ^= 4;
  CHECK_THROWS_WITH(decode_tree(bytes), Contains("checksum"));
}

TEST_CASE("no change of a single byte of a record does worse than a refusal", "[solver]") {
  damage_each_byte(encode_tree(extreme_tree()), decode_tree);
  damage_each_byte(encode_thread(extreme_tree().root()), decode_thread);
  damage_each_byte(encode_solve_request(extreme_request()), decode_solve_request);
}

TEST_CASE("a request comes back as it was with every extreme value", "[solver]") {
  check_same(decode_solve_request(encode_solve_request(extreme_request())), extreme_request());
  check_same(decode_solve_request(encode_solve_request({})), {});
  for (int i = 0; i <= static_cast<int>(join_policy::kind::deadline); ++i) {
    solve_request r;
    r.join.when = static_cast<join_policy::kind>(i);
    check_same(decode_solve_request(encode_solve_request(r)), r);
  }
}

TEST_CASE("a thread comes back as it was with every extreme value", "[solver]") {
  const auto t = extreme_tree();
  for (const auto& thread : t.threads) check_same(decode_thread(encode_thread(thread)), thread);
}

TEST_CASE("bytes that are no request or thread are refused", "[solver]") {
  CHECK_THROWS_WITH(decode_solve_request("\xff"), "not a request");
  CHECK_THROWS_WITH(decode_solve_request(""), Contains("join policy has the unknown value 0"));
  CHECK_THROWS_WITH(decode_thread("\xff"), "not a thread");
  CHECK_THROWS_WITH(decode_thread(""), Contains("phase of a thread has the unknown value 0"));
}

TEST_CASE("an outline has all figures of its tree and none of its texts", "[solver]") {
  auto t = extreme_tree();
  t.threads[0].depth = 0; // `usage` wants a sound tree
  t.threads[1].segments = {{.kind = segment_kind::prompt, .text = "p", .ids = {1}},
                           {.kind = segment_kind::written, .text = "w", .ids = {1, 2, 3}}};
  const auto seen = outline(t);
  CHECK(seen.usage().generated_tokens == t.usage().generated_tokens);
  CHECK(seen.usage().critical_path_tokens == t.usage().critical_path_tokens);
  check_same(outline(seen), seen);
  for (auto& thread : t.threads) {
    for (auto& s : thread.segments) {
      s = {s.kind, {}, std::vector<std::int32_t>(s.sampled() ? s.ids.size() : 0), {}, {}};
    }
    if (thread.solution) thread.solution = "";
  }
  check_same(seen, t);
}

TEST_CASE("trouble with a file carries the error number of the system", "[solver]") {
  const auto code_of = [](auto&& action) {
    try {
      action();
    } catch (const std::system_error& why) {
      return why.code().value();
    }
    return 0;
  };
  CHECK(code_of([] { record_reader("/nonexistent/a.trees"); }) == ENOENT);
  CHECK(code_of([] { record_reader("/").next(); }) == EISDIR);
}

} // namespace
} // namespace banyan
