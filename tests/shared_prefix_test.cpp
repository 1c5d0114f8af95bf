#include "trainer/shared_prefix.hpp"

#include "model/transformer.hpp"
#include "model/weights.hpp"
#include "tests/sampled_tree.hpp"

#include <stdexcept>

#include <ATen/ATen.h>

#include <catch2/catch.hpp>

using namespace banyan;

namespace {

thread_record thread_of(std::vector<std::int32_t> prompt, std::vector<std::int32_t> written) {
  thread_record t;
  t.segments.push_back({segment_kind::prompt, "p", std::move(prompt), {}, {}});
  segment s{segment_kind::written, "w", std::move(written), {}, {}};
  s.logprobs.assign(s.ids.size(), -1);
  s.epochs.assign(s.ids.size(), 0);
  t.segments.push_back(std::move(s));
  return t;
}

/// Every text that some thread has seen at some time, one flat sequence each, with the terms of the
/// tokens that were sampled last.
std::vector<shared_sequence> flat(std::span<const credited_thread> threads) {
  std::vector<shared_sequence> all;
  for (const auto& c : threads) {
    shared_sequence context;
    const auto extend = [&c](shared_sequence& s, const segment& part) {
      for (std::size_t i = 0; i < part.ids.size(); ++i) {
        if (part.sampled() && !s.ids.empty())
          s.terms.push_back({static_cast<std::int32_t>(s.ids.size()) - 1, part.ids[i],
                             part.logprobs[i], part.epochs[i], c.advantage, c.weight});
        s.positions.push_back(static_cast<std::int32_t>(s.ids.size()));
        s.ids.push_back(part.ids[i]);
        s.visible_until.push_back(visible_always);
      }
    };
    for (const auto& part : c.thread->segments) {
      if (part.kind != segment_kind::spawn) {
        extend(context, part);
        continue;
      }
      auto stop = context;
      stop.terms.clear();
      extend(stop, part);
      all.push_back(std::move(stop));
    }
    all.push_back(std::move(context));
  }
  return all;
}

/// Σ weight · advantage · log π over the terms.
at::Tensor objective(const transformer& model, std::span<const shared_sequence> sequences) {
  const auto batch = make_policy_batch(sequences);
  std::vector<std::int64_t> at;
  std::vector<float> factors;
  for (const auto& t : batch.terms) {
    at.push_back(t.target);
    factors.push_back(t.weight * t.advantage);
  }
  const auto all = at::log_softmax(
      model.forward(batch.sequences, at::tensor(batch.rows, at::kLong), dtype::float32), -1);
  const auto rows = all.index_select(0, at::tensor(batch.term_rows, at::kLong));
  return (rows.gather(1, at::tensor(at, at::kLong).unsqueeze(1)).squeeze(1)
          * at::tensor(factors, at::kFloat))
      .sum();
}

struct with_gradient {
  double value;
  std::vector<at::Tensor> gradients;
};

with_gradient evaluate(model_weights weights, std::span<const shared_sequence> sequences) {
  std::vector<at::Tensor> leaves{weights.embedding, weights.layers[0].qkv, weights.layers[1].down};
  for (auto& leaf : leaves) leaf.requires_grad_(true);
  auto shared = std::make_shared<model_weights>(std::move(weights));
  auto value = objective(transformer(shared), sequences);
  value.backward();
  with_gradient result{value.item<double>(), {}};
  for (auto& leaf : leaves) result.gradients.push_back(leaf.grad().clone());
  return result;
}

} // namespace

TEST_CASE("what two texts begin with is laid out once", "[trainer]") {
  const auto a = thread_of({1, 2}, {3, 4, 5}), b = thread_of({1, 2}, {3, 6});
  const credited_thread threads[] = {{&a, 1, 0.5F}, {&b, -1, 0.25F}};
  const auto sequences = share_prefixes(threads);
  REQUIRE(sequences.size() == 1);
  const auto& s = sequences[0];
  CHECK(s.ids == std::vector<std::int32_t>{1, 2, 3, 4, 5, 6});
  CHECK(s.positions == std::vector<std::int32_t>{0, 1, 2, 3, 4, 3});
  CHECK(s.visible_until == std::vector<std::int32_t>{6, 6, 6, 5, 5, 6});
  CHECK(s.flat_length == 9);
  REQUIRE(s.terms.size() == 5); // the first written token stands for two threads
  CHECK(s.terms[0].row == 1);
  CHECK(s.terms[1].row == 1);
  CHECK(s.terms[0].advantage == 1);
  CHECK(s.terms[1].advantage == -1);
  CHECK(s.terms[1].weight == 0.25F);
}

