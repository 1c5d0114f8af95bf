#pragma once

#include "actors/config.hpp"
#include "actors/detokenizer.hpp"
#include "solver/tree.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace banyan {

struct decode_reply;

/// A thread's tokens: what its model sees next, and the segments of its record. Sampled ids are
/// kept as they came and never made from text again; only given text (prompt, joins) is encoded.
class transcript {
public:
  /// Throws std::invalid_argument where the prompt cannot be encoded. `codec` must outlive the
  /// transcript.
  transcript(const codec&, std::string_view prompt);

  /// Goes on from the segments of a record, as `segments` gave them. `spawn_offset`: where the last
  /// segment is an open spawn block, the byte of the text at which it begins.
  transcript(const codec&, std::vector<segment>, std::size_t spawn_offset);

  /// All ids that the model sees, `codec::begin` included.
  const std::vector<std::int32_t>& context() const { return context_; }

  /// Takes over what was sampled and returns its text, as far as its characters are whole. Throws
  /// std::invalid_argument if there is not one logprob and one epoch per id.
  std::string append(const decode_reply&);

  /// Nothing is sampled behind what was: takes over and returns the text of a character that is
  /// not whole, where there is one.
  std::string close();

  /// Says what text would follow if more were sampled.
  detokenizer ahead() const { return decoding_; }

  /// A spawn block begins at byte `offset` of the text. From the token on that holds this byte,
  /// what was sampled is the spawn segment. If the token began before, its first bytes are given
  /// back by `join`.
  void open_spawn(std::size_t offset);

  /// Puts the text of a join in the place of the open spawn block. Throws std::invalid_argument
  /// where it cannot be encoded.
  void join(std::string_view text);

  /// Bytes of the text: prompt, written and joined text, an open spawn block not.
  std::size_t text_size() const { return stretch_offset_ + stretch_.text.size(); }

  /// Nothing was sampled since the prompt or the last join.
  bool at_stretch_begin() const { return stretch_.ids.empty(); }

  /// For the thread's record, in the order `prompt written (spawn joined written)*`.
  std::vector<segment> segments() const;

private:
  void begin_stretch(segment);
  std::size_t stretch_begin() const { return context_.size() - stretch_.ids.size(); }

  const codec* codec_;
  std::vector<std::int32_t> context_;
  std::vector<segment> closed_; ///< prompt, and all up to the last join or open spawn
  segment stretch_{
      segment_kind::written, {}, {}, {}, {}}; ///< sampled since then; the context ends with it
  std::size_t stretch_offset_;                ///< bytes of the text before the stretch
  detokenizer decoding_;                      ///< behind the stretch's last token
  std::string remainder_; ///< text of an open spawn's first token from before the block
};

/// Ids that no thread may sample: the tag that begins a join, where the vocabulary has it as a
/// token. Only joins write it; a model that does imagines its children's results.
std::vector<std::int32_t> banned_ids(const codec&);

} // namespace banyan
