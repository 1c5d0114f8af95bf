#include "gpu_pool/pool.hpp"
#include "model/checkpoint.hpp"
#include "model/kv_cache.hpp"
#include "model/tokenizer.hpp"
#include "model/transformer.hpp"
#include "model/weights.hpp"
#include "tests/deterministic_system.hpp"
#include "tests/scratch_folder.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <catch2/catch.hpp>

#include <filesystem>
#include <numeric>

using namespace banyan;

namespace {

checkpoint tiny_checkpoint(std::uint64_t seed) {
  auto vocabulary = countdown_tokenizer();
  model_config c;
  c.vocab_size = vocabulary->vocab_size();
  c.hidden_size = 32;
  c.num_layers = 2;
  c.num_kv_heads = 2;
  c.head_dim = 8;
  c.intermediate_size = 48;
  c.max_positions = 256;
  c.bos_id = vocabulary->bos_id();
  c.eos_id = vocabulary->eos_id();
  c.pad_id = vocabulary->pad_id();
  return {c, vocabulary, std::make_shared<model_weights>(random_weights(c, seed))};
}

/// Logits of the last token: the whole text at once, in a cache of its own that holds nothing else.
at::Tensor next_logits(const transformer& model, const std::vector<std::int32_t>& ids) {
  const auto length = static_cast<std::int32_t>(ids.size());
  kv_cache cache(model.config(), {1, length, length}, dtype::float32, "cpu");
  decode_batch text;
  text.ids = ids;
  text.positions.resize(ids.size());
  std::iota(text.positions.begin(), text.positions.end(), 0);
  text.slots = text.positions;
  text.starts = {0, length};
  text.blocks = {0};
  text.block_starts = {0, 1};
  text.wanted = {length - 1};
  return model.decode(text, cache)[0]; // [vocab]
}

/// Greedy decoding token by token, without anything that is remembered between tokens.
std::vector<std::int32_t> greedy(const checkpoint& from, const decode_request& request) {
  const transformer model(from.weights);
  auto ids = request.ids;
  const auto end = ids.size() + request.max_tokens;
  do ids.push_back(next_logits(model, ids).argmax().item<std::int32_t>());
  while (ids.size() < end && ids.back() != from.config.eos_id);
  return {ids.begin() + static_cast<std::ptrdiff_t>(request.ids.size()), ids.end()};
}

struct transformer_pool : deterministic_system {
  // Where other processes compute as well, OS threads that wait for each other cost more than they
  // bring.
  transformer_pool() { at::set_num_threads(1); }
  ~transformer_pool() { end(pool); }

  void spawn(pool_options options) {
    options.log = [this](std::string_view line) { lines.emplace_back(line); };
    pool = spawn_pool(sys, options, model, false);
  }

  decode_request request_of(std::uint32_t which) const {
    decode_request request;
    request.family = which / 3;
    request.thread = "/" + std::to_string(which % 3);
    request.ids = model.vocabulary->encode("Moving to Node #0\nCurrent State: 47:[42, 61, 66]");
    for (std::uint32_t i = 0; i < which; ++i)
      request.ids.push_back(static_cast<std::int32_t>((which * 7 + i * i) % 10) + 5);
    request.max_tokens = 20 + which % 5;
    return request;
  }

  static std::shared_ptr<const transformer> ready(const checkpoint& from) {
    auto published = std::make_shared<transformer>(from.weights);
    published->prepare();
    return published;
  }

