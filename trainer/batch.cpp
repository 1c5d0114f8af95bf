#include "trainer/batch.hpp"

#include "model/tokenizer.hpp"
#include "solver/tree.hpp"

#include <algorithm>

namespace banyan {

namespace {

std::vector<std::int32_t> ids_of(const segment& s, const tokenizer& vocabulary, bool ends) {
  if (!s.ids.empty()) return s.ids;
  auto ids = vocabulary.encode(s.text);
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

void add_row(sequence_group& group, const training_sequence& s, std::int32_t pad_id) {
  group.ids.insert(group.ids.end(), s.ids.begin(), s.ids.end());
  group.positions.insert(group.positions.end(), s.positions.begin(), s.positions.end());
  group.visible_until.insert(group.visible_until.end(), s.visible_until.begin(),
                             s.visible_until.end());
  ++group.rows;
  const auto size = static_cast<std::size_t>(group.rows * group.length);
  group.ids.resize(size, pad_id);
  group.positions.resize(size, 0);
  group.visible_until.resize(size, visible_always);
}

} // namespace

training_sequence sequence_of(const thread_record& thread, const tokenizer& vocabulary) {
  training_sequence s;
  std::int32_t position = 0;
  std::vector<std::pair<std::size_t, std::size_t>> spawns; // [begin, end) of spawn blocks
  for (std::size_t i = 0; i < thread.segments.size(); ++i) {
    const auto& part = thread.segments[i];
    const auto ends = part.kind == segment_kind::spawn || i + 1 == thread.segments.size();
    const auto ids = ids_of(part, vocabulary, ends && part.sampled());
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

training_batch make_batch(std::vector<training_sequence> sequences, std::int32_t pad_id,
                          double fill) {
  std::stable_sort(sequences.begin(), sequences.end(),
                   [](const auto& a, const auto& b) { return a.length() > b.length(); });
  training_batch batch;
  std::size_t offset = 0; // flat index of the current group's first token
  for (const auto& s : sequences) {
    auto* group = batch.groups.empty() ? nullptr : &batch.groups.back();
    if (!group || double(s.length()) < fill * double(group->length)) {
      if (group) offset += static_cast<std::size_t>(group->rows * group->length);
      group = &batch.groups.emplace_back();
      group->length = static_cast<std::int64_t>(s.length());
    }
    const auto row = offset + static_cast<std::size_t>(group->rows * group->length);
    for (std::size_t i = 0; i < s.length(); ++i) {
      if (s.targets[i] < 0) continue;
      batch.selected.push_back(static_cast<std::int64_t>(row + i));
      batch.targets.push_back(s.targets[i]);
    }
    add_row(*group, s, pad_id);
    batch.num_tokens += s.length();
    batch.num_padding += static_cast<std::size_t>(group->length) - s.length();
  }
  return batch;
}

} // namespace banyan
