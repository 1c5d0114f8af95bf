#include "model/transformer.hpp"

#include "model/attention.hpp"
#include "model/decode_step.hpp"
#include "model/lanes.hpp"
#include "tests/decode_fixture.hpp"

#include <limits>
#include <stdexcept>
#include <thread>

#include <ATen/Parallel.h>
#include <catch2/catch.hpp>

using namespace banyan;

namespace {

model_config shape(std::int64_t heads, std::int64_t kv_heads, std::int64_t head_dim,
                   bool tied = true) {
  auto c = tiny_shape(heads, kv_heads, head_dim);
  c.tie_embeddings = tied;
  return c;
}

double relative_error(const model_config& c, std::int32_t block_size, std::size_t length,
                      std::size_t chunk) {
  return relative_error(sharp_weights(c), block_size, length, chunk);
}

constexpr double float_noise = 2e-5;

} // namespace

TEST_CASE("decoding equals full attention without a cache for every grouping of heads", "[model]") {
  const auto [heads, kv_heads] =
      GENERATE(std::pair(4, 4), std::pair(4, 2), std::pair(6, 2), std::pair(5, 1));
  CAPTURE(heads, kv_heads);
  CHECK(relative_error(shape(heads, kv_heads, 16), 16, 40, 40) < float_noise);
}

TEST_CASE("decoding equals full attention for every length of heads", "[model]") {
  const auto head_dim = GENERATE(2, 6, 8, 12, 16, 24, 32, 48, 64, 80, 128);
  CAPTURE(head_dim);
  CHECK(relative_error(shape(2, 1, head_dim), 16, 21, 21) < float_noise);
}

TEST_CASE("decoding equals full attention for every size of block", "[model]") {
  const auto block_size = GENERATE(1, 3, 8, 16, 32, 100);
  CAPTURE(block_size);
  CHECK(relative_error(tiny_shape(), block_size, 50, 7) < float_noise);
}

TEST_CASE("an output head of its own is used where embeddings are not tied", "[model]") {
  CHECK(relative_error(shape(4, 2, 16, false), 16, 20, 20) < float_noise);
}

TEST_CASE("widths that no vector divides are computed to the last element", "[model]") {
  auto c = shape(3, 3, 10);
  c.hidden_size = 37;
  c.intermediate_size = 29;
  c.vocab_size = 11;
  CHECK(relative_error(c, 5, 30, 30) < float_noise);
}

TEST_CASE("long prompts are right in chunks of any length", "[model]") {
  const auto chunk = GENERATE(1, 7, 64, 300);
  CAPTURE(chunk);
  CHECK(relative_error(tiny_shape(), 16, 300, static_cast<std::size_t>(chunk)) < float_noise);
}

TEST_CASE("a sequence's logits do not depend on the batch it shares to the last bit", "[model]") {
  const auto c = tiny_shape();
  const auto w = sharp_weights(c);
  decoder d(w, 16);
  const auto ids = random_ids(33, c);
  const auto alone = d.prefill(ids, ids.size());

  std::vector<decoder::sequence> others(20);
  decoder::sequence mine;
  std::vector<decoder::piece> first, second;
  for (std::size_t i = 0; i < others.size(); ++i) { // others of all lengths around mine
    if (i == 7) first.push_back({&mine, token_ids(ids.begin(), ids.end() - 1)});
    if (i == 3) second.push_back({&mine, {ids.back()}});
    first.push_back({&others[i], random_ids(1 + 5 * i, c, static_cast<unsigned>(i))});
    second.push_back({&others[i], random_ids(1 + i % 3, c)});
  }
  const auto prefill = d.batch(first);
  const auto begin = prefill.starts[7];
  const auto together = d.model->decode(prefill, d.cache).narrow(0, begin, 32);
  CHECK(at::equal(together, alone.narrow(0, 0, 32)));
  const auto next = d.batch(second);
  const auto last = d.model->decode(next, d.cache).narrow(0, next.starts[3], 1);
  CHECK(at::equal(last, alone.narrow(0, 32, 1)));
}

TEMPLATE_TEST_CASE_SIG("chunks of a prompt do not change its logits to the last bit", "[model]",
                       ((dtype Type), Type), dtype::float32, dtype::bfloat16) {
  const auto c = tiny_shape();
  const auto w =
      std::make_shared<const model_weights>(copy_weights(*sharp_weights(c), Type, "cpu"));
  const auto ids = random_ids(70, c);
  const auto at_once = decoder(w, 16).prefill(ids, ids.size());
  for (const std::size_t chunk : {1, 5, 32}) {
    CAPTURE(chunk);
    CHECK(at::equal(decoder(w, 16).prefill(ids, chunk), at_once));
    CHECK(at::equal(decoder(w, 3).prefill(ids, chunk), at_once));
  }
}

