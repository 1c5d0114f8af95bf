#include "trainer/logprob_gap.hpp"

#include "model/transformer.hpp"
#include "model/weights.hpp"
#include "solver/tree.hpp"
#include "trainer/batch.hpp"
#include "trainer/statistics.hpp"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace banyan {

namespace {

/// Sampled tokens to be scored again, in one pass.
struct comparison {
  std::vector<training_sequence> sequences;
  std::vector<float> sampled;
  std::vector<std::int64_t> places; ///< of those of `sampled` that are compared
  std::size_t tokens = 0;           ///< of the sequences
};

std::vector<std::uint32_t> epochs_of(const thread_record& thread) {
  std::vector<std::uint32_t> all;
  for (const auto& part : thread.segments)
    if (part.sampled()) all.insert(all.end(), part.epochs.begin(), part.epochs.end());
  return all;
}

std::vector<float> sampled_logprobs(const thread_record& thread) {
  std::vector<float> all;
  for (const auto& part : thread.segments)
    if (part.sampled()) all.insert(all.end(), part.logprobs.begin(), part.logprobs.end());
  return all;
}

void add(std::vector<comparison>& all, const thread_record& thread, const tokenizer& vocabulary,
         std::size_t compared, std::size_t micro_tokens) {
  const auto logprobs = sampled_logprobs(thread);
  if (compared == 0 || logprobs.empty()) return;
  auto sequence = sequence_of(thread, vocabulary);
  if (all.empty() || all.back().tokens + sequence.length() > micro_tokens) all.emplace_back();
  auto& c = all.back();
  c.tokens += sequence.length();
  for (std::size_t i = 0; i < compared; ++i)
    c.places.push_back(static_cast<std::int64_t>(c.sampled.size() + i));
  c.sequences.push_back(std::move(sequence));
  c.sampled.insert(c.sampled.end(), logprobs.begin(), logprobs.end());
}

double largest_gap(const comparison& c, const transformer& model, double temperature,
                   dtype compute) {
  const at::NoGradGuard no_grad;
  const auto batch = make_batch(c.sequences);
  // Tokens without their logprobs cannot be compared; none of ours lack them.
  if (batch.targets.size() != c.sampled.size()) return std::numeric_limits<double>::infinity();
  const auto device = model.weights()->embedding.device();
  const auto selected = at::tensor(batch.selected, at::kLong).to(device);
  const auto targets = at::tensor(batch.targets, at::kLong).to(device);
  const auto logits = model.forward(batch.sequences, selected, compute); // [sampled, vocab]
  const auto scored = at::log_softmax(temperature > 0 ? logits / temperature : logits, -1)
                          .gather(1, targets.unsqueeze(1))
                          .squeeze(1)
                          .cpu(); // [sampled]
  const auto places = at::tensor(c.places, at::kLong);
  return (scored - at::tensor(c.sampled, at::kFloat))
      .index_select(0, places)
      .abs()
      .max()
      .item<double>();
}

double largest_gap(const std::vector<comparison>& all, const transformer& model, double temperature,
                   dtype compute) {
  double largest = 0;
  for (const auto& c : all) largest = larger(largest, largest_gap(c, model, temperature, compute));
  return largest;
}

} // namespace

double logprob_gap(const tree& t, const transformer& model, const tokenizer& vocabulary,
                   double temperature, dtype compute, std::size_t micro_tokens) {
  std::vector<comparison> all;
  for (const auto& thread : t.threads)
    add(all, thread, vocabulary, sampled_logprobs(thread).size(), micro_tokens);
  return largest_gap(all, model, temperature, compute);
}

std::optional<double> logprob_gap(const tree& t, std::uint32_t epoch, const transformer& model,
                                  const tokenizer& vocabulary, double temperature,
                                  std::size_t micro_tokens) {
  std::vector<comparison> some;
  for (const auto& thread : t.threads) {
    const auto epochs = epochs_of(thread);
    const auto other = std::ranges::find_if(epochs, [=](auto e) { return e != epoch; });
    add(some, thread, vocabulary, static_cast<std::size_t>(other - epochs.begin()), micro_tokens);
  }
  if (some.empty()) return {};
  return largest_gap(some, model, temperature, dtype::float32);
}

} // namespace banyan
