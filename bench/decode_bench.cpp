// Speed of transformer::decode at the shape of the shipped model.

#include "bench/bench_options.hpp"
#include "model/attention.hpp"
#include "model/elapsed.hpp"
#include "model/kv_cache.hpp"
#include "model/product.hpp"
#include "model/recording_turn.hpp"
#include "model/transformer.hpp"
#include "model/weights.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

using namespace banyan;

namespace {

constexpr std::int32_t block_size = 16;

/// The next token of `sequences` sequences whose blocks lie anywhere in the cache.
decode_batch next_tokens(std::int32_t sequences, std::int32_t context) {
  const auto blocks_each = (context + block_size - 1) / block_size;
  decode_batch b;
  b.starts = b.block_starts = {0};
  for (std::int32_t i = 0; i < sequences; ++i) {
    for (std::int32_t j = 0; j < blocks_each; ++j) b.blocks.push_back(j * sequences + i);
    b.ids.push_back(i % 64);
    b.positions.push_back(context - 1);
    b.slots.push_back(b.blocks.back() * block_size + (context - 1) % block_size);
    b.starts.push_back(i + 1);
    b.block_starts.push_back(blocks_each * (i + 1));
    b.wanted.push_back(i);
  }
  return b;
}

cache_size room_for(const decode_batch& b) {
  return {static_cast<std::int64_t>(b.blocks.size()), block_size,
          static_cast<std::int64_t>(b.ids.size())};
}

/// Median seconds of a call.
template <class Step>
double seconds(const Step& step) {
  using clock = std::chrono::steady_clock;
  std::vector<double> times;
  for (int i = 0; i < 3; ++i) step();
  const auto end = clock::now() + std::chrono::milliseconds(500);
  while (clock::now() < end) {
    const auto start = clock::now();
    step();
    times.push_back(std::chrono::duration<double>(clock::now() - start).count());
  }
  std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
  return times[times.size() / 2];
}

/// The matrix products of a step alone.
double product_seconds(const model_weights& w, std::int64_t tokens) {
  struct work {
    product matrix;
    at::Tensor x, out;
  };
  std::vector<work> all;
  const auto add = [&](const at::Tensor& m) {
    all.push_back({product(m, true), at::randn({tokens, m.size(1)}).to(m.scalar_type()),
                   at::empty({tokens, m.size(0)}, m.options())});
  };
  add(w.head);
  for (const auto& layer : w.layers)
    for (const auto& m : {layer.qkv, layer.output, layer.gate_up, layer.down}) add(m);
  return seconds([&] {
    for (auto& p : all) p.matrix.into(p.x, p.out);
  });
}

/// The attention of a step alone, over the same cache.
double attention_seconds(const decode_batch& b, const model_config& c, const kv_cache& cache) {
  const auto tokens = static_cast<std::int64_t>(b.ids.size());
  auto query = at::randn({tokens, c.num_heads * c.head_dim}).to(cache.keys.scalar_type());
  auto output = at::empty_like(query);
  return seconds([&] {
    for (std::int64_t layer = 0; layer < c.num_layers; ++layer)
      paged_attention({.query = query.data_ptr(),
                       .keys = cache.keys.select(0, layer).data_ptr(),
                       .values = cache.values.select(0, layer).data_ptr(),
                       .output = output.data_ptr(),
                       .starts = b.starts.data(),
                       .positions = b.positions.data(),
                       .blocks = b.blocks.data(),
                       .block_starts = b.block_starts.data(),
                       .num_sequences = static_cast<std::int32_t>(b.num_sequences()),
                       .num_tokens = static_cast<std::int32_t>(tokens),
                       .heads = static_cast<std::int32_t>(c.num_heads),
                       .kv_heads = static_cast<std::int32_t>(c.num_kv_heads),
                       .head_dim = static_cast<std::int32_t>(c.head_dim),
                       .block_size = block_size,
                       .query_stride = query.size(1),
                       .scale = 1 / std::sqrt(static_cast<float>(c.head_dim)),
                       .bfloat16 = cache.keys.scalar_type() == at::kBFloat16},
                      on_cpu());
  });
}

void measure_on_gpu(const std::shared_ptr<const model_weights>& w, dtype type,
                    std::int32_t sequences, std::int32_t context) {
  const auto b = next_tokens(sequences, context);
  kv_cache cache(w->config, room_for(b), type, "cuda");
  cache.keys.normal_();
  cache.values.normal_();
  cache.values[0][0][0][0][0].item<float>(); // done
  transformer model(w);
  std::vector<double> first; // seconds of each, the last one with a recording
  for (int i = 0; i <= recording_turn::runs_before + 1; ++i) {
    const auto start = std::chrono::steady_clock::now();
    model.decode(b, cache);
    first.push_back(seconds_since(start));
  }
  const auto recording = first.back();
  std::nth_element(first.begin(), first.begin() + first.size() / 2, first.end());
  const auto unrecorded = first[first.size() / 2];
  const auto step = seconds([&] { model.decode(b, cache); });
  const auto read = double(context) * sequences / block_size
                    * double(kv_cache::block_bytes(w->config, block_size, type));
  std::printf("%6d %12.0f %9.3f %14.0f %12.3f %12.3f\n", sequences, sequences / step, step * 1e3,
              read / step / 1e9, unrecorded * 1e3, recording * 1e3);
}

void measure(const std::shared_ptr<const model_weights>& w, dtype type, std::int32_t sequences,
             std::int32_t context) {
  const auto b = next_tokens(sequences, context);
  kv_cache cache(w->config, room_for(b), type, "cpu");
  cache.keys.normal_();
  cache.values.normal_();
  transformer model(w);
  const auto step = seconds([&] { model.decode(b, cache); });
  const auto products = product_seconds(*w, sequences);
  const auto attention = attention_seconds(b, w->config, cache);
  std::printf("%10d %6d %12.0f %9.3f %9.0f%% %9.0f%% %9.0f%%\n", at::get_num_threads(), sequences,
              sequences / step, step * 1e3, 100 * products / step, 100 * attention / step,
              100 * (step - products - attention) / step);
}

struct bench_options {
  dtype precision = dtype::float32;
  int context = 300;
  int batch = 0; ///< 0: several
  std::string device = "cpu";

