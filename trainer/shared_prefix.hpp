#pragma once

#include "model/transformer.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace banyan {

struct thread_record;

/// One sampled token as the policy's loss sees it.
struct sampled_term {
  std::int32_t row = 0;    ///< the token that predicts it: an index in its sequence
  std::int32_t target = 0; ///< the token that was sampled
  float logprob = 0;       ///< under which it was sampled
  std::uint32_t epoch = 0; ///< weights epoch that sampled it
  float advantage = 0;
  float weight = 0; ///< of this token in the batch's loss
};

/// A thread and what its tokens count for.
struct credited_thread {
  const thread_record* thread = nullptr;
  float advantage = 0;
  float weight = 0; ///< of each of its sampled tokens
};

/// Threads that begin with the same prompt, laid out as one prefix tree, depth first: what two
/// texts have in common up to some token is there once, whether they are a thread's spawn block and
/// what came in its place, or two samples of the same prompt in a group. A token sees its ancestors
/// alone, and its position is its depth; so every logit is what the flat sequence would give. A
/// term stands for every sampled token of every thread; terms may share a row.
struct shared_sequence {
  std::vector<std::int32_t> ids;           ///< [length]
  std::vector<std::int32_t> positions;     ///< [length]
  std::vector<std::int32_t> visible_until; ///< [length] see sequence_batch
  std::vector<sampled_term> terms;         ///< rows rising
  std::size_t num_threads = 0;
  std::size_t flat_length = 0; ///< tokens of the same threads as flat sequences, for comparison

  std::size_t length() const { return ids.size(); }
};

/// One sequence per distinct prompt, in the order in which the prompts first come. One of more than
/// `most_tokens` is laid out in parts, down to single threads: what they share is there again in
/// each, and the loss is the same. Threads without sampled tokens give no terms. Throws
/// std::invalid_argument for a thread whose sampled tokens lack ids, logprobs or epochs.
std::vector<shared_sequence>
share_prefixes(std::span<const credited_thread>,
               std::size_t most_tokens = std::numeric_limits<std::size_t>::max());

/// Sequences as the model takes them, and their terms over its rows.
struct policy_batch {
  sequence_batch sequences;
  std::vector<std::int64_t> rows;      ///< [rows] tokens whose logits are wanted, rising
  std::vector<std::int64_t> term_rows; ///< [terms] index into `rows`
  std::vector<sampled_term> terms;     ///< [terms] their `row` counts over the whole batch

  std::size_t num_tokens() const { return sequences.ids.size(); }
};

policy_batch make_policy_batch(std::span<const shared_sequence>);

/// Cuts sequences into runs of at most `max_tokens` tokens; a longer sequence is a run of its own.
std::vector<std::span<const shared_sequence>> cut(std::span<const shared_sequence>,
                                                  std::size_t max_tokens);

} // namespace banyan