TEST_CASE("decoding follows weights that are changed in place", "[model]") {
  const auto c = tiny_shape();
  const auto w = sharp_weights(c);
  const auto ids = random_ids(10, c);
  decoder d(w, 16);
  d.prefill(ids, 10);
  w->layers[1].down.mul_(1.5);
  w->layers[0].mlp_norm.mul_(0.5);
  CHECK(largest_difference(d.prefill(ids, 10), reference_logits(*w, ids)) < 1e-3);
}

TEST_CASE("caches that share weights are decoded into at the same time", "[model]") {
  const auto w = sharp_weights(tiny_shape());
  const auto shared = std::make_shared<const transformer>(w);
  shared->prepare();
  const auto decode = [&](unsigned seed) {
    decoder d(w, 16);
    d.model = shared;
    return d.prefill(random_ids(150, w->config, seed), 5);
  };
  const auto expected = std::vector{decode(1), decode(2)};
  std::vector<at::Tensor> found(2);
  std::vector<std::jthread> others;
  for (unsigned i = 0; i < 2; ++i)
    others.emplace_back([&, i] {
      at::AutoDispatchBelowADInplaceOrView no_autograd;
      for (int again = 0; again < 20; ++again) found[i] = decode(i + 1);
    });
  others.clear();
  CHECK(at::equal(found[0], expected[0]));
  CHECK(at::equal(found[1], expected[1]));
}

TEST_CASE("sequences may share the blocks of a common prefix", "[model]") {
  const auto c = tiny_shape();
  const auto w = sharp_weights(c);
  decoder d(w, 4);
  const auto ids = random_ids(12, c);
  decoder::sequence parent;
  d.decode({{&parent, token_ids(ids.begin(), ids.begin() + 8)}});
  auto child = parent; // both go on in blocks of their own
  const auto logits =
      d.decode({{&parent, token_ids(ids.begin() + 8, ids.end())}, {&child, {1, 2}}});
  CHECK(largest_difference(logits.narrow(0, 0, 4), reference_logits(*w, ids).narrow(0, 8, 4))
        < 1e-3);
  auto of_child = token_ids(ids.begin(), ids.begin() + 8);
  of_child.insert(of_child.end(), {1, 2});
  CHECK(largest_difference(logits.narrow(0, 4, 2), reference_logits(*w, of_child).narrow(0, 8, 2))
        < 1e-3);
}

TEST_CASE("attention that is not a number is not one in the logits either", "[model]") {
  const auto w = sharp_weights(tiny_shape());
  w->layers[1].qkv.fill_(std::numeric_limits<float>::quiet_NaN());
  CHECK(decoder(w, 16).prefill(random_ids(40, w->config), 40).isnan().all().item<bool>());
}

TEST_CASE("only the wanted tokens have logits", "[model]") {
  const auto c = tiny_shape();
  decoder d(sharp_weights(c), 16);
  const auto ids = random_ids(9, c);
  const auto all = d.prefill(ids, ids.size());
  decoder::sequence s;
  auto b = d.batch({{&s, ids}});
  b.wanted = {2, 8};
  const auto some = d.model->decode(b, d.cache);
  REQUIRE(some.sizes() == at::IntArrayRef({2, c.vocab_size}));
  CHECK(largest_difference(some, all.index_select(0, at::tensor({2, 8}))) < 1e-5);
  b.wanted.clear();
  CHECK(d.model->decode(b, d.cache).sizes() == at::IntArrayRef({0, c.vocab_size}));
}

TEST_CASE("bfloat16 decoding stays near the reference of its rounded weights", "[model]") {
  const auto c = shape(4, 2, 32);
  const auto w = std::make_shared<const model_weights>(
      copy_weights(*sharp_weights(c), dtype::bfloat16, "cpu"));
  const auto ids = random_ids(40, c);
  const auto expected = reference_logits(*w, ids);
  const auto chunk = GENERATE(40, 1);
  const auto error =
      decoder(w, 16).prefill(ids, static_cast<std::size_t>(chunk)).to(at::kDouble) - expected;
  CHECK((error.square().mean() / expected.square().mean()).sqrt().item<double>() < 0.03);
}

TEST_CASE("decoding gives the same on one OS thread and on two", "[model]") {
  const auto c = tiny_shape();
  const auto w = sharp_weights(c);
  const auto ids = random_ids(200, c);
  const auto os_threads = at::get_num_threads();
  at::set_num_threads(1);
  const auto one = decoder(w, 16).prefill(ids, 150);
  at::set_num_threads(2);
  const auto two = decoder(w, 16).prefill(ids, 150);
  at::set_num_threads(os_threads);
  CHECK(at::equal(one, two));
}

