#include "model/transformer.hpp"

#include "model/decoding.hpp"
#include "model/kv_cache.hpp"
#include "model/weights.hpp"

#include <algorithm>
#include <functional>
#include <stdexcept>

#include <ATen/core/LegacyTypeDispatch.h>

namespace banyan {

namespace {

void require(bool holds, const char* what) {
  if (!holds) throw std::invalid_argument(std::string("decode_batch: ") + what);
}

bool all_below(const std::vector<std::int32_t>& values, std::int64_t limit) {
  return std::all_of(values.begin(), values.end(), [=](auto x) { return x >= 0 && x < limit; });
}

bool rises_from_0_to(const std::vector<std::int32_t>& starts, std::size_t end) {
  return starts.front() == 0 && std::is_sorted(starts.begin(), starts.end())
         && static_cast<std::size_t>(starts.back()) == end;
}

/// Kernels follow these numbers without looking, so a wrong one must stop here. Costs about a
/// nanosecond per number.
void check(const decode_batch& b, const model_config& c, const kv_cache& cache) {
  const auto tokens = b.ids.size();
  require(b.positions.size() == tokens && b.slots.size() == tokens,
          "one position and slot a token");
  require(static_cast<std::int64_t>(tokens) <= cache.max_tokens(),
          "more tokens than the cache takes in a step");
  require(b.num_sequences() > 0 && b.block_starts.size() == b.starts.size(),
          "one block table a sequence");
  require(rises_from_0_to(b.starts, tokens), "`starts` must rise to the number of tokens");
  require(rises_from_0_to(b.block_starts, b.blocks.size()), "`block_starts` must rise to the end");
  require(all_below(b.ids, c.vocab_size), "an id is not in the vocabulary");
  require(all_below(b.positions, c.max_positions), "a position is beyond max_positions");
  require(all_below(b.slots, cache.num_blocks() * cache.block_size()),
          "a slot is not in the cache");
  require(all_below(b.blocks, cache.num_blocks()), "a block is not in the cache");
  require(all_below(b.wanted, static_cast<std::int64_t>(tokens)), "a wanted token does not exist");
  require(std::ranges::adjacent_find(b.wanted, std::greater_equal()) == b.wanted.end(),
          "`wanted` must rise");
  for (std::size_t i = 0; i < b.num_sequences(); ++i) {
    require(b.starts[i] < b.starts[i + 1], "a sequence has no token");
    const auto blocks = b.block_starts[i + 1] - b.block_starts[i];
    require(blocks <= cache.max_blocks_of_sequence(), "a block table is beyond max_positions");
    const auto covered = blocks * cache.block_size();
    for (auto token = b.starts[i]; token < b.starts[i + 1]; ++token)
      require(b.positions[static_cast<std::size_t>(token)] < covered, "a block table is too short");
  }
}

void check(const kv_cache& cache, const model_weights& w) {
  const auto& keys = cache.keys;
  require(keys.options().type_equal(w.embedding.options()) && keys.device() == w.embedding.device(),
          "the cache must have the weights' precision and device");
  require(cache.serves(w.config), "the cache must have been made for the model's shape");
}

} // namespace

transformer::transformer(std::shared_ptr<const model_weights> weights)
    : weights_(std::move(weights)), decoding_(std::make_unique<decoding>()) {}

transformer::transformer(std::shared_ptr<const model_weights> weights, const transformer& older)
    : transformer(std::move(weights)) {
  decoding_->share_tables(*older.decoding_);
}

transformer::~transformer() = default;

const model_config& transformer::config() const { return weights_->config; }

void transformer::prepare() const {
  at::AutoDispatchBelowADInplaceOrView no_autograd;
  decoding_->prepare(*weights_);
}

at::Tensor transformer::decode(const decode_batch& batch, kv_cache& cache) const {
  at::AutoDispatchBelowADInplaceOrView no_autograd;
  check(cache, *weights_);
  check(batch, config(), cache);
  const std::lock_guard lock(cache.scratch().mutex);
  decoding_->prepare(*weights_);
  const auto run = weights_->embedding.is_cpu() ? decode_on_cpu : decode_on_cuda;
  return run(*decoding_, *weights_, batch, cache);
}

} // namespace banyan
