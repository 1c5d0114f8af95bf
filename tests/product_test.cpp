#include "model/product.hpp"

#include <ATen/ATen.h>
#include <catch2/catch.hpp>

using namespace banyan;

namespace {

struct example {
  at::Tensor weight, x, exact; // [out, in], [tokens, in], [tokens, out] in float64

  example(std::int64_t tokens, std::int64_t in, std::int64_t out, at::ScalarType type)
      : weight(at::randn({out, in}).to(type)),
        x(at::randn({tokens, in}).to(type)),
        exact(x.to(at::kDouble).mm(weight.to(at::kDouble).t())) {}
};

double error(const at::Tensor& result, const example& e) {
  return (result.to(at::kDouble) - e.exact).abs().max().item<double>();
}

} // namespace

TEST_CASE("packed products are right for every number of tokens", "[model]") {
  for (std::int64_t tokens = 0; tokens <= 20; ++tokens) {
    const example e(tokens, 33, 130, at::kFloat);
    auto out = at::full({tokens, 130}, NAN);
    product(e.weight, true).into(e.x, out);
    if (tokens > 0) CHECK(error(out, e) < 1e-4);
  }
}

TEST_CASE("packed products are right for every number of columns", "[model]") {
  for (std::int64_t columns = 1; columns <= 70; ++columns) {
    const auto tokens = GENERATE(1, 7);
    const example e(tokens, 20, columns, at::kFloat);
    auto out = at::full({tokens, columns}, NAN);
    product(e.weight, true).into(e.x, out);
    CHECK(error(out, e) < 1e-4);
  }
}

TEST_CASE("a product large enough for several OS threads is right", "[model]") {
  const example e(300, 128, 400, at::kFloat);
  auto out = at::empty({300, 400});
  product(e.weight, true).into(e.x, out);
  CHECK(error(out, e) < 1e-3);
}

TEST_CASE("a row of a packed product is the same in every batch to the last bit", "[model]") {
  const example e(40, 50, 90, at::kFloat);
  const product p(e.weight, true);
  auto all = at::empty({40, 90});
  p.into(e.x, all);
  for (std::int64_t tokens = 1; tokens < 15; ++tokens) {
    auto some = at::empty({tokens, 90});
    p.into(e.x.narrow(0, 11, tokens), some);
    CHECK(at::equal(some, all.narrow(0, 11, tokens)));
  }
}

TEST_CASE("products of bfloat16 are summed in float32", "[model]") {
  const bool packed = GENERATE(true, false);
  const auto tokens = GENERATE(2, 17);
  const example e(tokens, 64, 50, at::kBFloat16);
  const product p(e.weight, packed);
  auto rounded = at::empty({tokens, 50}, at::kBFloat16);
  p.into(e.x, rounded);
  CHECK(at::allclose(rounded.to(at::kDouble), e.exact, 0.01, 0.02));
  if (!packed) return; // LibTorch rounds before it widens
  auto wide = at::empty({tokens, 50});
  p.into(e.x, wide);
  CHECK(error(wide, e) < 1e-4);
}

TEST_CASE("a product is added to what is there", "[model]") {
  const bool packed = GENERATE(true, false);
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const example e(9, 40, 37, type);
    auto sum = at::full({9, 37}, 100.0f);
    auto scratch = at::empty({9, 37}, type);
    product(e.weight, packed).add_to(e.x, sum, scratch);
    CHECK(error(sum - 100, e) < (type == at::kFloat || packed ? 1e-3 : 0.2));
  }
}
