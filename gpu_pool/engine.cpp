#include "gpu_pool/engine.hpp"

#include "model/elapsed.hpp"

#include <algorithm>
#include <chrono>
#include <stdexcept>

namespace banyan {

namespace {

sampler_options to_sampler(const sampling_options& o) {
  return {.temperature = o.temperature,
          .top_k = o.top_k,
          .top_p = o.top_p,
          .min_p = o.min_p,
          .seed = o.seed};
}

void clear(decode_batch& batch) {
  for (auto part : {&batch.ids, &batch.positions, &batch.slots, &batch.starts, &batch.blocks,
                    &batch.block_starts, &batch.wanted})
    part->clear();
}

} // namespace

engine::engine(std::unique_ptr<evaluator> device, std::int32_t block_size)
    : evaluator_(std::move(device)), block_size_(block_size) {}

std::span<const sampled_token> engine::run(std::span<const lane> lanes) {
  tokens_.clear();
  while (!lanes.empty()) {
    const auto same = [&](const lane& one) { return one.epoch == lanes.front().epoch; };
    const auto count = std::ranges::find_if_not(lanes, same) - lanes.begin();
    forward(lanes.first(static_cast<std::size_t>(count)));
    lanes = lanes.subspan(static_cast<std::size_t>(count));
  }
  return tokens_;
}

void engine::forward(std::span<const lane> lanes) {
  gather(lanes);
  const auto begin = std::chrono::steady_clock::now();
  const auto logits = evaluator_->run(batch_, lanes.front().epoch);
  forward_s_ += seconds_since(begin);
  read_all(lanes, logits);
}

void engine::gather(std::span<const lane> lanes) {
  clear(batch_);
  batch_.starts.push_back(0);
  batch_.block_starts.push_back(0);
  for (auto& lane : lanes) gather(lane);
}

void engine::gather(const lane& lane) {
  const auto& [ids, held] = std::tie(lane.who->request.ids, lane.who->held);
  const auto end = held.computed + lane.num_tokens;
  for (auto position = held.computed; position < end; ++position) {
    const auto at = static_cast<std::int32_t>(position);
    const auto& block = held.blocks[static_cast<std::size_t>(at / block_size_)];
    batch_.ids.push_back(ids[position]);
    batch_.positions.push_back(at);
    batch_.slots.push_back(block.index() * block_size_ + at % block_size_);
  }
  const auto size = static_cast<std::size_t>(block_size_);
  for (std::size_t i = 0; i < (end + size - 1) / size; ++i)
    batch_.blocks.push_back(held.blocks[i].index());
  batch_.starts.push_back(static_cast<std::int32_t>(batch_.ids.size()));
  batch_.block_starts.push_back(static_cast<std::int32_t>(batch_.blocks.size()));
  const auto first = batch_.starts[batch_.starts.size() - 2];
  for (std::size_t i = 0; i < lane.num_scored; ++i)
    batch_.wanted.push_back(first
                            + static_cast<std::int32_t>(lane.first_scored + i - held.computed));
  if (lane.samples) batch_.wanted.push_back(batch_.starts.back() - 1);
}

/// `logits`: [wanted, vocab]
void engine::read_all(std::span<const lane> lanes, std::span<const float> logits) {
  if (batch_.wanted.empty()) return;
  const auto vocab = logits.size() / batch_.wanted.size();
  for (const auto& lane : lanes) {
    const auto rows = logits.first((lane.num_scored + lane.samples) * vocab);
    logits = logits.subspan(rows.size());
    const auto before = tokens_.size();
    try {
      read(lane, rows, vocab);
    } catch (const std::domain_error&) {
      tokens_.resize(before);
      lane.who->failure = errc::bad_weights;
    }
  }
}

void engine::read(const lane& lane, std::span<const float> rows, std::size_t vocab) {
  const auto& request = lane.who->request;
  const auto& ids = request.ids;
  const auto temperature = request.sampling.temperature;
  const auto tell = [&](auto choose) {
    const auto row = rows.first(vocab);
    rows = rows.subspan(vocab);
    tokens_.push_back(choose(row));
    if (request.likeliest > 0) append_likeliest(row, temperature, request.likeliest, tokens_);
  };
  for (std::size_t i = 0; i < lane.num_scored; ++i)
    tell([&](auto row) { return score(row, temperature, ids[lane.first_scored + i + 1]); });
  if (lane.samples)
    tell([&](auto row) {
      return sample(row, to_sampler(request.sampling), lane.who->thread_key, ids.size(),
                    request.ban);
    });
}

} // namespace banyan
