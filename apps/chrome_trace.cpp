#include "apps/chrome_trace.hpp"

#include <algorithm>
#include <map>
#include <vector>

#include <nlohmann/json.hpp>

namespace banyan {

namespace {

using json = nlohmann::ordered_json;

/// The format counts in microseconds, we in milliseconds.
std::int64_t us(std::int64_t ms) { return 1000 * ms; }

/// A thread as it is drawn; microseconds of Unix time.
struct track {
  const thread_record* thread = nullptr;
  std::size_t number = 0;
  std::int64_t begin = 0, end = 0;
  bool drawn = false; ///< has slices
};

/// When the last thing happened that is known of a tree.
std::int64_t last_known_ms(const tree& t) {
  auto last = std::max(t.created_ms, t.finished_ms);
  for (const auto& thread : t.threads) last = std::max(last, thread.since_ms);
  return last;
}

class drawing {
public:
  drawing(const tree& t, std::size_t process) : tree_(t), process_(process) {
    const auto last = last_known_ms(t);
    for (const auto& thread : t.threads) {
      track k{&thread, tracks_.size() + 1};
      k.drawn = !thread.history.empty();
      k.begin = us(k.drawn ? thread.history.front().at_ms : thread.since_ms);
      k.end = std::max(us(ended(thread.phase) ? thread.since_ms : last), k.begin + 1);
      tracks_.emplace(thread.path, k);
    }
  }

  std::string events() {
    const auto name = to_string(tree_.problem) + " (" + tree_.id + ")";
    name_it("process_name", 0, name);
    add({{"ph", "M"}, {"name", "process_sort_index"}, {"args", {{"sort_index", process_}}}}, 0);
    for (const auto& thread : tree_.threads) draw(tracks_.at(thread.path));
    for (const auto& thread : tree_.threads) draw_joins(thread);
    return std::move(text_);
  }

private:
  void add(json event, std::size_t number) {
    event["pid"] = process_;
    event["tid"] = number;
    text_ +=
        (text_.empty() ? "" : ",\n") + event.dump(-1, ' ', false, json::error_handler_t::replace);
  }

  void name_it(const char* what, std::size_t number, const std::string& name) {
    add({{"ph", "M"}, {"name", what}, {"args", {{"name", name}}}}, number);
  }

  void mark(const track& on, const std::string& name, std::int64_t at) {
    add({{"ph", "i"}, {"s", "t"}, {"name", name}, {"cat", "thread"}, {"ts", at}}, on.number);
  }

  void slice(const track& on, const std::string& name, std::int64_t begin, std::int64_t end,
             json args = json::object()) {
    add({{"ph", "X"},
         {"name", name},
         {"cat", "thread"},
         {"ts", begin},
         {"dur", end - begin},
         {"args", std::move(args)}},
        on.number);
  }

  /// Both ends lie inside of slices: an arrow from nowhere is not drawn.
  void arrow(const char* name, const track& from, std::int64_t left, const track& to,
             std::int64_t arrived) {
    if (!from.drawn || !to.drawn) return;
    const auto id = ++arrows_ + (process_ << 32);
    const auto inside = [](const track& on, std::int64_t at) {
      return std::clamp(at, on.begin, on.end - 1);
    };
    add({{"ph", "s"}, {"id", id}, {"name", name}, {"cat", name}, {"ts", inside(from, left)}},
        from.number);
    add({{"ph", "f"},
         {"bp", "e"},
         {"id", id},
         {"name", name},
         {"cat", name},
         {"ts", std::max(inside(to, arrived), inside(from, left))}},
        to.number);
  }

  static json facts(const thread_record& t) {
    json args{{"state", to_string(t.phase)},
              {"generated_tokens", t.generated_tokens()},
              {"prompt_tokens", t.prompt_tokens},
              {"rounds", t.rounds},
              {"pool", t.pool},
              {"node", t.node}};
    if (t.cached_tokens > 0) args["cached_tokens"] = t.cached_tokens; // the API does not tell
    if (t.failure != errc::none) args["failure"] = to_string(t.failure);
    if (!t.awaited) args["awaited"] = false;
    return args;
  }

  void draw(const track& k) {
    const auto& t = *k.thread;
    const auto parent = tracks_.find(t.parent());
    if (t.refused() && parent != tracks_.end())
      return mark(parent->second, "refused " + t.path, us(t.since_ms));
    name_it("thread_name", k.number, t.path);
    add({{"ph", "M"}, {"name", "thread_sort_index"}, {"args", {{"sort_index", k.number}}}},
        k.number);
    if (!k.drawn) return mark(k, t.path + " " + std::string(to_string(t.phase)), k.begin);
    slice(k, t.path, k.begin, k.end, facts(t));
    for (std::size_t i = 0; i < t.history.size(); ++i) {
      const auto begin = us(t.history[i].at_ms);
      const auto end = i + 1 < t.history.size() ? us(t.history[i + 1].at_ms) : k.end;
      // What took less than a millisecond cannot be seen, nor what came after the end.
      if (!ended(t.history[i].phase) && begin < std::min(end, k.end) && begin >= k.begin)
        slice(k, std::string(to_string(t.history[i].phase)), begin, std::min(end, k.end));
    }
    if (parent != tracks_.end()) arrow("spawn", parent->second, k.begin, k, k.begin);
  }

  /// When the parent went on after each time it waited; in a pause, or while it had no daemon, it
  /// did not.
  static std::vector<std::int64_t> resumptions(const thread_record& parent) {
    std::vector<std::int64_t> times;
    for (std::size_t i = 1; i < parent.history.size(); ++i)
      if (parent.history[i - 1].phase == thread_phase::waiting
          && parent.history[i].phase != thread_phase::paused
          && parent.history[i].phase != thread_phase::queued)
        times.push_back(us(parent.history[i].at_ms));
    return times;
  }

  /// A child ends before its parent goes on; of a join that went on without it there is no arrow.
  void draw_joins(const thread_record& child) {
    const auto& from = tracks_.at(child.path);
    const auto parent = tracks_.find(child.parent());
    if (parent == tracks_.end() || !child.awaited || !ended(child.phase) || child.refused()) return;
    for (const auto at : resumptions(*parent->second.thread))
      if (at >= us(child.since_ms)) return arrow("join", from, from.end - 1, parent->second, at);
  }

  const tree& tree_;
  std::size_t process_;
  std::map<std::string, track> tracks_;
  std::size_t arrows_ = 0;
  std::string text_;
};

} // namespace

std::string chrome_trace_events(const tree& t, std::size_t process) {
  return drawing(t, process).events();
}

} // namespace banyan
