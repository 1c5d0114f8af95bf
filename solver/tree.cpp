#include "solver/tree.hpp"

#include <algorithm>
#include <cassert>
#include <charconv>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace banyan {

std::string_view to_string(segment_kind kind) {
  switch (kind) {
  case segment_kind::prompt: return "prompt";
  case segment_kind::written: return "written";
  case segment_kind::spawn: return "spawn";
  case segment_kind::joined: return "joined";
  }
  return "unknown";
}

std::string_view to_string(thread_phase phase) {
  switch (phase) {
  case thread_phase::queued: return "queued";
  case thread_phase::decoding: return "decoding";
  case thread_phase::waiting: return "waiting";
  case thread_phase::paused: return "paused";
  case thread_phase::done: return "done";
  case thread_phase::failed: return "failed";
  case thread_phase::cancelled: return "cancelled";
  }
  return "unknown";
}

std::string_view to_string(tree_phase phase) {
  switch (phase) {
  case tree_phase::queued: return "queued";
  case tree_phase::running: return "running";
  case tree_phase::paused: return "paused";
  case tree_phase::done: return "done";
  case tree_phase::failed: return "failed";
  case tree_phase::cancelled: return "cancelled";
  }
  return "unknown";
}

std::optional<tree_phase> tree_phase_from(std::string_view name) {
  for (int i = 0; i <= static_cast<int>(tree_phase::cancelled); ++i)
    if (const auto phase = static_cast<tree_phase>(i); to_string(phase) == name) return phase;
  return {};
}

// ---- paths

std::string child_path(std::string_view parent, std::uint32_t index) {
  std::string path(parent);
  if (path != "/") path += '/';
  return path += std::to_string(index);
}

bool at_or_below(std::string_view path, std::string_view ancestor) {
  if (ancestor == "/" || path == ancestor) return true;
  return path.starts_with(ancestor) && path[ancestor.size()] == '/';
}

namespace {

/// "" for the root; a path without a slash has no parent either.
std::string_view parent_of(std::string_view path) {
  const auto slash = path.rfind('/');
  if (path == "/" || slash == std::string_view::npos) return {};
  return path.substr(0, std::max<std::size_t>(slash, 1));
}

std::uint32_t length_of(std::string_view path) {
  return path == "/" ? 0 : static_cast<std::uint32_t>(std::ranges::count(path, '/'));
}

/// True for "/" and for what `child_path` can make of it.
bool is_path(std::string_view path) {
  while (path != "/") {
    const auto parent = parent_of(path);
    if (parent.empty()) return false;
    const auto index = path.substr(path.rfind('/') + 1);
    std::uint32_t value = 0;
    const auto [end, ec] = std::from_chars(index.data(), index.data() + index.size(), value);
    if (ec != std::errc{} || child_path(parent, value) != path) return false;
    path = parent;
  }
  return true;
}

} // namespace

// ---- one thread

std::string thread_record::parent() const { return std::string(parent_of(path)); }

std::string thread_record::text() const {
  std::string all;
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const bool replaced = segments[i].kind == segment_kind::spawn && i + 1 < segments.size()
                          && segments[i + 1].kind == segment_kind::joined;
    if (!replaced) all += segments[i].text;
  }
  return all;
}

bool thread_record::refused() const {
  return failure == errc::budget_spent && depth > 0 && pool.empty() && segments.size() <= 1;
}

std::uint64_t thread_record::generated_tokens() const {
  std::uint64_t sum = 0;
  for (const auto& s : segments)
    if (s.sampled()) sum += s.ids.size();
  return sum;
}

// ---- the tree

thread_record& tree::add(std::string path) {
  assert(threads.empty() ? path == "/" : find(parent_of(path)) != nullptr);
  auto& added = threads.emplace_back();
  added.depth = length_of(path);
  added.path = std::move(path);
  return added;
}

thread_record* tree::find(std::string_view path) {
  return const_cast<thread_record*>(std::as_const(*this).find(path));
}

const thread_record* tree::find(std::string_view path) const {
  const auto found = std::ranges::find(threads, path, &thread_record::path);
  return found == threads.end() ? nullptr : &*found;
}

namespace {

/// Generated tokens of the longest chain that begins at the root. Parents come before their
/// children, so one pass from the back finds every child's chain complete.
std::uint64_t critical_path(const std::vector<thread_record>& threads) {
  std::unordered_map<std::string_view, std::size_t> index;
  for (std::size_t i = 0; i < threads.size(); ++i) index.emplace(threads[i].path, i);
  std::vector<std::map<std::uint32_t, std::uint64_t>> longest(threads.size()); // per round
  std::uint64_t chain = 0;
  for (auto i = threads.size(); i-- > 0;) {
    chain = threads[i].generated_tokens();
    for (const auto& [round, tokens] : longest[i]) chain += tokens;
    const auto parent = index.find(parent_of(threads[i].path));
    if (!threads[i].awaited || parent == index.end()) continue;
    auto& in_round = longest[parent->second][threads[i].round];
    in_round = std::max(in_round, chain);
  }
  return chain;
}

} // namespace

