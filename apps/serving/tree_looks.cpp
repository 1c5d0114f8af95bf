#include "apps/serving/tree_looks.hpp"

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace banyan {

void add_board(tree& t, const board_rows& said) {
  std::unordered_map<std::string_view, const status_board::row*> rows;
  for (const auto& row : said) rows.emplace(row.thread, &row);
  for (auto& thread : t.threads) {
    const auto row = rows.find(thread.path);
    if (row == rows.end() || ended(thread.phase)) continue;
    thread.phase = row->second->phase;
    thread.since_ms = row->second->since_ms;
    if (thread.history.empty() || thread.history.back().phase != thread.phase)
      thread.history.push_back({thread.phase, thread.since_ms});
    const auto known = thread.generated_tokens();
    if (row->second->tokens <= known) continue;
    thread.segments.push_back({segment_kind::written, {}, {}, {}, {}}); // only its length counts
    thread.segments.back().ids.resize(row->second->tokens - known);
  }
}

std::span<thread_record> range_of(tree& t, const thread_range& range) {
  std::span<thread_record> rest(t.threads);
  if (!range.after.empty()) {
    const auto found = std::ranges::find(rest, range.after, &thread_record::path);
    const auto behind = static_cast<std::size_t>(found - rest.begin()) + 1;
    rest = rest.subspan(std::min(behind, rest.size()));
  }
  return rest.first(std::min(rest.size(), range.most));
}

} // namespace banyan
