#include "trainer/unfinished_tree.hpp"

#include "solver/trace.hpp"

#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>

namespace banyan {
namespace {

thread_phase phase_of_root(tree_phase p) {
  return p == tree_phase::queued   ? thread_phase::queued
         : p == tree_phase::paused ? thread_phase::paused
                                   : thread_phase::decoding;
}

/// Where a path stands in the tree: its depth, then the number of each child on the way.
std::vector<std::uint32_t> position_of(std::string_view path) {
  std::vector<std::uint32_t> position{0};
  if (path == "/") return position;
  for (const auto* at = path.data(); at < path.data() + path.size();) {
    std::uint32_t index = 0;
    at = std::from_chars(at + 1, path.data() + path.size(), index).ptr;
    position.push_back(index);
    ++position.front();
  }
  return position;
}

} // namespace

std::vector<thread_record> in_order(std::vector<thread_record> threads) {
  std::ranges::sort(threads, {}, [](const auto& t) { return position_of(t.path); });
  std::unordered_set<std::string> seen;
  std::erase_if(threads, [&](const auto& t) {
    const bool orphan = t.path != "/" && !seen.contains(t.parent());
    if (!orphan) seen.insert(t.path);
    return orphan;
  });
  return threads;
}

tree begun(const solve_request& request, std::int64_t created_ms, tree_phase phase,
           std::vector<thread_record> threads) {
  tree t;
  t.id = request.id;
  t.task = request.task;
  t.problem = request.problem;
  t.prompt = request.prompt;
  if (t.problem.numbers.empty()) t.problem = parse_root_prompt(t.prompt).value_or(t.problem);
  if (t.prompt.empty()) t.prompt = root_prompt(t.problem);
  t.labels = request.labels;
  t.seed = request.sampling.seed;
  t.created_ms = created_ms;
  t.phase = phase;
  t.threads = std::move(threads);
  if (!t.threads.empty()) return t;
  auto& root = t.add("/");
  root.phase = phase_of_root(phase);
  root.since_ms = created_ms;
  root.segments.push_back({segment_kind::prompt, t.prompt, {}, {}, {}});
  return t;
}

} // namespace banyan
