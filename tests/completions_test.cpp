#include "apps/serving/completions.hpp"

#include "model/tokenizer.hpp"
#include "tests/deterministic_system.hpp"
#include "tests/scripted_pool.hpp"

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include <catch2/catch.hpp>

namespace banyan {
namespace {

/// The toy codec as a tokenizer: a byte is a token.
struct bytes : tokenizer {
  std::vector<std::int32_t> encode(std::string_view text) const override {
    return toy_codec().encode(text);
  }
  std::string decode(std::span<const std::int32_t> ids) const override {
    return toy_codec().decode(ids);
  }
  std::int32_t vocab_size() const override { return toy_bos + 1; }
  std::int32_t bos_id() const override { return toy_bos; }
  std::int32_t eos_id() const override { return toy_eos; }
  std::int32_t pad_id() const override { return -1; }
  std::string_view piece(std::int32_t id) const override {
    return id < toy_eos ? std::string_view(all).substr(static_cast<std::size_t>(id), 1) : "";
  }
  void save(const std::filesystem::path&) const override {}

  const std::string all = [] {
    std::string each;
    for (int byte = 0; byte < toy_eos; ++byte) each += static_cast<char>(byte);
    return each;
  }();
};

/// Two pools that both would say "done". Completion 1 begins with the second.
struct completing : deterministic_system {
  std::vector<std::shared_ptr<pool_script>> scripts{std::make_shared<pool_script>(),
                                                    std::make_shared<pool_script>()};
  std::vector<named_pool> pools;
  std::optional<completions> service;
  std::string text, finish, refused;
  std::optional<std::int32_t> matched_token;

  completing() {
    for (const auto& script : scripts) {
      script->lines = {{"/", {"done"}}};
      pools.push_back(
          {"scripted:" + std::to_string(pools.size()), sys.spawn(scripted_pool, script)});
    }
    service.emplace(sys, completion_means{pools, toy_codec(), std::make_shared<bytes>(), 100});
  }

  ~completing() {
    service.reset();
    for (const auto& pool : std::exchange(pools, {})) end(pool.actor);
    advance(std::chrono::hours(1)); // what still held a clock entry goes with it
    CHECK(running() == 0);
  }

  void start(completion_request request) {
    service->start(
        std::move(request), [this](const completion_piece& piece) { text += piece.text; },
        [this](const std::variant<completion_end, refusal>& answer) {
          if (const auto* no = std::get_if<refusal>(&answer)) {
            refused = no->message;
          } else {
            finish = std::get<completion_end>(answer).finish;
            matched_token = std::get<completion_end>(answer).matched_token;
            text += std::get<completion_end>(answer).rest.text;
          }
        });
    run();
  }

