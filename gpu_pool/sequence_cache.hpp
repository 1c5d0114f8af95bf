#pragma once

#include "actors/decode.hpp"
#include "gpu_pool/blocks.hpp"
#include "gpu_pool/epochs.hpp"
#include "gpu_pool/leases.hpp"
#include "gpu_pool/prefix_cache.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace banyan {

/// One request on its way.
struct sequence {
  std::uint64_t id = 0;
  std::uint64_t family_age = 0; ///< 0: the family that arrived first
  std::uint64_t thread_key = 0; ///< of the sampling counter
  decode_request request;       ///< its `ids` grow by what is sampled
  decode_reply reply;           ///< what was sampled so far
  pinned_epoch pin;             ///< null: it goes with the newest weights
  held_blocks held;
  std::string tail;      ///< end of the sampled text, where a stop string may have begun
  bool admitted = false; ///< ran before, perhaps until it was preempted
  bool ended = false;
  errc failure = errc::none; ///< why it has no next token

  std::size_t prompt_size() const { return request.ids.size() - reply.ids.size(); }
  /// Tokens at the front whose logits nobody wants: keys and values that are known will do.
  std::size_t num_reusable() const {
    const auto scored = reply.prompt_logprobs.size();
    return request.scores_prompt && scored + 1 < prompt_size() ? scored : request.ids.size() - 1;
  }
  std::size_t num_pending() const { return request.ids.size() - held.computed; } ///< at least 1
};

/// Gives blocks to sequences, and takes them where they are missed least: those of weights that are
/// gone first, then free ones, cached ones that nobody uses, the leases of the oldest family.
/// Whoever loses blocks computes again.
///
/// Prompts become findable for others as they are computed, sampled text when its sequence ends
/// without a lease. A thread that comes back to its lease goes on right where its new text leaves
/// the old one: what was sampled after that is overwritten in place, also in the middle of a block.
/// Only if somebody else shares that block, up to block_size - 1 tokens are computed again.
class sequence_cache {
public:
  sequence_cache(std::int32_t num_blocks, std::int32_t block_size);

  /// Finds what is known of the sequence and gives it blocks for all its tokens, if at least
  /// `reserve` more can be had after that. False: it holds nothing, and a lease of its own lives
  /// on.
  bool admit(sequence&, std::size_t reserve);

  /// Makes sure of room for the pending tokens; false if nothing can be had without taking it from
  /// a sequence that runs.
  bool grow(sequence&);

  /// The next `num_tokens` pending tokens were computed.
  void advance(sequence&, std::size_t num_tokens);

  void keep(sequence&); ///< Its blocks become the thread's lease.
  void
  retire(sequence&); ///< Its blocks are given back; whole ones can be found until they are needed.
  void discard(sequence&); ///< Its blocks are given back; nobody needs what it sampled.

  /// Ends the leases of a thread and of all below it.
  void release(std::uint64_t family_age, const std::string& path);

  /// The newest weights are of this epoch: what older ones made is found only by sequences that are
  /// pinned to them. Leases of threads that are not end; sequences that run go on over the keys
  /// they have.
  void renew(std::uint32_t epoch);

  /// Weights of epochs before this one are gone, and nobody is pinned to them.
  void forget_before(std::uint32_t epoch) { prefixes_.forget_before(epoch); }

  /// Of the weights that decode the sequence now.
  std::uint32_t epoch_of(const sequence& s) const { return s.pin ? *s.pin : epoch_; }

  const block_pool& blocks() const { return blocks_; }
  const lease_table& leases() const { return leases_; }

  /// Says what is wrong, or nothing. `held`: per block, the loans of all sequences.
  std::optional<std::string> check(std::vector<std::uint32_t> held) const;

private:
  std::size_t blocks_for(std::size_t num_tokens) const;
  /// Whether one epoch made all its keys and will make the next ones: others may find them.
  bool pure(const sequence& s) const { return s.held.epoch == epoch_of(s); }
  bool adopt(sequence&, lease);
  void find_prefix(sequence&);
  bool make_room(std::size_t num_blocks);
  void break_oldest_lease();
  void append_block(held_blocks&);
  void publish(const std::vector<std::int32_t>& ids, held_blocks&, std::size_t num_tokens);

  std::uint32_t epoch_ = 0;
  block_pool blocks_; // before everything that holds blocks
  prefix_cache prefixes_;
  lease_table leases_;
};

} // namespace banyan
