#pragma once

#include "trainer/batch.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace banyan {

/// A thread as trainers without a layout for trees need it: each spawn block, and what came in the
/// place of the last one, is a sequence of its own that repeats all it sees. Every token that
/// carries loss does so once.
inline std::vector<training_sequence> flattened(const training_sequence& tree) {
  const auto length = static_cast<std::int32_t>(tree.length());
  std::vector<std::int32_t> ends; // of spawn blocks, and of the sequence
  for (auto until : tree.visible_until)
    if (until != visible_always && (ends.empty() || ends.back() != until)) ends.push_back(until);
  if (ends.empty() || ends.back() != length) ends.push_back(length);
  std::vector<training_sequence> flat;
  std::int32_t counted = 0; // tokens whose loss is in an earlier sequence
  for (auto end : ends) {
    training_sequence s;
    for (std::int32_t i = 0; i < end; ++i) {
      const auto at = static_cast<std::size_t>(i);
      if (tree.visible_until[at] < end) continue;
      s.ids.push_back(tree.ids[at]);
      s.positions.push_back(tree.positions[at]);
      s.targets.push_back(i < counted ? -1 : tree.targets[at]);
    }
    s.visible_until.assign(s.length(), visible_always);
    counted = end;
    flat.push_back(std::move(s));
  }
  return flat;
}

/// All as long as the longest.
inline void pad(std::vector<training_sequence>& sequences, std::int32_t pad_id) {
  std::size_t longest = 0;
  for (const auto& s : sequences) longest = std::max(longest, s.length());
  for (auto& s : sequences)
    while (s.length() < longest) {
      s.ids.push_back(pad_id);
      s.positions.push_back(static_cast<std::int32_t>(s.positions.size()));
      s.visible_until.push_back(visible_always);
      s.targets.push_back(-1);
    }
}

} // namespace banyan
