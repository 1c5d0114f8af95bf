#include "apps/banyan/follow.hpp"

#include "apps/banyan/tree_output.hpp"
#include "apps/interrupt.hpp"
#include "apps/terminal.hpp"
#include "apps/tree_mirror.hpp"
#include "apps/tree_view.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <unistd.h>

#include <nlohmann/json.hpp>

namespace banyan {

namespace {

using json = client::json;

/// One way to show events.
class watcher {
public:
  virtual ~watcher() = default;
  virtual void take(const server_event&, const json& data) = 0;
  virtual void look_up() {} ///< some tens of times a second
  virtual void leave() {}   ///< somebody has seen enough
};

class json_lines : public watcher {
public:
  void take(const server_event& e, const json& data) override {
    json line{{"event", e.name}};
    if (!e.id.empty()) line["id"] = e.id;
    line.update(data);
    print_json(line);
  }
};

/// The story of a finished tree tells of each thread first how it ended, and of one thread after
/// the other: here what happened is put into the order in which it did.
class finished_story {
public:
  struct told {
    server_event event;
    json data;
  };

  /// All but its `tree` and its `done`.
  void add(const server_event& e, const json& data) { told_.push_back({e, data}); }

  std::vector<told> in_time() const {
    std::map<std::string, std::size_t> last; // by thread: its last event in the story
    for (std::size_t i = 0; i < told_.size(); ++i) last[thread_of(told_[i])] = i;
    std::vector<told> all;
    std::map<std::size_t, told> ends; // by the event that they come behind
    for (std::size_t i = 0; i < told_.size(); ++i) {
      if (told_[i].event.name == "thread")
        ends.emplace(last[thread_of(told_[i])], told_[i]);
      else
        all.push_back(told_[i]);
      if (const auto end = ends.find(i); end != ends.end()) all.push_back(end->second);
    }
    std::ranges::stable_sort(all, {}, [](const told& t) { return text_field(t.data, "at"); });
    return all;
  }

private:
  static std::string thread_of(const told& t) { return text_field(t.data, "thread"); }
  std::vector<told> told_;
};

/// "2026-11-22T09:30:00.200Z /0 done, 63 tokens"
class event_lines : public watcher {
public:
  explicit event_lines(bool texts) : texts_(texts) {}

  void take(const server_event& e, const json& data) override {
    // While it lives a tree's end is a `done`.
    if (e.name == "tree" && is_end(text_field(data, "state"))) {
      story_.emplace();
      return;
    }
    if (story_ && e.name != "done") return story_->add(e, data);
    if (story_)
      for (const auto& t : std::exchange(story_, {})->in_time()) tell(t.event, t.data);
    tell(e, data);
  }

private:
  static bool is_end(const std::string& state) {
    return state == "done" || state == "failed" || state == "cancelled";
  }

  void tell(const server_event& e, const json& data) const {
    const auto says = what(e.name, data);
    if (says.empty()) return;
    const auto at = text_field(data, "at");
    const bool of_tree = e.name == "tree" || e.name == "done";
    const auto who = of_tree ? "tree" : text_field(data, "thread");
    print(printable((at.empty() ? "" : at + " ") + who + " " + says) + "\n");
  }

  std::string what(const std::string& name, const json& data) const {
    const auto failure = text_field(data, "failure");
    auto state = text_field(data, "state");
    if (!failure.empty()) state += ": " + failure;
    if (name == "tree") return state;
    if (name == "done")
      return state
             + (flag_field(object_field(data, "outcome"), "solved") ? ", solved" : ", not solved");
    if (name == "thread") {
      const auto tokens = static_cast<std::uint64_t>(number_field(data, "tokens"));
      return tokens == 0 ? state : state + ", " + counted(tokens, "token");
    }
    if (name == "spawn") return "spawned" + children(data);
    if (name == "join") return "joined";
    if (name == "text" && texts_) return "wrote " + json(text_field(data, "text")).dump();
    return {};
  }

  static std::string children(const json& data) {
    std::string text;
    if (const auto i = data.find("children"); i != data.end() && i->is_array())
      for (const auto& child : *i) text += " " + child.get<std::string>();
    return text;
  }