  std::vector<int> batches() const {
    if (batch > 0) return {batch};
    if (device == "cpu") return {1, 8, 16, 24, 32, 64, 256};
    return {1, 8, 64, 256, 1024};
  }
};

bench_options parse(int argc, char** argv) {
  bench_options o;
  auto list = bench_options_of(
      "decode_bench", "[options]",
      "Speed of a decode step at the shape of the shipped model: every sequence decodes one token "
      "at\n"
      "a full context of its own; figures are the median step of half a second. On a GPU: what a\n"
      "step reads of the cache in a second, too.");
  declare_dtype(list, "dtype", o.precision, "of weights and cache");
  list.number("context", o.context, "tokens of each sequence", positive);
  list.number("batch", o.batch, "sequences of a step; 0: several numbers of them", not_negative);
  declare_device(list, o.device, "where to decode");
  read_words(list, argc, argv);
  return o;
}

} // namespace

int main(int argc, char** argv) try {
  const at::AutoDispatchBelowADInplaceOrView no_autograd;
  const auto o = parse(argc, argv);
  const auto type = o.precision;
  const auto w = model_to_measure({}, type, o.device).weights;
  std::printf("%s, context %d\n", type == dtype::float32 ? "float32" : "bfloat16", o.context);
  if (o.device != "cpu") {
    std::printf("%6s %12s %9s %14s %12s %12s\n", "batch", "tokens/s", "ms/step", "GB/s of cache",
                "unrecorded", "recording");
    for (const int sequences : o.batches()) measure_on_gpu(w, type, sequences, o.context);
    return 0;
  }
  std::printf("%10s %6s %12s %9s %10s %10s %10s\n", "OS threads", "batch", "tokens/s", "ms/step",
              "products", "attention", "rest");
  for (const int os_threads : {1, 2}) {
    at::set_num_threads(os_threads);
    for (const int sequences : o.batches()) measure(w, type, sequences, o.context);
  }
} catch (...) {
  return told_failure("decode_bench");
}
