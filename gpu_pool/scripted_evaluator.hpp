#pragma once

#include "gpu_pool/evaluator.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace banyan {

/// An evaluator without weights: a state machine over tokens. It keeps the state after each token
/// in the token's cache slot and finds the state before it through the block table, as a
/// transformer finds keys and values. So it says the right thing only if whoever runs it keeps the
/// cache in order.
class recalling_evaluator : public evaluator {
public:
  recalling_evaluator(std::int32_t num_blocks, std::int32_t block_size, std::int32_t vocab_size);

  std::span<const float> run(const decode_batch&, std::uint32_t epoch) override;

  /// There are no weights to take: these two throw `bad_checkpoint`.
  void take(std::uint32_t epoch, std::shared_ptr<const transformer>) override;
  void load(std::uint32_t epoch, const std::filesystem::path& folder) override;
  void forget(std::uint32_t) override {}

protected:
  using state = std::uint64_t;

  /// What comes next is of this epoch.
  virtual void use(std::uint32_t) {}

  /// The state after token `id`; `before` is 0 at the begin of a sequence.
  virtual state advance(state before, std::int32_t id) const = 0;
  /// Writes the logits of the next token, [vocab].
  virtual void predict(state, std::span<float> logits) const = 0;

private:
  std::int32_t block_size_, vocab_size_;
  std::vector<state> states_; // [slots]
  std::vector<float> logits_; // [wanted, vocab]
};

/// A text and how it goes on. Several scripts may begin alike; where they differ in how one text
/// goes on, the first wins.
struct script {
  std::vector<std::int32_t> text, continuation;
};

/// Says given continuations after given texts; anywhere else it says end-of-sequence.
class scripted_evaluator : public recalling_evaluator {
public:
  scripted_evaluator(const std::vector<script>&, std::int32_t eos_id, std::int32_t num_blocks,
                     std::int32_t block_size, std::int32_t vocab_size);

protected:
  state advance(state before, std::int32_t id) const override;
  void predict(state, std::span<float> logits) const override;

private:
  state add(state before, std::int32_t id);

  static constexpr state lost = ~state{0};
  std::int32_t eos_id_;
  std::map<std::pair<state, std::int32_t>, state> edges_;
  std::map<state, std::int32_t> says_;
};

/// Logits that depend on every token of the sequence so far and look random: whoever gets one token
/// of the cache wrong gets other text.
class random_evaluator : public recalling_evaluator {
public:
  random_evaluator(std::uint64_t seed, std::int32_t num_blocks, std::int32_t block_size,
                   std::int32_t vocab_size);

  /// Logits after a text, straight from its tokens, without a cache.
  std::vector<float> logits_after(std::span<const std::int32_t> ids) const;

protected:
  state advance(state before, std::int32_t id) const override;
  void predict(state, std::span<float> logits) const override;

  std::uint64_t seed_; ///< takes the place of weights

private:
  std::int32_t vocab_;
};

} // namespace banyan
