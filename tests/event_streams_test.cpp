#include "apps/serving/event_streams.hpp"

#include "tests/fake_forest.hpp"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include <catch2/catch.hpp>

namespace banyan {
namespace {

/// A loop that the test turns; nothing is ever late on it.
class hand_loop : public http_loop {
public:
  void post(std::function<void()> work) override {
    {
      const std::lock_guard lock(mutex_);
      work_.push_back(std::move(work));
    }
    arrived_.notify_one();
  }
  void after(double, std::function<void()>) override {}

  template <class Condition>
  void run_until(Condition holds) {
    while (!holds()) {
      std::unique_lock lock(mutex_);
      if (!arrived_.wait_for(lock, std::chrono::seconds(10), [this] { return !work_.empty(); }))
        throw std::runtime_error("what the test waits for did not happen");
      const auto work = std::move(work_.front());
      work_.pop_front();
      lock.unlock();
      work();
    }
  }

private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<std::function<void()>> work_;
};

/// A client that reads when the test says so.
struct slow_reader : http_sink {
  std::size_t lying = 0, most_lying = 0, parts = 0;
  bool ended = false;
  std::function<void()> drained, gone;

  void send(const http_response&, bool) override { ended = true; }
  void begin(const http_response&) override {}
  void write(std::string piece) override {
    lying += piece.size();
    most_lying = std::max(most_lying, lying);
    parts += piece.starts_with("event: ");
  }
  void end() override { ended = true; }
  std::size_t unsent() const override { return lying; }
  void on_gone(std::function<void()> told) override { gone = std::move(told); }
  void on_farewell(std::function<void()>) override {}
  void on_drained(std::function<void()> told) override { drained = std::move(told); }

  void read() {
    lying = 0;
    const auto told = drained;
    told();
  }
};

TEST_CASE("of a large story no more lies there than its reader takes", "[http]") {
  constexpr std::size_t mib = 1 << 20;
  fake_forest trees;
  auto t = fake_forest::running_tree("A");
  for (std::uint32_t i = 0; i < 20; ++i)
    t.add(child_path("/", i)).segments = {
        {segment_kind::prompt, std::string(mib, 'x'), {}, {}, {}}};
  const bool lives = GENERATE(false, true);
  if (!lives) fake_forest::finish(t);
  trees.put(t);

  const http_options options;
  const auto loop = std::make_shared<hand_loop>();
  event_streams streams("test");
  http_context context{trees, options, loop, streams, {}};
  const auto client = std::make_shared<slow_reader>();
  streams.open(context, http_reply::make(context, {.method = "GET"}, client, "/"), "A");
  loop->run_until([&] { return client->parts > 0; });
  CHECK(client->parts < 10);
  for (int i = 0; i < 100 && client->parts < 43; ++i)
    client->read(); // 3 of the root, 2 of each child
  if (!lives) client->read();
  CHECK(client->most_lying < 3 * mib);
  CHECK(client->ended == !lives);
  CHECK(client->parts == (lives ? 43 : 44));
  streams.clear();
}

TEST_CASE("nothing is made of an answer whose client has gone", "[http]") {
  fake_forest trees;
  const http_options options;
  const auto loop = std::make_shared<hand_loop>();
  event_streams streams("test");
  http_context context{trees, options, loop, streams, {}};
  const auto client = std::make_shared<slow_reader>();
  const auto reply = http_reply::make(context, {.method = "GET"}, client, "/");
  int made = 0, noted = 0;
  const auto shown = relay<int>(context, reply, [&](int) { ++made; });
  const auto heard = relay_always<int>(context, reply, [&](int) { ++noted; });
  shown(1);
  heard(1);
  loop->run_until([&] { return noted == 1; });
  CHECK(made == 1);
  CHECK(*shown.wanted);
  client->gone();
  shown(2);
  heard(2);
  loop->run_until([&] { return noted == 2; });
  CHECK(made == 1);
  CHECK_FALSE(*shown.wanted);
}

} // namespace
} // namespace banyan