TEST_CASE("threads with other prompts are other sequences", "[trainer]") {
  const auto a = thread_of({1, 2}, {3}), b = thread_of({1, 2, 3}, {4});
  const credited_thread threads[] = {{&a, 1, 1}, {&b, 1, 1}};
  CHECK(share_prefixes(threads).size() == 2);
}

TEST_CASE("a spawn block hides from what came in its place", "[trainer]") {
  auto t = thread_of({1}, {2});
  t.segments.push_back({segment_kind::spawn, "s", {7, 8}, {-1, -1}, {0, 0}});
  t.segments.push_back({segment_kind::joined, "j", {5}, {}, {}});
  t.segments.push_back({segment_kind::written, "w", {6}, {-1}, {0}});
  const credited_thread threads[] = {{&t, 1, 1}};
  const auto s = share_prefixes(threads)[0];
  CHECK(s.ids == std::vector<std::int32_t>{1, 2, 7, 8, 5, 6});
  CHECK(s.positions == std::vector<std::int32_t>{0, 1, 2, 3, 2, 3});
  CHECK(s.visible_until[2] == 4);
  CHECK(s.terms.size() == 4); // 2, 7, 8 and 6 were sampled
}

TEST_CASE("shared prefixes give the loss and gradient of the flat computation", "[trainer]") {
  const auto vocabulary = countdown_tokenizer();
  std::vector<tree> trees;
  for (std::uint64_t i = 0; i < 6; ++i) trees.push_back(sampled_demonstration(*vocabulary, i));
  std::vector<credited_thread> threads;
  float advantage = -1;
  for (const auto& t : trees)
    for (const auto& thread : t.threads)
      threads.push_back(
          {&thread, advantage += 0.17F, 0.01F * static_cast<float>(threads.size() + 1)});
  const auto shared = share_prefixes(threads);
  const auto alone = flat(threads);
  std::size_t shared_tokens = 0, flat_tokens = 0, said = 0;
  for (const auto& s : shared) {
    shared_tokens += s.length();
    said += s.flat_length;
  }
  for (const auto& s : alone) flat_tokens += s.length();
  CHECK(said == flat_tokens);
  CHECK(shared_tokens * 3 < flat_tokens * 2);

  const auto weights = [&] { return random_weights(tiny_model(*vocabulary), 3); };
  const auto one = evaluate(weights(), shared), other = evaluate(weights(), alone);
  CHECK(one.value == Approx(other.value).epsilon(1e-5));
  for (std::size_t i = 0; i < one.gradients.size(); ++i) {
    const auto scale = other.gradients[i].abs().max().item<double>();
    REQUIRE(scale > 0);
    CHECK((one.gradients[i] - other.gradients[i]).abs().max().item<double>() < 1e-4 * scale);
  }
}

TEST_CASE("a family that is too long is laid out in parts that lose nothing", "[trainer]") {
  std::vector<thread_record> threads;
  for (std::int32_t i = 0; i < 5; ++i) threads.push_back(thread_of({1, 2}, {10 + i, 3, 4}));
  std::vector<credited_thread> credits;
  for (const auto& t : threads) credits.push_back({&t, 1, 0.5F});
  REQUIRE(share_prefixes(credits).size() == 1);
  const auto parts = share_prefixes(credits, 9);
  CHECK(parts.size() == 3); // of 2, 1 and 2 threads
  std::size_t terms = 0, of_threads = 0;
  for (const auto& part : parts) {
    CHECK(part.length() <= 9);
    terms += part.terms.size();
    of_threads += part.num_threads;
  }
  CHECK(terms == 15);
  CHECK(of_threads == 5);
  CHECK(share_prefixes(credits, 1).size() == 5); // a thread is never cut
}

TEST_CASE("sequences are cut into runs that fit", "[trainer]") {
  std::vector<shared_sequence> all(4);
  for (std::size_t i = 0; i < all.size(); ++i) all[i].ids.assign(3 + 4 * (i == 2), 0);
  const auto runs = cut(all, 6); // lengths 3 3 7 3
  REQUIRE(runs.size() == 3);
  CHECK(runs[0].size() == 2);
  CHECK(runs[1].size() == 1);
  CHECK(runs[2].size() == 1);
}

TEST_CASE("a sampled token without its logprob is refused", "[trainer]") {
  auto t = thread_of({1, 2}, {3, 4});
  t.segments[1].logprobs.pop_back();
  const credited_thread threads[] = {{&t, 1, 1}};
  CHECK_THROWS_AS(share_prefixes(threads), std::invalid_argument);
}