tree_usage tree::usage() const {
  tree_usage sum;
  for (const auto& t : threads) {
    if (t.refused()) continue;
    ++sum.threads;
    sum.depth = std::max(sum.depth, t.depth);
    sum.rounds += t.rounds;
    sum.prompt_tokens += t.prompt_tokens;
    sum.cached_tokens += t.cached_tokens;
    sum.generated_tokens += t.generated_tokens();
  }
  sum.critical_path_tokens = critical_path(threads);
  sum.wall_ms = wall_ms;
  return sum;
}

/// Parents come before their children.
std::vector<bool> tree::wasted() const {
  std::unordered_set<std::string_view> paths;
  std::vector<bool> all;
  for (const auto& t : threads) {
    all.push_back(!t.awaited || t.phase == thread_phase::cancelled
                  || paths.contains(parent_of(t.path)));
    if (all.back()) paths.insert(t.path);
  }
  return all;
}

std::uint64_t tree::wasted_tokens() const {
  const auto wasted = this->wasted();
  std::uint64_t tokens = 0;
  for (std::size_t i = 0; i < threads.size(); ++i)
    if (wasted[i]) tokens += threads[i].generated_tokens();
  return tokens;
}

std::uint64_t tree::longest_context() const {
  std::uint64_t longest = 0;
  for (const auto& t : threads) {
    std::uint64_t context = 0;
    for (const auto& s : t.segments) {
      if (s.sampled() && !s.ids.empty()) longest = std::max(longest, context + s.ids.size());
      if (s.kind != segment_kind::spawn) context += s.ids.size();
    }
  }
  return longest;
}

namespace {

segment without_text(const segment& s) {
  return {s.kind, {}, std::vector<std::int32_t>(s.sampled() ? s.ids.size() : 0), {}, {}};
}

} // namespace

tree outline(const tree& whole) {
  tree t{{whole}, {}};
  t.threads.reserve(whole.threads.size());
  for (const auto& thread : whole.threads) {
    auto& kept = t.threads.emplace_back(thread_record{{thread}, {}, {}});
    for (const auto& s : thread.segments) kept.segments.push_back(without_text(s));
    if (thread.solution) kept.solution.emplace();
  }
  return t;
}

// ---- self check

namespace {

/// `prompt written (spawn joined written)*`, cut off anywhere: which kind may come at `position`.
segment_kind expected_kind(std::size_t position) {
  constexpr segment_kind cycle[] = {segment_kind::written, segment_kind::spawn,
                                    segment_kind::joined};
  return position == 0 ? segment_kind::prompt : cycle[(position - 1) % 3];
}

std::optional<std::string> wrong_counts(const segment& s) {
  const auto expected = s.sampled() ? s.ids.size() : 0;
  const auto says = [&](std::size_t found, const char* what) {
    return "has " + std::to_string(found) + " " + what + " for " + std::to_string(expected)
           + " sampled ids";
  };
  if (s.logprobs.size() != expected) return says(s.logprobs.size(), "logprobs");
  if (s.epochs.size() != expected) return says(s.epochs.size(), "epochs");
  return {};
}

std::optional<std::string> wrong_segments(const std::vector<segment>& segments) {
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const auto where = "segment " + std::to_string(i) + " ";
    if (segments[i].kind != expected_kind(i))
      return where + "is of kind " + std::string(to_string(segments[i].kind)) + " instead of "
             + std::string(to_string(expected_kind(i)));
    if (auto wrong = wrong_counts(segments[i])) return where + *wrong;
  }
  return {};
}

} // namespace

std::optional<std::string> tree::inconsistent() const {
  if (threads.empty() || threads.front().path != "/") return "the first thread is not the root";
  std::unordered_set<std::string_view> seen;
  for (const auto& t : threads) {
    const auto says = [&](const std::string& what) { return "thread " + t.path + ": " + what; };
    if (!is_path(t.path)) return says("not a path");
    if (!seen.insert(t.path).second) return says("its path occurs twice");
    if (t.path != "/" && !seen.contains(parent_of(t.path)))
      return says("its parent is not before it");
    if (t.depth != length_of(t.path))
      return says("depth " + std::to_string(t.depth) + " does not fit its path");
    if (auto wrong = wrong_segments(t.segments)) return says(*wrong);
  }
  return {};
}

} // namespace banyan
