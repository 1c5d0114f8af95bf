#include "model/transformer.hpp"
#include "tests/made_up_training.hpp"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ATen.h>

#include <catch2/catch.hpp>

using namespace banyan;

namespace {

/// What a pool that only takes weights was told. A test may look at it, or change it, at any time.
struct weights_script {
  bool holds = false; ///< answers when it is sent a step
  double busy_s = 0;
  std::function<void(const weights_ready&)> hears = [](const weights_ready&) {};
  std::vector<std::uint32_t> epochs;
};

struct weights_pool_state {
  static inline const char* name = "banyan.weights_pool";

  explicit weights_pool_state(pool_actor::stateful_pointer<weights_pool_state> self) : self(self) {}

  caf::result<weights_taken> take(const weights_ready& news) {
    script->epochs.push_back(news.epoch);
    script->hears(news);
    if (!script->holds) return weights_taken{news.epoch, 0, script->busy_s};
    held.emplace_back(news.epoch, self->make_response_promise<weights_taken>());
    return held.back().second;
  }

  void answer() {
    for (auto& [epoch, promise] : held) promise.deliver(weights_taken{epoch, 0});
    held.clear();
  }

  pool_actor::stateful_pointer<weights_pool_state> self;
  std::shared_ptr<weights_script> script;
  std::vector<std::pair<std::uint32_t, caf::typed_response_promise<weights_taken>>> held;
};

pool_actor::behavior_type weights_pool(pool_actor::stateful_pointer<weights_pool_state> self,
                                       std::shared_ptr<weights_script> script) {
  auto& state = self->state;
  state.script = std::move(script);
  return {
      [](const decode_request&) -> caf::result<decode_reply> { return errc::bad_request; },
      [](const decode_cancel&) {},
      [](const decode_watch&) {},
      [](const sequence_request&) { return sequence_status{}; },
      [](const lease_release&) {},
      [&state](const weights_ready& news) { return state.take(news); },
      [](atom::status) { return pool_status{}; },
      [&state](atom::step) { state.answer(); },
  };
}

/// Training over made-up trees, whose weights go to pools of the test's making.
struct publishing : made_up_training {
  std::vector<std::shared_ptr<weights_script>> told;

  using made_up_training::made_up_training;

  weights_script& add_pool(dtype precision = dtype::float32) {
    told.push_back(std::make_shared<weights_script>());
    pools.push_back(sys.spawn(weights_pool, told.back()));
    targets.push_back({pools.back(), "cpu", precision});
    return *told.back();
  }

  void learn(bool resume = false) {
    start_with([this](const solve_request& r) { return good_or_bad(r); }, resume);
  }

  void let_answer(std::size_t pool) {
    caf::anon_send(pools[pool], atom::step_v);
    run();
  }

  /// The newest step of which a tree has begun; -1: none has.
  std::int64_t newest_step() const {
    std::int64_t newest = -1;
    for (const auto& r : script->asked) newest = std::max<std::int64_t>(newest, std::stol(r.id));
    return newest;
  }
};

} // namespace

TEST_CASE("of the time between two steps the share is told in which pools did not decode",
          "[trainer]") {
  scratch_folder out;
  publishing t(out.path());
  t.add_pool().busy_s = 1e6; // all of it before the first step's end
  t.learn();
  REQUIRE(t.ended == "");
  const auto log = log_of(out.path());
  REQUIRE(log.size() == 4);
  CHECK(log[0].at("pool_idle") == 0);
  for (const std::size_t i : {1, 2, 3}) CHECK(log[i].at("pool_idle") == 1);
}