  /// Pool `i` dies with what it holds.
  void lose(std::size_t i) {
    scripts[i]->silent.clear();
    scripts[i]->lost = true;
    self->send(pools[i].actor, atom::step_v);
    run();
  }
};

completion_request asking(std::string prompt) {
  completion_request request;
  request.prompt = std::move(prompt);
  return request;
}

TEST_CASE_METHOD(completing, "a completion is decoded by one pool", "[apps]") {
  start(asking("say "));
  CHECK(text == "done");
  CHECK(finish == "stop");
  CHECK(matched_token == toy_eos);
  CHECK(scripts[1]->requests.size() == 1);
  CHECK(scripts[0]->requests.empty());
  CHECK(service->running() == 0);
}

TEST_CASE_METHOD(completing, "another pool decodes what one has no token for", "[apps]") {
  scripts[1]->barren = {"/"};
  start(asking("say "));
  CHECK(text == "done");
  scripts[0]->barren = {"/"};
  start(asking("say "));
  CHECK(refused.find("give no token") != std::string::npos);
}

TEST_CASE_METHOD(completing, "a prompt as long as the context is refused whatever is asked of it",
                 "[apps]") {
  for (const std::uint32_t tokens : {0, 16}) {
    auto request = asking(std::string(100, 'x'));
    request.max_tokens = tokens;
    request.echo = true;
    start(request);
    CHECK(refused.find("no room in the model's context") != std::string::npos);
    CHECK(text.empty());
    refused.clear();
    request.prompt = std::string(90, 'x');
    start(request);
    CHECK(refused.empty());
    CHECK_FALSE(std::exchange(text, {}).empty());
  }
}

TEST_CASE_METHOD(completing, "a completion goes on to another pool when its own is lost",
                 "[apps]") {
  scripts[1]->silent = {"/"};
  start(asking("say "));
  CHECK(text.empty());
  lose(1);
  CHECK(text == "done");
  CHECK(finish == "stop");
  CHECK(scripts[0]->requests.at(0).ids == scripts[1]->requests.at(0).ids);
}

TEST_CASE_METHOD(completing, "a completion whose last pool is lost is refused", "[apps]") {
  for (const auto& script : scripts) script->silent = {"/"};
  start(asking("say "));
  lose(1);
  CHECK(refused.empty());
  lose(0);
  CHECK(refused.find("pool was lost") != std::string::npos);
  CHECK(service->running() == 0);
}

/// Somebody has read the beginning: the rest of another pool's answer might not fit to it.
TEST_CASE_METHOD(completing, "a completion that was told in part is not begun again", "[apps]") {
  scripts[1]->silent = {"/"};
  auto request = asking("say ");
  request.stream = true;
  start(std::move(request));
  const auto asker = caf::actor_cast<caf::actor>(scripts[1]->askers.at("/"));
  self->send(asker, decode_progress{toy_codec().encode("do"), {-1, -1}, {}});
  run();
  CHECK(text == "do");
  lose(1);
  CHECK(refused.find("pool was lost") != std::string::npos);
  CHECK(scripts[0]->requests.empty());
}

TEST_CASE_METHOD(completing, "nothing is decoded for a completion whose client left at once",
                 "[apps]") {
  scripts[1]->silent = {"/"};
  service->stop(service->start(asking("say "), nullptr, [](const auto&) {}));
  run();
  REQUIRE(scripts[1]->requests.size() == 1);
  CHECK(ask<sequence_status>(pools[1].actor, sequence_request{0, "/"})->prompt_tokens == 0);
  CHECK(scripts[1]->cancelled.size() == 1);
}

TEST_CASE_METHOD(completing, "a pool that does not answer in time need not go on", "[apps]") {
  scripts[1]->silent = {"/"};
  start(asking("say "));
  CHECK(scripts[1]->cancelled.empty());
  advance(std::chrono::minutes(31));
  CHECK(text == "done"); // by the other one
  CHECK(scripts[1]->cancelled.size() == 1);
}

TEST_CASE_METHOD(completing, "a prompt is scored before its text goes on", "[apps]") {
  auto request = asking("say ");
  request.echo = true;
  request.logprobs = 0;
  start(std::move(request));
  CHECK(text == "say done");
  const auto& asked = scripts[1]->requests;
  REQUIRE(asked.size() == 2);
  CHECK(asked[0].scores_prompt);
  CHECK(asked[0].max_tokens == 1);
  CHECK_FALSE(asked[1].scores_prompt);
}

TEST_CASE_METHOD(completing, "an exception in a completion is told as its end", "[apps]") {
  auto broken = toy_codec();
  const auto when = GENERATE(as<std::string>{}, "it begins", "it is told");
  CAPTURE(when);
  if (when == "it begins")
    broken.encode = [](auto) -> std::vector<std::int32_t> { throw std::runtime_error("broken"); };
  else
    broken.piece = [](std::int32_t) -> std::string { throw std::runtime_error("broken"); };
  service.emplace(sys, completion_means{pools, broken, std::make_shared<bytes>(), 100});
  start(asking("say "));
  CHECK(refused.find("did not answer") != std::string::npos);
  CHECK(service->running() == 0);
}

TEST_CASE_METHOD(completing, "completions that run are told when the service ends", "[apps]") {
  scripts[1]->silent = {"/"};
  start(asking("say "));
  CHECK(service->running() == 1);
  service->break_off();
  CHECK(refused.find("about to end") != std::string::npos);
  run();
  CHECK(scripts[1]->cancelled == std::vector<std::string>{"/"});
  refused.clear();
  start(asking("say "));
  CHECK(refused.find("about to end") != std::string::npos);
}

} // namespace
} // namespace banyan