TEST_CASE("a prepared model has made its own copy of small matrices", "[model]") {
  const auto ids = random_ids(9, tiny_shape());
  const auto expected = decoder(sharp_weights(tiny_shape()), 16).prefill(ids, 9);
  const auto w = sharp_weights(tiny_shape());
  decoder prepared(w, 16);
  prepared.model->prepare();
  // Behind LibTorch's back, so that the change is not followed.
  const auto& m = w->layers[0].down;
  std::fill_n(m.mutable_data_ptr<float>(), m.numel(), 0.0f);
  CHECK(at::equal(prepared.prefill(ids, 9), expected));
  CHECK_FALSE(at::equal(decoder(w, 16).prefill(ids, 9), expected));
}

TEST_CASE("weights that learn are decoded without a graph", "[model]") {
  auto w = *sharp_weights(tiny_shape());
  w.layers[0].qkv.requires_grad_(true);
  w.embedding.requires_grad_(true);
  w.head = w.embedding;
  decoder d(std::make_shared<const model_weights>(w), 16);
  CHECK_FALSE(d.prefill({1, 2, 3}, 3).requires_grad());
}

TEST_CASE("attention to one token returns its value", "[model]") {
  const auto query = at::randn({1, 4, 8}), key = at::randn({1, 1, 2, 8}),
             value = at::randn({1, 1, 2, 8});
  auto output = at::empty({4, 8});
  const std::int32_t starts[] = {0, 1}, positions[] = {0}, blocks[] = {0};
  paged_attention({.query = query.data_ptr(),
                   .keys = key.data_ptr(),
                   .values = value.data_ptr(),
                   .output = output.data_ptr(),
                   .starts = starts,
                   .positions = positions,
                   .blocks = blocks,
                   .block_starts = starts,
                   .num_sequences = 1,
                   .num_tokens = 1,
                   .heads = 4,
                   .kv_heads = 2,
                   .head_dim = 8,
                   .block_size = 1,
                   .query_stride = 32,
                   .scale = 1},
                  on_cpu());
  CHECK(at::equal(output, value.view({2, 1, 8}).expand({2, 2, 8}).reshape({4, 8})));
}

TEST_CASE("a batch that points outside cache or vocabulary is refused", "[model]") {
  const auto c = tiny_shape();
  decoder d(sharp_weights(c), 4, 8);
  decoder::sequence s;
  const auto good = d.batch({{&s, {1, 2, 3, 4, 5}}});
  const auto refused = [&](auto change) {
    auto b = good;
    change(b);
    CHECK_THROWS_AS(d.model->decode(b, d.cache), std::invalid_argument);
  };
  refused([&](auto& b) { b.ids[0] = static_cast<std::int32_t>(c.vocab_size); });
  refused([](auto& b) { b.ids[4] = -1; });
  refused([](auto& b) { b.positions[4] = 8; });
  refused([&](auto& b) { b.positions[4] = static_cast<std::int32_t>(c.max_positions); });
  refused([](auto& b) { b.slots[0] = 32; });
  refused([](auto& b) { b.slots.pop_back(); });
  refused([](auto& b) { b.blocks[1] = 8; });
  refused([](auto& b) { b.block_starts[1] = 1; });
  refused([&](auto& b) {
    b.blocks.resize(static_cast<std::size_t>(d.cache.max_blocks_of_sequence()) + 1, 0);
    b.block_starts[1] = static_cast<std::int32_t>(b.blocks.size());
  });
  refused([](auto& b) { b.starts[1] = 4; });
  refused([](auto& b) { b.wanted[4] = 5; });
  refused([](auto& b) { b.wanted = {0, 1, 1}; });
  refused([](auto& b) { b.wanted = {2, 1}; });
  refused([](auto& b) { b.starts.clear(); });
  CHECK_NOTHROW(d.model->decode(good, d.cache));
}

TEST_CASE("a sequence without a token is refused before it is laid out", "[model]") {
  decoder d(sharp_weights(tiny_shape()), 4, 8);
  std::vector<decoder::sequence> all(5);
  std::vector<decoder::piece> pieces{{&all[0], {1, 2}}};
  for (std::size_t i = 1; i < all.size(); ++i) pieces.push_back({&all[i], {}});
  CHECK_THROWS_WITH(d.decode(pieces), Catch::Contains("a sequence has no token"));
}

TEST_CASE("a cache of another model is refused", "[model]") {
  const auto c = tiny_shape();
  decoder d(sharp_weights(c), 4, 8);
  decoder::sequence s;
  const auto batch = d.batch({{&s, {1, 2, 3}}});
  const auto refused = [&](auto change, dtype type = dtype::float32) {
    auto other = c;
    change(other);
    kv_cache cache(other, {8, 4}, type, "cpu");
    CHECK_THROWS_WITH(d.model->decode(batch, cache), Catch::Contains("the cache must have"));
  };
  refused([](auto& other) { other.num_layers = 1; });
  refused([](auto& other) { other.num_layers = 3; });
  refused([](auto& other) { other.num_kv_heads = 1; });
  refused([](auto& other) { other.head_dim = 8; });
  refused([](auto& other) { other.hidden_size = 80; });
  refused([](auto& other) { other.intermediate_size = 96; });
  refused([](auto&) {}, dtype::bfloat16);
}