  bool texts_;
  std::optional<finished_story> story_;
};

/// The tree as it grows, on a terminal.
class drawing : public watcher {
public:
  explicit drawing(const std::string& id) : tree_(id), lines_(STDOUT_FILENO) {}

  void take(const server_event& e, const json& data) override {
    tree_.apply(e.name, data);
    changed_ = true;
  }

  void look_up() override {
    const auto size = size_of_terminal(STDOUT_FILENO);
    changed_ |= size.columns != drawn_for_.columns || size.rows != drawn_for_.rows;
    if (!changed_ || std::chrono::steady_clock::now() < next_) return;
    next_ = std::chrono::steady_clock::now() + std::chrono::milliseconds(100);
    changed_ = false;
    // What the terminal did to longer lines when it became narrower cannot be known.
    if (size.columns < drawn_for_.columns && drawn_for_.columns > 0) lines_.leave();
    drawn_for_ = size;
    draw(size);
  }

  /// The picture stays; the "^C" that the terminal wrote behind it goes.
  void leave() override {
    lines_.leave();
    print("\r\033[K");
  }

private:
  void draw(const terminal_size& size) {
    const auto& [t, tokens] = tree_.now();
    const auto columns = size.columns - 1;
    std::vector<std::string> lines{fit(title(t), columns)};
    const auto rows = static_cast<std::size_t>(std::max(size.rows - 2, 2));
    for (auto& line : tree_lines(t, tokens, colours(true), columns, rows))
      lines.push_back(std::move(line));
    lines_.show(lines);
  }

  tree_mirror tree_;
  live_lines lines_;
  terminal_size drawn_for_{0, 0};
  std::chrono::steady_clock::time_point next_{};
  bool changed_ = false;
};

/// What one thread writes. A join puts its block in the place of the spawn block: both are seen,
/// one behind the other.
class transcript_lines : public watcher {
public:
  transcript_lines(const std::string& id, std::string thread)
      : tree_(id), thread_(std::move(thread)) {}

  void take(const server_event& e, const json& data) override {
    tree_.apply(e.name, data);
    if (text_field(data, "thread") != thread_ && e.name != "done") return;
    const auto now = tree_.text_of(thread_);
    // A daemon that begins anew tells the spawn block again, in whose place its join is printed.
    const auto before = std::exchange(held_, {});
    if (before && !printed_.starts_with(now)) show(*before);
    if (e.name == "spawn" && same_as_printed(now) < printed_.size())
      held_ = now;
    else
      show(now);
  }

private:
  std::size_t same_as_printed(const std::string& now) const {
    return static_cast<std::size_t>(std::ranges::mismatch(now, printed_).in1 - now.begin());
  }

  void show(const std::string& now) {
    auto begin = same_as_printed(now);
    if (begin < printed_.size() && begin < now.size()) {
      if (!printed_.ends_with('\n')) print("\n");
      begin = begin == 0 ? 0 : now.rfind('\n', begin - 1) + 1;
    }
    if (begin >= now.size() && now.size() <= printed_.size()) return;
    print(harmless(now.substr(begin)));
    printed_ = now;
  }

  tree_mirror tree_;
  std::string thread_, printed_;
  std::optional<std::string> held_; ///< up to a spawn block that may have been printed
};

std::unique_ptr<watcher> watcher_for(const std::string& id, const watch_options& o) {
  if (o.json) return std::make_unique<json_lines>();
  if (!o.thread.empty()) return std::make_unique<transcript_lines>(id, o.thread);
  if (can_draw_on(STDOUT_FILENO)) return std::make_unique<drawing>(id);
  return std::make_unique<event_lines>(o.texts);
}

} // namespace

void watch_tree(client& daemon, const std::string& id, const watch_options& o) {
  const auto shown = watcher_for(id, o);
  daemon.while_waiting([&shown] {
    if (interrupted() != 0) {
      shown->leave();
      throw was_interrupted();
    }
    shown->look_up();
  });
  struct as_before {
    client& daemon;
    ~as_before() { daemon.while_waiting(nullptr); }
  } const at_the_end{daemon};
  daemon.follow(tree_path(id, "/events"), [&](const server_event& e) {
    const auto data = json::parse(e.data, nullptr, false);
    if (data.is_object()) shown->take(e, data);
    return e.name != "done";
  });
}

} // namespace banyan
