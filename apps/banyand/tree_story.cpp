#include "apps/banyand/tree_story.hpp"

#include "apps/banyand/event_text.hpp"
#include "apps/json_parts.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

namespace banyan {

using json = nlohmann::ordered_json;

namespace {

constexpr std::string_view spawn_tag = "<Calling Sub Searches";

struct round_times {
  std::int64_t spawned_ms = 0, joined_ms = 0;
};

/// A thread waits once in each of its rounds, pauses aside. Nothing where its history does not
/// tell of all of them.
std::vector<round_times> times_of(const thread_record& thread) {
  std::vector<round_times> rounds;
  bool waits = false;
  for (const auto& [phase, at_ms] : thread.history) {
    if (phase == thread_phase::waiting && !std::exchange(waits, true))
      rounds.push_back({at_ms, at_ms});
    if (phase == thread_phase::decoding && std::exchange(waits, false))
      rounds.back().joined_ms = at_ms;
  }
  return rounds.size() == thread.rounds ? rounds : std::vector<round_times>{};
}

/// A thread while it is told.
struct open_thread {
  const thread_record& record;
  const std::vector<round_times> times;
  const std::int64_t last_ms;
  std::string text;         ///< not told yet
  std::size_t told = 0;     ///< bytes
  std::size_t torn = 0;     ///< bytes of the spawn segment in front of its block: a token has both
  std::uint64_t tokens = 0; ///< up to here
  std::uint32_t round = 0;
  bool begun = false;

  round_times now() const {
    return round < times.size() ? times[round] : round_times{last_ms, last_ms};
  }
};

class storyteller {
public:
  storyteller(const tree& t, std::int64_t now_ms)
      : tree_(t), seen_ms_(t.finished_ms != 0 ? t.finished_ms : now_ms), told_(t.threads.size()) {
    for (std::size_t i = 0; i < t.threads.size(); ++i)
      children_[{t.threads[i].parent(), t.threads[i].round}].push_back(i);
  }

  std::vector<told_event> tell() {
    tell_tree();
    for (std::size_t i = 0; i < tree_.threads.size(); ++i) tell_thread(i);
    if (tree_.finished_ms != 0)
      events_.push_back({"done", done_data(tree_.finished_ms, tree_.id, to_string(tree_.phase),
                                           tree_.failure, outcome_parts(tree_.outcome))});
    return std::move(events_);
  }

private:
  void tell_tree();
  void tell_thread(std::size_t index);
  void tell_state(const thread_record&);
  void tell_written(open_thread&, std::int64_t at_ms);
  void tell_spawn(open_thread&, const segment&);
  void tell_join(open_thread&, const segment&);
  json& add(const open_thread&, std::string_view name, std::int64_t at_ms, std::string text);

  const tree& tree_;
  const std::int64_t seen_ms_; ///< up to when the tree's state is known
  std::map<std::pair<std::string, std::uint32_t>, std::vector<std::size_t>> children_; // by round
  std::vector<bool> told_;
  std::vector<told_event> events_;
};

void storyteller::tell_tree() {
  auto data = event_place(seen_ms_, tree_.id, "/", {}, 0);
  data["state"] = to_string(tree_.phase);
  data["prompt"] = tree_.prompt;
  data["problem"] = problem_parts(tree_.problem);
  events_.push_back({"tree", std::move(data)});
}

/// The thread, and all below it at its place. Those that have no place come after the others.
void storyteller::tell_thread(std::size_t index) {
  if (told_[index]) return;
  told_[index] = true;
  const auto& record = tree_.threads[index];
  tell_state(record);
  open_thread thread{record, times_of(record), ended(record.phase) ? record.since_ms : seen_ms_};
  for (const auto& part : record.segments) {
    if (part.sampled()) thread.tokens += part.ids.size();
    if (part.kind == segment_kind::spawn)
      tell_spawn(thread, part);
    else if (part.kind == segment_kind::joined)
      tell_join(thread, part);
    else
      thread.text += part.text;
  }
  tell_written(thread, thread.last_ms);
}

void storyteller::tell_state(const thread_record& thread) {
  auto data = event_place(thread.since_ms, tree_.id, thread.path, thread.parent(), 0);
  data["state"] = to_string(thread.phase);
  data["tokens"] = thread.generated_tokens();
  data["failure"] = name_or_null(thread.failure);
  data["depth"] = thread.depth;
  data["pool"] = thread.pool;
  events_.push_back({"thread", std::move(data)});
}

json& storyteller::add(const open_thread& thread, std::string_view name, std::int64_t at_ms,
                       std::string text) {
  auto data = event_place(at_ms, tree_.id, thread.record.path, thread.record.parent(), thread.told);
  data["text"] = std::move(text);
  data["tokens"] = thread.tokens;
  return events_.emplace_back(told_event{name, std::move(data)}).data;
}

void storyteller::tell_written(open_thread& thread, std::int64_t at_ms) {
  if (thread.text.empty() && thread.begun) return;
  thread.begun = true;
  const auto size = thread.text.size();
  add(thread, "text", at_ms, std::exchange(thread.text, {}));
  thread.told += size;
}

void storyteller::tell_spawn(open_thread& thread, const segment& part) {
  const auto tag = part.text.find(spawn_tag);
  thread.torn = tag == part.text.npos ? 0 : tag;
  thread.text += part.text.substr(0, thread.torn);
  const auto at_ms = thread.now().spawned_ms;
  tell_written(thread, at_ms);
  auto& children = add(thread, "spawn", at_ms, part.text.substr(thread.torn))["children"];
  children = json::array();
  const auto& started = children_[{thread.record.path, thread.round}];
  for (const auto child : started) children.push_back(tree_.threads[child].path);
  for (const auto child : started) tell_thread(child);
}

void storyteller::tell_join(open_thread& thread, const segment& part) {
  auto block = part.text.substr(std::min(thread.torn, part.text.size()));
  const auto size = block.size();
  add(thread, "join", thread.now().joined_ms, std::move(block));
  thread.told += size;
  ++thread.round;
}

} // namespace

std::vector<told_event> story_of(const tree& t, std::int64_t now_ms) {
  return storyteller(t, now_ms).tell();
}

} // namespace banyan