TEST_CASE("a step has at most the tokens that its cache was made for", "[model]") {
  const auto c = tiny_shape();
  const transformer model(sharp_weights(c));
  decoder d(sharp_weights(c), 4, 8);
  decoder::sequence s;
  const auto batch = d.batch({{&s, {1, 2, 3, 4, 5}}});
  kv_cache enough(c, {8, 4, 5}, dtype::float32, "cpu"), less(c, {8, 4, 4}, dtype::float32, "cpu");
  CHECK(at::equal(model.decode(batch, enough), d.model->decode(batch, d.cache)));
  CHECK_THROWS_WITH(model.decode(batch, less), Catch::Contains("more tokens than the cache takes"));
}

TEMPLATE_TEST_CASE("our loops do what ATen's operators do between the products", "[model]", float,
                   bfloat16) {
  const auto c = tiny_shape();
  const auto type = std::is_same_v<TestType, float> ? dtype::float32 : dtype::bfloat16;
  const auto tolerance = type == dtype::float32 ? 1e-5 : 0.02;
  const auto w = copy_weights(*sharp_weights(c), type, "cpu");
  const auto options = w.embedding.options();
  const auto rotary = make_rotary_tables(c, c.max_positions, at::kCPU);
  const std::vector<std::int32_t> ids{3, 36, 0, 7}, positions{0, 5, 900, 5}, slots{9, 2, 0, 31},
      wanted{1, 3};
  kv_cache cache(c, {8, 4}, type, "cpu");
  cache.keys.zero_();
  cache.values.zero_();
  const decode_step<TestType, on_cpu> step({.ids = ids.data(),
                                            .positions = positions.data(),
                                            .slots = slots.data(),
                                            .wanted = wanted.data(),
                                            .tokens = 4},
                                           c, rotary, cache);
  const auto agree = [&](const at::Tensor& ours, const at::Tensor& expected) {
    CHECK(at::allclose(ours.to(at::kFloat), expected.to(at::kFloat), tolerance, tolerance));
  };
  const auto residual = at::randn({4, c.hidden_size});
  const auto normed = [&](const at::Tensor& rows, const at::Tensor& weight) {
    return at::rms_norm(rows, {c.hidden_size}, weight.to(at::kFloat), c.rms_norm_eps);
  };

  auto embedded = at::empty_like(residual);
  step.embed(w.embedding, embedded);
  agree(embedded, w.embedding.index_select(0, at::tensor(ids)));

  auto out = at::empty({4, c.hidden_size}, options);
  step.norm(residual, w.layers[0].mlp_norm, out);
  agree(out, normed(residual, w.layers[0].mlp_norm));
  out = at::empty({2, c.hidden_size}, options);
  step.norm_wanted(residual, w.final_norm, out);
  agree(out, normed(residual.index_select(0, at::tensor(wanted)), w.final_norm));

  const auto heads = c.num_heads, kv_heads = c.num_kv_heads;
  const auto qkv = at::randn({4, heads + 2 * kv_heads, c.head_dim}).to(options);
  const auto row_of = [&](const at::Tensor& table) {
    return table.index_select(0, at::tensor(positions)).unsqueeze(1);
  };
  const auto halves = qkv.narrow(1, 0, heads + kv_heads).to(at::kFloat).chunk(2, -1);
  const auto cos = row_of(rotary.cos), sin = row_of(rotary.sin);
  const auto turned =
      at::cat({halves[0] * cos - halves[1] * sin, halves[1] * cos + halves[0] * sin}, -1);
  auto ours = qkv.clone();
  step.rotate_and_store(1, ours);
  agree(ours.narrow(1, 0, heads), turned.narrow(1, 0, heads));
  const auto stored = [&](const at::Tensor& part) {
    return part.select(0, 1).view({-1, kv_heads, c.head_dim}).index_select(0, at::tensor(slots));
  };
  agree(stored(cache.keys), turned.narrow(1, heads, kv_heads));
  CHECK(at::equal(stored(cache.values), qkv.narrow(1, heads + kv_heads, kv_heads)));
  CHECK(cache.keys.select(0, 0).count_nonzero().item<int>() == 0);

  const auto gate_up = (4 * at::randn({4, 2 * c.intermediate_size})).to(options);
  const auto sides = gate_up.to(at::kFloat).chunk(2, -1);
  auto gated = at::empty({4, c.intermediate_size}, options);
  step.gate(gate_up, gated);
  agree(gated, at::silu(sides[0]) * sides[1]);
}