  /// What a tree says that is pinned to epoch 0: the root until it spawns, two children, and the
  /// root after its join; `between(step)` is called before every step.
  template <class Between>
  std::vector<std::pair<std::vector<std::int32_t>, std::vector<float>>>
  pinned_tree(Between between) {
    if (pool) end(pool);
    spawn({});
    std::vector<std::pair<std::vector<std::int32_t>, std::vector<float>>> said;
    int step = 0;
    const auto decode = [&](std::vector<decode_request> requests) {
      std::vector<decltype(self->request(pool, caf::infinite, decode_request{}))> asked;
      for (auto& request : requests) {
        request.family = 1000;
        request.weights_epoch = 0;
        request.sampling = {.temperature = 1, .seed = 5};
        asked.push_back(self->request(pool, caf::infinite, request));
      }
      do between(step++);
      while (scheduler().try_run_once());
      for (auto& answer : asked) {
        auto reply = take<decode_reply>(answer);
        REQUIRE(reply);
        CHECK(reply->epochs == std::vector<std::uint32_t>(reply->ids.size(), 0));
        said.emplace_back(std::move(reply->ids), std::move(reply->logprobs));
      }
    };
    auto root = request_of(6);
    root.thread = "/";
    decode({root});
    decode({request_of(7), request_of(8)});
    root.ids.insert(root.ids.end(), said[0].first.begin(), said[0].first.end() - 3);
    for (std::size_t child : {1, 2})
      root.ids.insert(root.ids.end(), said[child].first.begin(), said[child].first.end());
    root.resumes_join = true;
    decode({root});
    return said;
  }

  checkpoint model = tiny_checkpoint(1);
  pool_actor pool;
  std::vector<std::string> lines;
};

} // namespace

TEST_CASE_METHOD(transformer_pool, "a pool says what its transformer says token by token",
                 "[pool]") {
  pool_options options;
  options.scheduling.prefill_tokens = 50;
  // Two kv heads of 8 in two layers: 4096 bytes a block of 16 tokens. So 24 blocks, far too few for
  // all.
  options.cache_bytes = 24 * 4096;
  spawn(options);
  std::vector<decltype(self->request(pool, caf::infinite, decode_request{}))> asked;
  for (std::uint32_t i = 0; i < 20; ++i)
    asked.push_back(self->request(pool, caf::infinite, request_of(i)));
  run();
  for (std::uint32_t i = 0; i < 20; ++i)
    CHECK(take<decode_reply>(asked[i])->ids == greedy(model, request_of(i)));
  const auto status = ask<pool_status>(pool, atom::status::value);
  CHECK(status->blocks_total == 24);
  CHECK(status->cached_tokens > 0);
}

TEST_CASE_METHOD(transformer_pool, "a parent goes on after its join as if it had never left",
                 "[pool]") {
  spawn({});
  auto request = request_of(9);
  const auto before = ask<decode_reply>(pool, request);
  request.ids.insert(request.ids.end(), before->ids.begin(), before->ids.end() - 7);
  const auto joined = model.vocabulary->encode("<Sub Searches>\n<End Sub Searches>\n");
  request.ids.insert(request.ids.end(), joined.begin(), joined.end());
  const auto after = ask<decode_reply>(pool, request);
  CHECK(after->cached_tokens == request.ids.size() - joined.size());
  CHECK(after->ids == greedy(model, request));
}

TEST_CASE_METHOD(transformer_pool, "a pool decodes with the checkpoint that was published",
                 "[pool]") {
  spawn({});
  const scratch_folder folder;
  const auto next = tiny_checkpoint(2);
  save_checkpoint(folder / "next", *next.weights, *next.vocabulary);
  CHECK(ask<decode_reply>(pool, request_of(4))->ids == greedy(model, request_of(4)));
  REQUIRE(ask<weights_taken>(pool, weights_ready{1, nullptr, (folder / "next").string()}));
  const auto reply = ask<decode_reply>(pool, request_of(4));
  CHECK(reply->ids == greedy(next, request_of(4)));
  CHECK(reply->ids != greedy(model, request_of(4)));
  CHECK(reply->epochs == std::vector<std::uint32_t>(reply->ids.size(), 1));
  CHECK(lines.empty());
}

TEST_CASE_METHOD(transformer_pool, "a damaged checkpoint changes nothing", "[pool]") {
  spawn({});
  const scratch_folder folder;
  const auto next = tiny_checkpoint(2);
  save_checkpoint(folder / "next", *next.weights, *next.vocabulary);
  std::filesystem::resize_file(folder / "next" / "model.safetensors", 1000);
  const auto refused =
      ask<weights_taken>(pool, weights_ready{1, nullptr, (folder / "next").string()});
  CHECK(errc_of(refused.error(), errc::none) == errc::bad_weights);
  CHECK(ask<decode_reply>(pool, request_of(4))->ids == greedy(model, request_of(4)));
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].find("model.safetensors") != std::string::npos);
}

