#include "model/transformer.hpp"

#include "model/cuda_runner.hpp"
#include "model/device.hpp"
#include "model/device_cuda.hpp"
#include "model/recording_turn.hpp"
#include "tests/decode_fixture.hpp"

#include <catch2/catch.hpp>

#include <exception>
#include <limits>
#include <set>
#include <thread>

// Decoding on a GPU against the reference, which computes on the CPU.

using namespace banyan;

namespace {

std::shared_ptr<const model_weights> on_gpu(const model_config& c, dtype type = dtype::float32,
                                            std::uint64_t seed = 1) {
  return std::make_shared<const model_weights>(copy_weights(*sharp_weights(c, seed), type, "cuda"));
}

constexpr double float_noise = 5e-5;
constexpr auto enough = static_cast<std::size_t>(recording_turn::runs_before) + 4;

/// Sequences of different lengths that all get one more token at a time, so that batches of one
/// size come again and again; what their last tokens' logits are off by at most, relative to the
/// largest.
double error_of_growing(decoder& d, const model_weights& w, std::size_t sequences,
                        std::size_t steps) {
  std::vector<decoder::sequence> all(sequences);
  std::vector<token_ids> texts;
  for (std::size_t i = 0; i < sequences; ++i) {
    texts.push_back(random_ids(1 + 7 * i + steps, w.config, static_cast<unsigned>(i + 1)));
    d.decode({{&all[i],
               token_ids(texts[i].begin(), texts[i].end() - static_cast<std::ptrdiff_t>(steps))}});
  }
  at::Tensor last;
  for (auto left = static_cast<std::ptrdiff_t>(steps); left > 0; --left) {
    std::vector<decoder::piece> next;
    for (std::size_t i = 0; i < sequences; ++i) next.push_back({&all[i], {texts[i].end()[-left]}});
    last = d.decode(next);
  }
  double error = 0;
  for (std::size_t i = 0; i < sequences; ++i) {
    const auto expected = reference_logits(w, texts[i])[-1];
    error = std::max(error, largest_difference(last[static_cast<std::int64_t>(i)], expected)
                                / expected.abs().max().item<double>());
  }
  return error;
}

} // namespace

TEST_CASE("a GPU decodes as full attention does for every grouping of heads", "[cuda]") {
  const auto [heads, kv_heads] =
      GENERATE(std::pair(4, 4), std::pair(4, 2), std::pair(6, 2), std::pair(5, 1));
  CAPTURE(heads, kv_heads);
  CHECK(relative_error(on_gpu(tiny_shape(heads, kv_heads, 16)), 16, 40, 40) < float_noise);
}

TEST_CASE("a GPU decodes as full attention does for every length of heads", "[cuda]") {
  const auto head_dim = GENERATE(2, 6, 8, 12, 16, 24, 32, 48, 64, 80, 128, 256);
  CAPTURE(head_dim);
  CHECK(relative_error(on_gpu(tiny_shape(2, 1, head_dim)), 16, 21, 21) < float_noise);
}

TEST_CASE("a GPU decodes as full attention does for every size of block", "[cuda]") {
  const auto block_size = GENERATE(1, 3, 8, 16, 32, 100);
  CAPTURE(block_size);
  CHECK(relative_error(on_gpu(tiny_shape()), block_size, 50, 7) < float_noise);
}

TEST_CASE("long prompts are right on a GPU in chunks of any length", "[cuda]") {
  const auto chunk = GENERATE(1, 7, 64, 300, 1000);
  CAPTURE(chunk);
  CHECK(relative_error(on_gpu(tiny_shape()), 16, 1000, static_cast<std::size_t>(chunk))
        < float_noise);
}

TEST_CASE("more tokens than are recorded are right on a GPU", "[cuda]") {
  auto c = tiny_shape();
  c.max_positions = 2048;
  CHECK(relative_error(on_gpu(c), 16, 1500, 1500) < float_noise);
}

TEST_CASE("heads that a GPU cannot hold are refused with a remedy", "[cuda]") {
  CHECK_THROWS_WITH(relative_error(on_gpu(tiny_shape(1, 1, 258)), 16, 4, 4),
                    Catch::Contains("256") && Catch::Contains("--device cpu"));
}

TEST_CASE("steps that are replayed are those that were recorded with other numbers", "[cuda]") {
  const auto sequences = GENERATE(1, 2, 3, 8, 13, 40);
  CAPTURE(sequences);
  const auto w = on_gpu(tiny_shape());
  decoder d(w, 16, 1024);
  CHECK(error_of_growing(d, *w, static_cast<std::size_t>(sequences), enough) < float_noise);
  CHECK(error_of_growing(d, *w, static_cast<std::size_t>(sequences), enough) < float_noise);
}

TEST_CASE("what was recorded outlives larger batches", "[cuda]") {
  const auto w = on_gpu(tiny_shape());
  decoder d(w, 1, 4096);
  CHECK(error_of_growing(d, *w, 4, enough) < float_noise);
  CHECK(error_of_growing(d, *w, 30, enough) < float_noise);
  CHECK(error_of_growing(d, *w, 4, enough) < float_noise);
}

