#include "model/training_attention.hpp"

#include "tests/attention_reference.hpp"

#include <ATen/ATen.h>

#include <catch2/catch.hpp>

using namespace banyan;

namespace {

double difference(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

void compare(shape s, at::ScalarType type, double tolerance) {
  const auto c = config_of(s);
  const auto b = trees();
  auto qkv = at::sin(at::arange(194 * (s.heads + 2 * s.kv_heads) * s.head_dim, at::kFloat) * 1.7)
                 .view({194, -1})
                 .to(type);
  auto ours = run(qkv, training_attention(b, c, at::kCPU));
  auto theirs = run(qkv, [&](const at::Tensor& x) { return reference(x, b, c); });
  CHECK(difference(ours.output, theirs.output) < tolerance);
  CHECK(difference(ours.gradient, theirs.gradient) < tolerance * 5);
}

} // namespace

TEST_CASE("training attention equals attention written out in double precision", "[model]") {
  compare({4, 4, 32}, at::kFloat, 1e-5);
  compare({4, 2, 16}, at::kFloat, 1e-5);
  compare({2, 1, 64}, at::kFloat, 1e-5);
  compare({1, 1, 128}, at::kFloat, 1e-5);
}

TEST_CASE("training attention in bfloat16 stays within its rounding", "[model]") {
  compare({4, 4, 32}, at::kBFloat16, 3e-2);
}

TEST_CASE("sequences are padded with others of like length", "[model]") {
  const std::vector<std::int32_t> starts = {0, 3, 193, 194, 194, 294, 296}; // 3 190 1 0 100 2
  CHECK(of_like_length(starts) == std::vector<std::vector<std::size_t>>{{1, 4}, {0, 5}, {2}});
  CHECK(of_like_length(std::vector<std::int32_t>{0}).empty());
}

TEST_CASE("a head size that the kernel does not take goes through padded rows to the same result",
          "[model]") {
  compare({2, 2, 8}, at::kFloat, 1e-5);
  compare({4, 2, 24}, at::kFloat, 1e-5);
}