TEST_CASE_METHOD(transformer_pool, "a checkpoint of another shape changes nothing", "[pool]") {
  spawn({});
  const scratch_folder folder;
  auto next = tiny_checkpoint(2);
  next.config.num_layers = 1;
  save_checkpoint(folder / "next", random_weights(next.config, 2), *next.vocabulary);
  const auto refused =
      ask<weights_taken>(pool, weights_ready{1, nullptr, (folder / "next").string()});
  CHECK(errc_of(refused.error(), errc::none) == errc::bad_weights);
  CHECK(ask<decode_reply>(pool, request_of(4))->ids == greedy(model, request_of(4)));
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].find("another shape") != std::string::npos);
}

// ---- weights that are published in memory ----

TEST_CASE_METHOD(transformer_pool, "a pool decodes with the model that was published", "[pool]") {
  spawn({});
  const auto next = tiny_checkpoint(2);
  const auto published = ready(next);
  const auto taken = ask<weights_taken>(pool, weights_ready{1, published, ""});
  REQUIRE(taken);
  CHECK(taken->epoch == 1);
  const auto reply = ask<decode_reply>(pool, request_of(4));
  CHECK(reply->ids == greedy(next, request_of(4)));
  CHECK(reply->ids != greedy(model, request_of(4)));
  CHECK(reply->epochs == std::vector<std::uint32_t>(reply->ids.size(), 1));
}

TEST_CASE_METHOD(transformer_pool, "a pool lets go of a model that nobody needs", "[pool]") {
  pool_options options;
  options.keep_epochs = 1;
  spawn(options);
  const auto published = ready(tiny_checkpoint(2));
  REQUIRE(ask<weights_taken>(pool, weights_ready{1, published, ""}));
  for (std::uint32_t epoch = 2; epoch < 4; ++epoch) {
    CHECK(published.use_count() == 2);
    REQUIRE(ask<weights_taken>(pool, weights_ready{epoch, ready(tiny_checkpoint(2)), ""}));
  }
  CHECK(published.use_count() == 1);
}

TEST_CASE_METHOD(transformer_pool, "a published model that does not fit changes nothing",
                 "[pool]") {
  spawn({});
  const auto refused = [&](const model_weights& weights) {
    const auto next = std::make_shared<transformer>(std::make_shared<model_weights>(weights));
    const auto answer = ask<weights_taken>(pool, weights_ready{1, next, ""});
    return !answer && errc_of(answer.error(), errc::none) == errc::bad_weights;
  };
  auto shape = model.config;
  ++shape.num_layers;
  CHECK(refused(random_weights(shape, 2)));
  shape = model.config;
  ++shape.vocab_size;
  CHECK(refused(random_weights(shape, 2)));
  CHECK(refused(copy_weights(*model.weights, dtype::bfloat16, "cpu")));
  CHECK(ask<pool_status>(pool, atom::status::value)->epochs == std::vector<std::uint32_t>{0});
  CHECK(ask<decode_reply>(pool, request_of(4))->ids == greedy(model, request_of(4)));
  CHECK_FALSE(refused(random_weights(model.config, 2)));
}

TEST_CASE_METHOD(transformer_pool, "a pinned tree is the same to the last bit under new weights",
                 "[pool]") {
  const auto undisturbed = pinned_tree([](int) {});
  CHECK(undisturbed == pinned_tree([](int) {}));
  // Its batch-mates are of two other epochs, and it comes back from its join two epochs later.
  std::uint32_t mate = 20, epoch = 0;
  const auto disturbed = pinned_tree([&](int step) {
    if (step != 2 && step != 30) return;
    ++epoch;
    self->send(pool, weights_ready{epoch, ready(tiny_checkpoint(2 + epoch)), ""});
    for (int i = 0; i < 5; ++i) self->send(pool, request_of(mate++));
  });
  CHECK(ask<pool_status>(pool, atom::status::value)->weights_epoch == 2);
  CHECK(disturbed == undisturbed);
}

TEST_CASE("a pool on a device that is not there is refused at once", "[pool]") {
  deterministic_system system;
  pool_options options;
  options.device = "cuda:99";
  CHECK_THROWS(spawn_pool(system.sys, options, tiny_checkpoint(1), false));
}
