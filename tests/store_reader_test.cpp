#include "apps/serving/store_reader.hpp"

#include "actors/errors.hpp"
#include "apps/actor_house.hpp"
#include "apps/serving/live_forest.hpp"
#include "apps/serving/refusals.hpp"
#include "model/tokenizer.hpp"
#include "model/weights.hpp"
#include "tests/scratch_folder.hpp"
#include "tests/tiny_checkpoint.hpp"
#include "trainer/store_actor.hpp"

#include <atomic>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

namespace banyan {
namespace {

using number = std::variant<int, refusal>;

template <class T>
const refusal& refused_in(const std::variant<T, refusal>& answer) {
  REQUIRE(std::holds_alternative<refusal>(answer));
  return std::get<refusal>(answer);
}

/// Something that keeps a reader's OS thread busy until it is let go.
struct hold {
  std::promise<void> begun, go;
  std::shared_future<void> gone = go.get_future().share();

  void wait() {
    begun.set_value();
    gone.wait();
  }
};

struct read_store {
  scratch_folder folder;
  std::filesystem::path file = folder / "trees.db";
  tree_store store{file, {.sync = false}};
  std::vector<std::string> lines;
  store_reader reader{file, [this](std::string_view line) { lines.emplace_back(line); }};

  void stop(hold& h) {
    reader.read<int>([](const number&) {},
                     [&h](const tree_store&) {
                       h.wait();
                       return number(0);
                     });
    h.begun.get_future().wait();
  }

  /// Everything before it is done when this returns. There must be room for it.
  void wait() {
    std::promise<void> reached;
    reader.read<int>([&](const number&) { reached.set_value(); },
                     [](const tree_store&) { return number(0); });
    reached.get_future().wait();
  }
};

TEST_CASE_METHOD(read_store, "who finds too many waiting for the store is told at once", "[http]") {
  hold h;
  stop(h);
  std::size_t answered = 0, right = 0; // on the reader's OS thread, until the last one
  std::promise<void> all;
  const auto ask = [&](answer_to<int> answer) {
    reader.read<int>(std::move(answer), [](const tree_store&) { return number(1); });
  };
  for (std::size_t i = 0; i < store_reader::most_waiting; ++i)
    ask([&](const number& n) {
      right += std::holds_alternative<int>(n);
      if (++answered == store_reader::most_waiting) all.set_value();
    });
  bool full = false;
  ask([&](const number& n) { full = refused_in(n).why == refusal::kind::unavailable; });
  CHECK(full);
  h.go.set_value();
  all.get_future().wait();
  CHECK(right == store_reader::most_waiting);
}

TEST_CASE_METHOD(read_store, "those who have left make room for others", "[http]") {
  hold h;
  stop(h);
  const auto wanted = std::make_shared<std::atomic<bool>>(true);
  std::atomic<std::size_t> read = 0;
  const auto ask = [&](still_wanted by) {
    answer_to<int> answer = [](const number&) {};
    answer.wanted = std::move(by);
    reader.read<int>(std::move(answer), [&](const tree_store&) { return number(int(++read)); });
  };
  for (std::size_t i = 0; i < store_reader::most_waiting; ++i) ask(wanted);
  *wanted = false;
  ask(nullptr); // there is room for it
  h.go.set_value();
  wait();
  CHECK(read == 1);
}

TEST_CASE_METHOD(read_store, "who leaves while it waits for the store is passed over", "[http]") {
  hold h;
  stop(h);
  const auto wanted = std::make_shared<std::atomic<bool>>(true);
  std::atomic<std::size_t> read = 0;
  answer_to<int> answer = [](const number&) {};
  answer.wanted = wanted;
  reader.read<int>(std::move(answer), [&](const tree_store&) { return number(int(++read)); });
  *wanted = false;
  h.go.set_value();
  wait();
  CHECK(read == 0);
}

TEST_CASE_METHOD(read_store, "an answer is given once even where it throws", "[http]") {
  int told = 0;
  reader.read<int>(
      [&](const number&) {
        ++told;
        throw std::runtime_error("the asker's own trouble");
      },
      [](const tree_store&) { return number(1); });
  wait();
  CHECK(told == 1);
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].find("the asker's own trouble") != std::string::npos);
}

TEST_CASE_METHOD(read_store, "what cannot be read is refused with the reason", "[http]") {
  std::vector<refusal> told;
  const auto ask = [&](auto look) {
    reader.read<int>([&](const number& n) { told.push_back(refused_in(n)); }, look);
  };
  ask([](const tree_store&) -> number { throw std::runtime_error("broken; mend it"); });
  ask([](const tree_store&) -> number { throw std::invalid_argument("after: unknown; go"); });
  wait();
  REQUIRE(told.size() == 2);
  CHECK(told[0].why == refusal::kind::internal);
  CHECK(told[0].message == "broken; mend it");
  CHECK(told[1].why == refusal::kind::bad_request);
  CHECK(told[1].field == "after");
}

