#include "trainer/logprob_gap.hpp"

#include "model/transformer.hpp"
#include "model/weights.hpp"
#include "solver/tree.hpp"
#include "trainer/batch.hpp"

#include <limits>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace banyan {

namespace {

std::vector<float> sampled_logprobs(const thread_record& thread) {
  std::vector<float> all;
  for (const auto& part : thread.segments)
    if (part.sampled()) all.insert(all.end(), part.logprobs.begin(), part.logprobs.end());
  return all;
}

} // namespace

double logprob_gap(const tree& t, const transformer& model, const tokenizer& vocabulary,
                   double temperature, dtype compute) {
  const at::NoGradGuard no_grad;
  std::vector<training_sequence> sequences;
  std::vector<float> sampled;
  for (const auto& thread : t.threads) {
    auto logprobs = sampled_logprobs(thread);
    if (logprobs.empty()) continue;
    sequences.push_back(sequence_of(thread, vocabulary));
    sampled.insert(sampled.end(), logprobs.begin(), logprobs.end());
  }
  if (sequences.empty()) return 0;
  const auto batch = make_batch(sequences);
  // Tokens without their logprobs cannot be compared; none of ours lack them.
  if (batch.targets.size() != sampled.size()) return std::numeric_limits<double>::infinity();
  const auto device = model.weights()->embedding.device();
  const auto selected = at::tensor(batch.selected, at::kLong).to(device);
  const auto targets = at::tensor(batch.targets, at::kLong).to(device);
  const auto logits = model.forward(batch.sequences, selected, compute); // [sampled, vocab]
  const auto scored = at::log_softmax(temperature > 0 ? logits / temperature : logits, -1)
                          .gather(1, targets.unsqueeze(1))
                          .squeeze(1)
                          .cpu(); // [sampled]
  return (scored - at::tensor(sampled, at::kFloat)).abs().max().item<double>();
}

} // namespace banyan
