#pragma once

#include "gpu_pool/sequence_cache.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

namespace banyan {

class tokenizer;
struct model_config;
struct sampled_token;

struct scheduler_options {
  std::int32_t block_size = 16;     ///< tokens
  std::size_t max_batch = 256;      ///< sequences that run at a time
  std::size_t prefill_tokens = 512; ///< prompt tokens per step, beside the decoded ones
  std::size_t max_queue = 65536;    ///< sequences that wait
};

/// One sequence's part of a step: its next `num_tokens` tokens go through the model.
struct lane {
  sequence* who = nullptr;
  std::uint32_t num_tokens = 0;
  bool samples = false;    ///< they are its last ones: the next token is sampled
  std::uint32_t epoch = 0; ///< of the weights that they go through
  std::size_t first_scored = 0, num_scored = 0; ///< positions after which it is asked how likely
                                                ///< the prompt's next token is
};

struct ended_sequence {
  std::uint64_t id = 0;
  decode_reply reply;
  errc failure = errc::none; ///< anything else: it ended without an answer
  std::uint32_t epoch = 0;   ///< of the weights that failed
};

struct scheduler_counts {
  std::uint64_t finished = 0, failed = 0, steps = 0, preempted = 0;
  std::uint64_t cancelled = 0; ///< broken off by a pause, a cancel or a join that went on
  std::uint64_t prompt_tokens = 0, cached_tokens = 0, generated_tokens = 0;
  std::uint64_t computed_tokens = 0; ///< through the model, again after a preemption
};

/// Says which tokens go through the model next. Continuous batching: every step decodes one token
/// of each running sequence and mixes in prompt tokens up to a limit. First come first served by
/// family; a parent whose join is complete goes first. When blocks run out, the youngest family's
/// sequence goes back to the queue and is computed again later; that changes no token, for sampling
/// does not know the batch.
class scheduler {
public:
  /// `epoch`: of the weights that are there at first.
  scheduler(const scheduler_options&, std::int32_t num_blocks, const model_config&,
            std::shared_ptr<const tokenizer>, std::uint32_t epoch = 0);

  /// Queues a request; `id` is the caller's, each greater than the one before. Anything but `none`
  /// is why it was refused: `bad_request`, `pool_full`, `context_full` for a prompt that leaves no
  /// room, or `no_weights` where those of its epoch are not there.
  errc submit(std::uint64_t id, decode_request);

  /// The next step, lanes of older epochs first; empty if there is nothing to do. Valid until
  /// `accept`, which must come next.
  std::span<const lane> next();

  /// For each lane in order, what it scored and then what it sampled; behind each token the
  /// likeliest ones, where the request wants them. Returns who ended by it.
  std::vector<ended_sequence> accept(std::span<const sampled_token>);

  /// In place of `accept`: the device had no memory for the step. The next ones have half as many
  /// prompt tokens if these were most of it, or else half as many sequences, and grow again when
  /// many went well. False: a step cannot be smaller.
  bool retreat();

  /// Breaks off a thread and all below it, queued or running, and ends their leases. Returns who
  /// ended, with what it had sampled. `will_return`: their whole blocks stay findable.
  std::vector<ended_sequence> cancel(std::uint64_t family, const std::string& path,
                                     bool will_return = false);

  /// Ends the leases of a thread and of all below it.
  void release(std::uint64_t family, const std::string& path);

  /// From now on there are weights of this epoch, the newest. What is pinned to older ones goes on
  /// with those; all else is sampled with the new ones, finds no older keys and values, and, where
  /// it runs, goes on over those it has.
  void renew(std::uint32_t epoch);

  /// Forgets the epochs that nothing pinned needs, neither a sequence nor a thread with a lease,
  /// but for the newest and `keep` older ones. Returns them.
  std::vector<std::uint32_t> forget_epochs(std::size_t keep);

  /// What a running sequence has sampled so far; null for one that is queued or unknown.
  const decode_reply* sampled(std::uint64_t id) const;

  /// What runs for a thread, and what it holds: the blocks of its sequence, or of its lease.
  sequence_status look(std::uint64_t family, const std::string& path) const;

  /// Who left the queue for the first time in the last `next`.
  std::span<const std::uint64_t> admitted() const { return admitted_; }

  bool idle() const { return running_.empty() && queue_.empty(); }
  std::size_t num_queued() const { return queue_.size(); }
  std::size_t num_running() const { return running_.size(); }
  std::uint32_t epoch() const { return epochs_.newest(); }
  const epoch_list& epochs() const { return epochs_; }
  const scheduler_counts& counts() const { return counts_; }
  const sequence_cache& cache() const { return cache_; }

  /// Of a step, for now.
  std::size_t max_batch() const { return max_batch_; }
  std::size_t prefill_tokens() const { return prefill_tokens_; }

  /// Says what is wrong with the accounts of the cache, or nothing.
  std::optional<std::string> check() const;

private:
  struct family {
    std::uint64_t age = 0;
    std::size_t live = 0; // sequences queued or running
  };
  using owned = std::unique_ptr<sequence>;
  using rank =
      std::tuple<bool, std::uint64_t, std::uint64_t>; // joins first, then family, then arrival

  static rank rank_of(const sequence& s) { return {!s.request.resumes_join, s.family_age, s.id}; }
  errc judge(const decode_request&) const;
  family& family_of(std::uint64_t number);
  void forget_families();
  bool find_room(std::size_t position);
  void preempt_youngest();
  void admit_waiting(std::size_t prefill_left);
  void add_lane(sequence&, std::size_t& prefill_left);
  std::optional<finish_reason> append(sequence&, const sampled_token&, std::uint32_t epoch);
  void score(lane&) const;
  std::optional<finish_reason> ending(sequence&, std::int32_t token);
  void finish(sequence&);
  void fail(sequence&);
  void advance_limits();

  scheduler_options options_;
  std::size_t max_batch_, prefill_tokens_; // of the options, or less for want of memory
  std::uint64_t retreated_at_ = 0;         // step
  std::shared_ptr<const tokenizer> vocabulary_;
  std::int32_t vocab_size_, eos_id_;
  std::size_t context_; // tokens of one sequence: what the model or the whole cache holds
  epoch_list epochs_;
  std::uint64_t num_families_ = 0; // that ever came
  sequence_cache cache_;           // before the sequences, which hold its blocks
  std::unordered_map<std::uint64_t, family> families_;
  std::size_t forget_at_ = 4096;
  std::map<rank, owned> queue_;
  std::vector<owned> running_; // oldest family first
  std::unordered_map<std::uint64_t, const sequence*> running_by_id_;
  std::vector<lane> lanes_;
  std::vector<std::uint64_t> admitted_;
  scheduler_counts counts_;
};

} // namespace banyan