TEST_CASE("no tree of a step begins before every pool has the weights it is sampled with",
          "[trainer]") {
  const std::int64_t staleness = GENERATE(0, 1, 2);
  scratch_folder out;
  publishing t(out.path());
  t.options.staleness = staleness;
  t.rollouts.policy = GENERATE(in_flight::finish, in_flight::go_on);
  for (int i = 0; i < 2; ++i) t.add_pool().holds = true;
  t.learn();
  for (std::uint32_t epoch = 1; epoch <= t.options.steps; ++epoch) {
    INFO("epoch " << epoch);
    const auto before = std::min(epoch - 1 + staleness, t.options.steps - 1);
    const auto after = std::min(epoch + staleness, t.options.steps - 1);
    for (const auto& pool : t.told) REQUIRE(pool->epochs.back() == epoch);
    CHECK(t.newest_step() == before);
    t.let_answer(epoch % 2);
    CHECK(t.newest_step() == before); // the other one does not have them
    t.let_answer(1 - epoch % 2);
    CHECK(t.newest_step() == after);
  }
  CHECK(t.ended == "");
  if (t.rollouts.policy == in_flight::go_on) return;
  for (const auto& r : t.script->asked)
    CHECK(r.weights_epoch == sampling_epoch(std::stol(r.id), staleness));
}

TEST_CASE("a resumed run gives its pools the weights of all open steps before a tree begins",
          "[trainer]") {
  scratch_folder out;
  {
    publishing first(out.path());
    first.options.staleness = 2;
    first.options.steps = 2;
    first.learn();
    REQUIRE(first.ended == "");
  }
  publishing t(out.path());
  t.options.staleness = 2;
  auto& pool = t.add_pool();
  pool.holds = true;
  t.learn(true);
  CHECK(pool.epochs == std::vector<std::uint32_t>{1, 2}); // it began with those of epoch 0
  CHECK(t.newest_step() == -1);
  t.let_answer(0);
  CHECK(t.newest_step() == 3); // steps 2 and 3 are the last
}

TEST_CASE("a pool in the trainer's place shares its memory and another has a copy", "[trainer]") {
  scratch_folder out;
  publishing t(out.path());
  t.options.steps = 2;
  std::size_t heard = 0;
  std::map<std::uint32_t, std::vector<const transformer*>> copies; // by epoch
  t.add_pool().hears = [&](const weights_ready& news) {
    const auto& given = *news.model->weights();
    const auto mine = named_views(*t.trained), theirs = named_views(given);
    for (std::size_t i = 0; i < mine.size(); ++i) {
      INFO(mine[i].name);
      CHECK(theirs[i].value.const_data_ptr() == mine[i].value.const_data_ptr());
    }
    ++heard;
  };
  for (int i = 0; i < 2; ++i)
    t.add_pool(dtype::bfloat16).hears = [&](const weights_ready& news) {
      copies[news.epoch].push_back(news.model.get());
      const auto& given = news.model->weights()->embedding;
      CHECK(given.scalar_type() == at::kBFloat16);
      CHECK(given.const_data_ptr() != t.trained->embedding.const_data_ptr());
      CHECK(at::equal(given, t.trained->embedding.detach().to(at::kBFloat16)));
    };
  t.learn();
  REQUIRE(t.ended == "");
  CHECK(heard == 2);
  CHECK(copies.size() == 2);
  for (const auto& [epoch, models] : copies) {
    REQUIRE(models.size() == 2);
    CHECK(models[0] == models[1]); // one copy for both
  }
}

TEST_CASE("weights that a pool has stay as they are while the trainer learns on", "[trainer]") {
  scratch_folder out;
  publishing t(out.path());
  std::vector<std::shared_ptr<const transformer>> given;
  std::vector<at::Tensor> then; // their embeddings
  t.add_pool().hears = [&](const weights_ready& news) {
    given.push_back(news.model);
    then.push_back(news.model->weights()->embedding.clone());
  };
  t.learn();
  REQUIRE(given.size() == 4);
  for (std::size_t i = 0; i < given.size(); ++i) {
    CHECK(at::equal(given[i]->weights()->embedding, then[i]));
    if (i > 0) CHECK_FALSE(at::equal(then[i], then[i - 1]));
  }
}
