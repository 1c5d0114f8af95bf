#pragma once

#include "model/transformer.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace banyan {

class tokenizer;
struct tree;
struct thread_record;

/// What one thread teaches. Its text is laid out depth first: prompt and written text, then a spawn
/// block, then what came in the block's place, and so on. What follows a block does not see it, and
/// its positions go on from where the block began; so the text before a spawn is computed once for
/// both.
struct training_sequence {
  std::vector<std::int32_t> ids;           ///< [length]
  std::vector<std::int32_t> positions;     ///< [length]
  std::vector<std::int32_t> visible_until; ///< [length] see sequence_batch
  std::vector<std::int32_t> targets;       ///< [length] the token to predict after this one, or -1

  std::size_t length() const { return ids.size(); }
};

/// The sequence of a thread. Loss is put on what the thread must produce itself alone: written text
/// and spawn blocks, never prompts or joined text. Uses the segments' token ids where they are
/// given, else encodes their text and ends each spawn block, and a thread that
/// was not cancelled, with end-of-sequence.
training_sequence sequence_of(const thread_record&, const tokenizer&);

/// One sequence per thread.
std::vector<training_sequence> sequences_of(const tree&, const tokenizer&);

/// Sequences as the model takes them, and what is to be predicted.
struct training_batch {
  sequence_batch sequences;
  std::vector<std::int64_t> selected; ///< indices of the tokens that carry loss, rising
  std::vector<std::int64_t> targets;  ///< [selected]

  std::size_t num_tokens() const { return sequences.ids.size(); }
};

/// Puts a sequence behind those of a batch that has its first `starts` entry already.
void append_sequence(sequence_batch&, std::span<const std::int32_t> ids,
                     std::span<const std::int32_t> positions,
                     std::span<const std::int32_t> visible_until);

training_batch make_batch(std::span<const training_sequence>);

} // namespace banyan