TEST_CASE("weights that take turns over one cache each have their own recordings", "[cuda]") {
  const auto one = on_gpu(tiny_shape()), two = on_gpu(tiny_shape(), dtype::float32, 2);
  decoder d(one, 16, 1024);
  CHECK(error_of_growing(d, *one, 4, enough) < float_noise);
  for (int turn = 0; turn < 6; ++turn) { // more models than recordings are kept of
    const auto w = turn % 2 ? one : two;
    d.model = std::make_shared<const transformer>(w);
    CHECK(error_of_growing(d, *w, 4, enough) < float_noise);
  }
}

TEST_CASE("caches that share weights have recordings of their own", "[cuda]") {
  const auto w = on_gpu(tiny_shape());
  decoder one(w, 16, 1024), two(w, 8, 2048);
  for (int turn = 0; turn < 2; ++turn) {
    CHECK(error_of_growing(one, *w, 4, enough) < float_noise);
    CHECK(error_of_growing(two, *w, 4, enough) < float_noise);
  }
}

TEST_CASE("models are prepared on another OS thread while steps are recorded", "[cuda]") {
  const auto w = on_gpu(tiny_shape());
  std::exception_ptr refused;
  std::jthread publisher([&](const std::stop_token& stop) {
    try {
      while (!stop.stop_requested()) transformer(on_gpu(tiny_shape())).prepare();
    } catch (...) {
      refused = std::current_exception();
    }
  });
  for (int turn = 0; turn < 20; ++turn) { // each records anew
    decoder d(w, 16, 1024);
    CHECK(error_of_growing(d, *w, 4, enough) < float_noise);
  }
  publisher.request_stop();
  publisher.join();
  CHECK_FALSE(refused);
}

TEST_CASE("a GPU follows weights that are changed in place", "[cuda]") {
  const auto w = on_gpu(tiny_shape());
  decoder d(w, 16, 1024);
  CHECK(error_of_growing(d, *w, 4, enough) < float_noise);
  w->layers[1].down.mul_(1.5);
  w->layers[0].mlp_norm.mul_(0.5);
  CHECK(error_of_growing(d, *w, 4, enough) < float_noise);
}

TEST_CASE("bfloat16 decoding on a GPU stays near the reference of its rounded weights", "[cuda]") {
  const auto head_dim = GENERATE(6, 32, 64);
  const auto w = on_gpu(tiny_shape(4, 2, head_dim), dtype::bfloat16);
  const auto ids = random_ids(40, w->config);
  const auto expected = reference_logits(*w, ids);
  const auto chunk = GENERATE(40, 1);
  const auto error =
      decoder(w, 16).prefill(ids, static_cast<std::size_t>(chunk)).to(at::kDouble) - expected;
  CHECK((error.square().mean() / expected.square().mean()).sqrt().item<double>() < 0.03);
}

TEST_CASE("attention that is not a number is not one in a GPU's logits either", "[cuda]") {
  const auto w = on_gpu(tiny_shape());
  w->layers[1].qkv.fill_(std::numeric_limits<float>::quiet_NaN());
  CHECK(decoder(w, 16).prefill(random_ids(40, w->config), 40).isnan().all().item<bool>());
}

TEST_CASE("a lack of memory is known whichever part of a step had too little", "[cuda]") {
  constexpr int memory_allocation = 2, illegal_address = 700; // of cudaError_t
  const auto is_memory = [](int error) {
    try {
      throw_cuda_error("a step", error);
    } catch (const std::exception& why) {
      CHECK_THAT(why.what(), Catch::StartsWith("a step: "));
      return is_out_of_memory(why);
    }
  };
  CHECK(is_memory(memory_allocation));
  CHECK_FALSE(is_memory(illegal_address));
}

TEST_CASE("only the wanted tokens have logits on a GPU", "[cuda]") {
  const auto w = on_gpu(tiny_shape());
  decoder d(w, 16);
  const auto ids = random_ids(9, w->config);
  const auto all = d.prefill(ids, ids.size());
  CHECK(all.is_cpu());
  decoder::sequence s;
  auto b = d.batch({{&s, ids}});
  b.wanted = {2, 8};
  CHECK(largest_difference(d.model->decode(b, d.cache), all.index_select(0, at::tensor({2, 8})))
        < 1e-3);
  b.wanted.clear();
  CHECK(d.model->decode(b, d.cache).sizes() == at::IntArrayRef({0, w->config.vocab_size}));
}

TEST_CASE("a runner's stream is its own, and the next one's when it is gone", "[cuda]") {
  const at::Device gpu(at::kCUDA, 0);
  const cuda_runner kept(gpu, 1);
  std::set<void*> later;
  for (int i = 0; i < 40; ++i) later.insert(cuda_runner(gpu, 1).stream()); // more than LibTorch has
  CHECK(later.size() == 1);
  CHECK_FALSE(later.contains(kept.stream()));
}
