#include "model/training_attention.hpp"

#include "tests/attention_reference.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

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

TEST_CASE("training attention gives the same bits on any number of OS threads", "[model]") {
  const auto c = config_of({4, 2, 32});
  sequence_batch b;
  b.starts = {0};
  for (const std::int32_t length : {40, 300, 0, 1, 130}) {
    for (std::int32_t i = 0; i < length; ++i) b.positions.push_back(i);
    b.starts.push_back(b.starts.back() + length);
  }
  b.visible_until.assign(b.positions.size(), visible_always);
  b.ids.assign(b.positions.size(), 1);
  const auto qkv = at::sin(at::arange(471 * 8 * 32, at::kFloat) * 1.7).view({471, -1});
  const auto usual = at::get_num_threads();
  const auto on = [&](int os_threads) {
    at::set_num_threads(os_threads);
    auto found = run(qkv, training_attention(b, c, at::kCPU));
    at::set_num_threads(usual);
    return found;
  };
  const auto one = on(1);
  for (const int os_threads : {2, 3, 16}) {
    const auto many = on(os_threads);
    CHECK(at::equal(one.output, many.output));
    CHECK(at::equal(one.gradient, many.gradient));
  }
  const auto expected = run(qkv, [&](const at::Tensor& x) { return reference(x, b, c); });
  CHECK(difference(one.output, expected.output) < 1e-5);
  CHECK(difference(one.gradient, expected.gradient) < 5e-5);
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
