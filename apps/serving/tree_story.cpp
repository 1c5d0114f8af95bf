#include "apps/serving/tree_story.hpp"

#include "apps/json_parts.hpp"
#include "apps/serving/event_text.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

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
  open_thread(const thread_record& r, std::int64_t last)
      : record(r), times(times_of(r)), last_ms(last) {}

  const thread_record& record;
  const std::vector<round_times> times;
  const std::int64_t last_ms;
  std::string text;         ///< not told yet
  std::size_t told = 0;     ///< bytes
  std::size_t torn = 0;     ///< bytes of the spawn segment in front of its block: a token has both
  std::uint64_t tokens = 0; ///< up to here
  std::uint32_t round = 0;
  bool begun = false;
  std::size_t next_part = 0;
  std::deque<std::size_t> children; ///< to be told before it goes on

  round_times now() const {
    return round < times.size() ? times[round] : round_times{last_ms, last_ms};
  }
};

} // namespace

class storyteller {
public:
  storyteller(std::shared_ptr<const tree> t, std::int64_t now_ms)
      : held_(std::move(t)),
        tree_(*held_),
        seen_ms_(tree_.finished_ms != 0 ? tree_.finished_ms : now_ms),
        told_(tree_.threads.size()) {
    for (std::size_t i = 0; i < tree_.threads.size(); ++i)
      children_[{tree_.threads[i].parent(), tree_.threads[i].round}].push_back(i);
    tell_tree();
  }

  bool over() {
    while (events_.empty() && go_on()) {
    }
    return events_.empty();
  }

  told_event next() {
    auto first = std::move(events_.front());
    events_.pop_front();
    return first;
  }

private:
  bool go_on();
  void tell_part(open_thread&);
  void tell_tree();
  void tell_end();
  void begin_thread(std::size_t index);
  void tell_state(const thread_record&);
  void tell_written(open_thread&, std::int64_t at_ms);
  void tell_spawn(open_thread&, const segment&);
  void tell_join(open_thread&, const segment&);
  json& add(const open_thread&, std::string_view name, std::int64_t at_ms, std::string text);

  const std::shared_ptr<const tree> held_;
  const tree& tree_;
  const std::int64_t seen_ms_; ///< up to when the tree's state is known
  std::map<std::pair<std::string, std::uint32_t>, std::vector<std::size_t>> children_; // by round
  std::vector<bool> told_;        ///< or being told
  std::size_t next_thread_ = 0;   ///< of those that were not begun by their parents
  std::deque<open_thread> open_;  ///< each is a child of the one before
  std::deque<told_event> events_; ///< not taken yet
  bool ended_ = false;
};

/// A step on the way to the next event; false: there is none.
bool storyteller::go_on() {
  if (!open_.empty()) {
    tell_part(open_.back());
  } else if (next_thread_ < tree_.threads.size()) {
    begin_thread(next_thread_++);
  } else if (!std::exchange(ended_, true)) {
    tell_end();
  } else {
    return false;
  }
  return true;
}

void storyteller::tell_part(open_thread& thread) {
  const auto& parts = thread.record.segments;
  if (!thread.children.empty()) {
    const auto child = thread.children.front();
    thread.children.pop_front();
    return begin_thread(child);
  }
  if (thread.next_part == parts.size()) {
    tell_written(thread, thread.last_ms);
    return open_.pop_back();
  }
  const auto& part = parts[thread.next_part++];
  if (part.sampled()) thread.tokens += part.ids.size();
  if (part.kind == segment_kind::spawn)
    tell_spawn(thread, part);
  else if (part.kind == segment_kind::joined)
    tell_join(thread, part);
  else
    thread.text += part.text;
}

void storyteller::tell_end() {
  if (tree_.finished_ms != 0)
    events_.push_back({"done", done_data(tree_.finished_ms, tree_.id, to_string(tree_.phase),
                                         tree_.failure, outcome_parts(tree_.outcome))});
}

void storyteller::tell_tree() {
  auto data = event_place(seen_ms_, tree_.id, "/", {}, 0);
  data["state"] = to_string(tree_.phase);
  data["prompt"] = tree_.prompt;
  data["problem"] = problem_parts(tree_.problem);
  events_.push_back({"tree", std::move(data)});
}

/// All below the thread follows at its place. Those that have no place come after the others.
void storyteller::begin_thread(std::size_t index) {
  if (told_[index]) return;
  told_[index] = true;
  const auto& record = tree_.threads[index];
  tell_state(record);
  open_.emplace_back(record, ended(record.phase) ? record.since_ms : seen_ms_);
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
  thread.children.assign(started.begin(), started.end());
}

void storyteller::tell_join(open_thread& thread, const segment& part) {
  auto block = part.text.substr(std::min(thread.torn, part.text.size()));
  const auto size = block.size();
  add(thread, "join", thread.now().joined_ms, std::move(block));
  thread.told += size;
  ++thread.round;
}

tree_story::tree_story(std::shared_ptr<const tree> t, std::int64_t now_ms)
    : teller_(std::make_unique<storyteller>(std::move(t), now_ms)) {}
tree_story::tree_story(tree_story&&) noexcept = default;
tree_story::~tree_story() = default;

bool tree_story::over() { return teller_->over(); }
told_event tree_story::next() { return teller_->next(); }

} // namespace banyan
