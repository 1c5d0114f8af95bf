#include "trainer/batch.hpp"

#include "model/tokenizer.hpp"
#include "solver/tree.hpp"

#include <algorithm>

namespace banyan {

namespace {

std::vector<std::int32_t> ids_of(const segment& s, const tokenizer& vocabulary, bool behind_text,
                                 bool ends) {
  if (!s.ids.empty()) return s.ids;
  auto ids = behind_text ? vocabulary.encode_continuation(s.text) : vocabulary.encode(s.text);
  if (ends) ids.push_back(vocabulary.eos_id());
  return ids;
}

void append(training_sequence& to, std::span<const std::int32_t> ids, std::int32_t position,
            bool sampled) {
  for (auto id : ids) {
    if (!to.ids.empty()) to.targets.push_back(sampled ? id : -1);
    to.ids.push_back(id);
    to.positions.push_back(position++);
  }
}

} // namespace

training_sequence sequence_of(const thread_record& thread, const tokenizer& vocabulary) {
  training_sequence s;
  std::int32_t position = 0;
  std::vector<std::pair<std::size_t, std::size_t>> spawns; // [begin, end) of spawn blocks
  for (std::size_t i = 0; i < thread.segments.size(); ++i) {
    const auto& part = thread.segments[i];
    const auto ends =
        part.kind == segment_kind::spawn
        || (i + 1 == thread.segments.size() && thread.phase != thread_phase::cancelled);
    const auto ids = ids_of(part, vocabulary, position > 0, ends && part.sampled());
    const auto begin = s.ids.size();
    append(s, ids, position, part.sampled());
    if (part.kind == segment_kind::spawn)
      spawns.emplace_back(begin, s.ids.size());
    else
      position += static_cast<std::int32_t>(ids.size());
  }
  s.targets.push_back(-1);
  s.visible_until.assign(s.ids.size(), visible_always);
  for (auto [begin, end] : spawns)
    std::fill_n(s.visible_until.begin() + static_cast<std::ptrdiff_t>(begin), end - begin,
                static_cast<std::int32_t>(end));
  return s;
}

std::vector<training_sequence> sequences_of(const tree& t, const tokenizer& vocabulary) {
  std::vector<training_sequence> all;
  all.reserve(t.threads.size());
  for (const auto& thread : t.threads) all.push_back(sequence_of(thread, vocabulary));
  return all;
}

void append_sequence(sequence_batch& all, std::span<const std::int32_t> ids,
                     std::span<const std::int32_t> positions,
                     std::span<const std::int32_t> visible_until) {
  all.ids.insert(all.ids.end(), ids.begin(), ids.end());
  all.positions.insert(all.positions.end(), positions.begin(), positions.end());
  all.visible_until.insert(all.visible_until.end(), visible_until.begin(), visible_until.end());
  all.starts.push_back(static_cast<std::int32_t>(all.ids.size()));
}

training_batch make_batch(std::span<const training_sequence> sequences) {
  training_batch batch;
  auto& all = batch.sequences;
  all.starts.push_back(0);
  for (const auto& s : sequences) {
    for (std::size_t i = 0; i < s.length(); ++i) {
      if (s.targets[i] < 0) continue;
      batch.selected.push_back(static_cast<std::int64_t>(all.ids.size() + i));
      batch.targets.push_back(s.targets[i]);
    }
    append_sequence(all, s.ids, s.positions, s.visible_until);
  }
  return batch;
}

} // namespace banyan
