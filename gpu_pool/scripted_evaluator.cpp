#include "gpu_pool/scripted_evaluator.hpp"

#include "model/transformer.hpp"

#include <algorithm>

namespace banyan {

namespace {

/// Moves every bit of `x` to about half of the bits of the result.
std::uint64_t scramble(std::uint64_t x) {
  x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93u;
  x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93u;
  return x ^ (x >> 32);
}

} // namespace

// ---- recalling ----

recalling_evaluator::recalling_evaluator(std::int32_t num_blocks, std::int32_t block_size,
                                         std::int32_t vocab_size)
    : block_size_(block_size),
      vocab_size_(vocab_size),
      states_(static_cast<std::size_t>(num_blocks) * static_cast<std::size_t>(block_size)) {}

void recalling_evaluator::take(std::uint32_t, std::shared_ptr<const transformer>) {
  throw bad_checkpoint("this evaluator has no weights; use a model");
}

void recalling_evaluator::load(std::uint32_t, const std::filesystem::path& folder) {
  throw bad_checkpoint(folder.string() + ": this evaluator has no weights; use a model");
}

std::span<const float> recalling_evaluator::run(const decode_batch& batch, std::uint32_t epoch) {
  use(epoch);
  const auto before = [&](std::int32_t token, std::size_t sequence) -> state {
    const auto position = batch.positions[static_cast<std::size_t>(token)] - 1;
    if (position < 0) return 0;
    const auto table = batch.blocks.begin() + batch.block_starts[sequence];
    return states_[static_cast<std::size_t>(table[position / block_size_] * block_size_
                                            + position % block_size_)];
  };
  const auto vocab = static_cast<std::size_t>(vocab_size_);
  logits_.resize(batch.wanted.size() * vocab);
  for (std::size_t sequence = 0; sequence < batch.num_sequences(); ++sequence)
    for (auto token = batch.starts[sequence]; token < batch.starts[sequence + 1]; ++token) {
      const auto i = static_cast<std::size_t>(token);
      states_[static_cast<std::size_t>(batch.slots[i])] =
          advance(before(token, sequence), batch.ids[i]);
    }
  for (std::size_t row = 0; row < batch.wanted.size(); ++row) {
    const auto slot = batch.slots[static_cast<std::size_t>(batch.wanted[row])];
    predict(states_[static_cast<std::size_t>(slot)],
            std::span(logits_).subspan(row * vocab, vocab));
  }
  return logits_;
}

// ---- scripted ----

scripted_evaluator::scripted_evaluator(const std::vector<script>& scripts, std::int32_t eos_id,
                                       std::int32_t num_blocks, std::int32_t block_size,
                                       std::int32_t vocab_size)
    : recalling_evaluator(num_blocks, block_size, vocab_size), eos_id_(eos_id) {
  for (auto& [text, continuation] : scripts) {
    state at = 0;
    for (auto id : text) at = add(at, id);
    for (auto id : continuation) {
      says_.try_emplace(at, id);
      at = add(at, id);
    }
  }
}

scripted_evaluator::state scripted_evaluator::add(state before, std::int32_t id) {
  return edges_.try_emplace({before, id}, edges_.size() + 1).first->second;
}

scripted_evaluator::state scripted_evaluator::advance(state before, std::int32_t id) const {
  const auto edge = edges_.find({before, id});
  return edge == edges_.end() ? lost : edge->second;
}

void scripted_evaluator::predict(state at, std::span<float> logits) const {
  const auto found = says_.find(at);
  std::ranges::fill(logits, 0.0f);
  // So far above the rest that nothing else is sampled at any usual temperature.
  logits[static_cast<std::size_t>(found == says_.end() ? eos_id_ : found->second)] = 50;
}

// ---- random ----

random_evaluator::random_evaluator(std::uint64_t seed, std::int32_t num_blocks,
                                   std::int32_t block_size, std::int32_t vocab_size)
    : recalling_evaluator(num_blocks, block_size, vocab_size), seed_(seed), vocab_(vocab_size) {}

random_evaluator::state random_evaluator::advance(state before, std::int32_t id) const {
  return scramble(before + scramble(seed_ + static_cast<std::uint64_t>(id) + 1));
}

void random_evaluator::predict(state at, std::span<float> logits) const {
  for (std::size_t i = 0; i < logits.size(); ++i)
    logits[i] = static_cast<float>(scramble(at + i) >> 40) * 0x1p-22f; // in [0, 4)
}

std::vector<float> random_evaluator::logits_after(std::span<const std::int32_t> ids) const {
  state at = 0;
  for (auto id : ids) at = advance(at, id);
  std::vector<float> logits(static_cast<std::size_t>(vocab_));
  predict(at, logits);
  return logits;
}

} // namespace banyan