// ---- a daemon's forest

struct stored_forest {
  scratch_folder folder;
  std::filesystem::path file = folder / "trees.db";
  std::shared_ptr<event_hub> hub = std::make_shared<event_hub>();
  std::shared_ptr<const store_gauge> gauge;
  std::unique_ptr<actor_house> house;
  std::unique_ptr<live_forest> trees;

  stored_forest() {
    house_options h;
    h.events = hub;
    h.make_store = [this](caf::actor_system& system) {
      tree_store store(file, {.sync = false});
      gauge = store.gauge();
      return spawn_store(system, std::move(store), {});
    };
    house = std::make_unique<actor_house>(
        std::vector<pool_source>{{"cpu", dtype::float32, tiny_checkpoint(96)}}, std::move(h));
    forest_options o;
    o.store = file;
    o.gauge = gauge;
    o.events = hub;
    trees = std::make_unique<live_forest>(*house, std::move(o));
  }

  forest_status status() {
    std::promise<forest_status> told;
    trees->status([&](std::variant<forest_status, refusal> answer) {
      told.set_value(std::get<forest_status>(answer));
    });
    return told.get_future().get();
  }
};

TEST_CASE_METHOD(stored_forest, "what has not ended when the house goes is kept by the store",
                 "[http]") {
  solve_request request;
  request.problem = {{42, 61, 66}, 47};
  for (const auto* id : {"a", "b", "c"}) {
    request.id = id;
    std::promise<void> done;
    trees->submit(
        request, [&](const auto&) { done.set_value(); }, nullptr);
    done.get_future().wait();
  }
  trees.reset();
  house.reset(); // as where an address is taken: nobody has asked for the end of the trees
  const tree_store store(file, {.read_only = true});
  tree_filter all;
  all.states = {tree_phase::cancelled};
  CHECK(store.list(all).empty());
  CHECK(store.unfinished().size() + gauge->read().finished == 3);
}

TEST_CASE_METHOD(stored_forest, "how the daemon is can be asked while the store is read",
                 "[http]") {
  std::promise<void> released;
  hold h;
  trees->find("nobody", {}, [&](const std::variant<tree_ptr, refusal>& answer) {
    CHECK(std::holds_alternative<refusal>(answer));
    h.wait(); // on the reader's OS thread
    released.set_value();
  });
  h.begun.get_future().wait();
  CHECK(status().ready);
  h.go.set_value();
  released.get_future().wait();
}

TEST_CASE_METHOD(stored_forest, "the status counts the trees of the store", "[http]") {
  std::promise<void> done;
  solve_request request;
  request.problem = {{42, 61, 66}, 47};
  trees->submit(request, nullptr, [&](const std::variant<tree_ptr, refusal>& answer) {
    CHECK(std::holds_alternative<tree_ptr>(answer));
    done.set_value();
  });
  done.get_future().wait();
  const auto now = status();
  CHECK(now.store.finished == 1);
  CHECK(now.store.unfinished == 0);
  CHECK(now.store.bytes > 0);
}

TEST_CASE("what an actor refuses is told with few of the client's words and a remedy", "[http]") {
  const auto told = [](errc why, std::string text) {
    return refusal_of(caf::make_error(why, std::move(text))).message;
  };
  CHECK(told(errc::not_found, "thread: /9: the tree has no such thread")
        == "/9: the tree has no such thread; `banyan tree ID` lists its threads");
  CHECK(told(errc::not_found, "id: A: no such tree runs here")
        == "A: no such tree runs here; `banyan ps` lists what runs");
  CHECK(told(errc::bad_request, "thread: /0: it has ended; there is nothing to do")
        == "/0: it has ended; there is nothing to do");
  CHECK(told(errc::bad_request, "prompt: it is none") == "prompt: it is none; correct it");
  CHECK(told(errc::bad_request, "it makes no sense") == "it makes no sense; correct it");
  const auto lost = refusal_of(caf::make_error(errc::pool_lost));
  CHECK(lost.why == refusal::kind::unavailable);
  CHECK(lost.message == "no device is left to decode; see the daemon's log");
  const std::string most(79, '0');
  for (const auto* text : {"0", "0: ", "; 0"}) {
    std::string path = "/" + most;
    while (path.size() < 10'000) path += text;
    const auto why =
        refusal_of(caf::make_error(errc::not_found, "thread: " + path + ": it is not"));
    CHECK(why.message == "/" + most + "…: it is not; `banyan tree ID` lists its threads");
    CHECK(why.field == "thread");
  }
}

TEST_CASE_METHOD(stored_forest, "a list behind a tree that nobody knows is refused", "[http]") {
  std::promise<refusal> told;
  trees->list({.after = "nobody"}, [&](const std::variant<tree_page, refusal>& answer) {
    told.set_value(refused_in(answer));
  });
  const auto why = told.get_future().get();
  CHECK(why.why == refusal::kind::bad_request);
  CHECK(why.field == "after");
}

} // namespace
} // namespace banyan
