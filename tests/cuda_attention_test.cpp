#include "model/device.hpp"
#include "model/training_attention.hpp"
#include "tests/attention_reference.hpp"

#include <catch2/catch.hpp>

#include <random>

// Our kernel of training on a GPU against attention written out in double precision.

using namespace banyan;

namespace {

/// Sequences of these lengths. From place to place a block begins, sometimes within another one,
/// that what comes after it does not see.
sequence_batch random_trees(const std::vector<std::int32_t>& lengths, unsigned seed) {
  std::mt19937 random(seed);
  const auto below = [&](std::int32_t n) {
    return static_cast<std::int32_t>(random() % static_cast<unsigned>(std::max(n, 1)));
  };
  sequence_batch b;
  b.starts = {0};
  for (const auto length : lengths) {
    const auto begin = b.visible_until.size();
    b.visible_until.resize(begin + static_cast<std::size_t>(length), visible_always);
    for (std::int32_t i = 0; i < length; ++i) b.positions.push_back(i);
    std::int32_t from = 0, to = length;
    for (int block = 0; block < 6 && to - from > 4; ++block) {
      const auto first = from + below((to - from) / 2), end = first + 2 + below(to - first - 2);
      std::fill(b.visible_until.begin() + static_cast<std::ptrdiff_t>(begin) + first,
                b.visible_until.begin() + static_cast<std::ptrdiff_t>(begin) + end, end);
      if (block % 2 == 0) {
        from = first + 1; // the next one lies within
        to = end;
      } else {
        from = end;
        to = length;
      }
    }
    b.starts.push_back(b.starts.back() + length);
  }
  b.ids.assign(b.positions.size(), 1);
  return b;
}

at::Tensor waves(std::int64_t tokens, const model_config& c) {
  const auto width = (c.num_heads + 2 * c.num_kv_heads) * c.head_dim;
  return (2 * at::sin(at::arange(tokens * width, at::kDouble) * 1.7)).view({tokens, width});
}

void compare(shape s, const sequence_batch& b, double tolerance) {
  require_device("cuda");
  const auto c = config_of(s);
  const auto qkv = waves(b.starts.back(), c).to(at::kBFloat16);
  const auto ours = run(qkv.to(at::kCUDA), training_attention(b, c, at::kCUDA, at::kBFloat16));
  const auto theirs =
      run(qkv.to(at::kDouble), [&](const at::Tensor& x) { return reference(x, b, c); });
  const auto apart = [](const at::Tensor& x, const at::Tensor& y) {
    return ((x - y).norm() / y.norm()).item<double>();
  };
  CHECK(apart(ours.output, theirs.output) < tolerance);
  CHECK(apart(ours.gradient, theirs.gradient) < 2 * tolerance);
}

constexpr double bfloat16_noise = 8e-3;

} // namespace

TEST_CASE("our attention on a GPU is that written out in double precision", "[cuda]") {
  const auto s = GENERATE(shape{4, 4, 32}, shape{4, 2, 16}, shape{2, 1, 64}, shape{6, 2, 32});
  CAPTURE(s.heads, s.kv_heads, s.head_dim);
  compare(s, trees(), bfloat16_noise);
}

TEST_CASE("our attention on a GPU skips what is hidden and nothing else", "[cuda]") {
  const auto seed = GENERATE(1u, 2u, 3u, 4u);
  CAPTURE(seed);
  compare({2, 1, 32}, random_trees({700, 1, 64, 65, 63, 128, 333}, seed), bfloat16_noise);
}

TEST_CASE("our attention on a GPU gives the same to the last bit again", "[cuda]") {
  require_device("cuda");
  const auto c = config_of({4, 2, 32});
  const auto b = random_trees({500, 90, 210}, 7);
  const auto qkv = waves(800, c).to(at::kBFloat16).to(at::kCUDA);
  const auto one = run(qkv, training_attention(b, c, at::kCUDA, at::kBFloat16));
  const auto two = run(qkv, training_attention(b, c, at::kCUDA, at::kBFloat16));
  CHECK(at::equal(one.output, two.output));
  CHECK(at::equal(one.gradient, two.gradient));
}

TEST_CASE("our attention works on a GPU that is not the current one", "[cuda]") {
  try {
    require_device("cuda:1");
  } catch (const device_unavailable&) {
    WARN("needs a second GPU; nothing was checked");
    return;
  }
  const auto c = config_of({4, 2, 32});
  const auto b = random_trees({500, 90, 210}, 7);
  const auto on = [&](const at::Device& device) {
    return run(waves(800, c).to(at::kBFloat16).to(device),
               training_attention(b, c, device, at::kBFloat16));
  };
  const auto one = on({at::kCUDA, 0}), two = on({at::kCUDA, 1});
  CHECK(at::allclose(one.output, two.output, 1e-2, 1e-2)); // they may be of different models
  CHECK(at::allclose(one.gradient, two.gradient, 1e-2, 1e-2));
}
