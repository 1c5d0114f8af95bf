#include "apps/banyan/commands.hpp"

#include "apps/banyan/dashboard.hpp"
#include "apps/banyan/tree_output.hpp"
#include "apps/interrupt.hpp"
#include "apps/keyboard.hpp"
#include "apps/terminal.hpp"
#include "apps/tree_mirror.hpp"
#include "apps/tree_query.hpp"
#include "apps/tree_view.hpp"

#include <algorithm>
#include <climits>
#include <deque>
#include <optional>

#include <unistd.h>

namespace banyan {

namespace {

using json = client::json;
using clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

struct top_options {
  common_options common;
  client_options daemon;
  double interval_s = 1;
  std::uint64_t count = 0;
};

constexpr auto about =
    "Shows what a daemon does: its pools (threads that wait and that are decoded in one batch,\n"
    "tokens a second, the cache and how often it is hit), totals, and the live trees, those with\n"
    "the most threads and tokens first. On a terminal: q quits, arrows and PgUp, PgDn move, Enter\n"
    "shows a tree and goes back, c cancels it, p pauses it, r resumes it. Elsewhere a snapshot is\n"
    "printed per interval.";

constexpr auto examples = "  banyan top\n"
                          "  banyan top --interval 5 --count 12 > minute.txt\n"
                          "  banyan top --count 1 --json | jq .status.trees\n";

option_list declare(top_options& o) {
  option_list list("top", "[options]", about, examples);
  list.group("How often");
  list.number("interval", o.interval_s, "seconds between two looks", limits{0.05, 86400});
  list.number("count", o.count, "snapshots, where nothing is drawn; 0: until Ctrl-C");
  declare(list, o.daemon);
  declare(list, o.common);
  return list;
}

milliseconds interval_of(const top_options& o) {
  return milliseconds(static_cast<std::int64_t>(1000 * o.interval_s));
}

// ---- snapshots

constexpr std::size_t rows_in_a_snapshot = 20;

void print_snapshot(const reading& now, const reading* before, const top_options& o,
                    const std::string& url) {
  if (o.common.json) return print_json({{"status", now.status}, {"trees", now.told}});
  std::string text;
  for (const auto& line : overview(now, before, url)) text += line + "\n";
  text += "\n";
  auto shown = now.trees;
  shown.resize(std::min(shown.size(), rows_in_a_snapshot));
  for (const auto& line : tree_table(shown, now_in_ms())) text += line + "\n";
  if (const auto others = now.trees.size() - shown.size(); others > 0)
    text += "and " + counted(others, "more tree") + "\n";
  print(text);
}

int print_snapshots(client& daemon, const top_options& o) {
  std::optional<reading> before;
  for (std::uint64_t i = 0; o.count == 0 || i < o.count; ++i) {
    if (i > 0) daemon.wait(interval_of(o));
    if (i > 0 && !o.common.json) print("\n");
    auto now = read_daemon(daemon);
    print_snapshot(now, before ? &*before : nullptr, o, daemon.url());
    before = std::move(now);
  }
  return exit_done;
}

// ---- the screen

/// The user wants to go.
struct quit {};

class top_screen {
public:
  top_screen(client& daemon, const top_options& o, reading first)
      : daemon_(daemon), options_(o), now_(std::move(first)) {
    // Keys that come while the daemon is asked wait here; only q is not kept waiting.
    daemon_.while_waiting([this] { listen(milliseconds(0)); });
  }
  ~top_screen() { daemon_.while_waiting(nullptr); }
  top_screen(const top_screen&) = delete;
  top_screen& operator=(const top_screen&) = delete;

  [[noreturn]] void run() {
    for (;;) {
      draw();
      auto next = clock::now() + interval_of(options_);
      while (clock::now() < next) {
        listen(
            std::min(milliseconds(100), milliseconds(1 + (next - clock::now()) / milliseconds(1))));
        if (pressed_.empty() && !resized()) continue;
        if (obey()) next = clock::now();
        draw();
      }
      look();
    }
  }

private:
  void listen(milliseconds patience) {
    if (interrupted() != 0) throw was_interrupted();
    while (const auto k = screen_.next_key(patience)) {
      if (k->letter == 'q' && !question_) throw quit();
      pressed_.push_back(*k);
      patience = milliseconds(0);
    }
  }

  void look() {
    try {
      auto now = read_daemon(daemon_);
      before_ = std::exchange(now_, std::move(now));
      if (!shown_.empty()) tree_ = whole_tree(daemon_, shown_);
      trouble_.clear();
    } catch (const std::runtime_error& e) {
      trouble_ = e.what();
    }
  }

  /// Does what the keys say; true: the daemon should be looked at again.
  bool obey() {
    bool changed = false;
    while (!pressed_.empty()) {
      const auto k = pressed_.front();
      pressed_.pop_front();
      said_.clear();
      changed |= question_ ? answer(k) : obey(k);
    }
    return changed;
  }

  bool obey(const keystroke& k) {
    const auto page = static_cast<std::ptrdiff_t>(std::max<std::size_t>(rows_, 2) - 1);
    switch (k.what) {
    case key::up: return move(-1);
    case key::down: return move(1);
    case key::page_up: return move(-page);
    case key::page_down: return move(page);
    case key::home: return move(-INT_MAX);
    case key::end: return move(INT_MAX);
    case key::enter: return show(shown_.empty() ? selected() : "");
    case key::escape: return show("");
    case key::other: return obey(k.letter);
    }
    return false;
  }

  bool obey(char letter) {
    if (selected().empty()) return false;
    if (letter == 'c') question_ = true;
    if (letter == 'p') return act("pause");
    if (letter == 'r') return act("resume");
    return false;
  }

  bool answer(const keystroke& k) {
    question_ = false;
    return (k.letter == 'y' || k.letter == 'Y') && act("cancel");
  }

  bool act(const std::string& action) {
    const auto id = selected();
    try {
      said_ =
          id + " " + text_field(daemon_.post(tree_path(id, "/" + action), json::object()), "state");
    } catch (const std::runtime_error& e) {
      said_ = e.what();
    }
    return true;
  }

  bool show(const std::string& id) {
    shown_ = id;
    tree_ = json::object();
    return !id.empty();
  }

  bool move(std::ptrdiff_t by) {
    const auto last = static_cast<std::ptrdiff_t>(now_.trees.size()) - 1;
    const auto place =
        std::clamp<std::ptrdiff_t>(place_of_selected() + by, 0, std::max<std::ptrdiff_t>(last, 0));
    if (last >= 0) chosen_ = now_.trees[static_cast<std::size_t>(place)].value.id;
    return false;
  }

  /// The tree that keys are about: where the list has changed, it stays the same one.
  std::string selected() const {
    if (!shown_.empty()) return shown_;
    return now_.trees.empty() ? ""
                              : now_.trees[static_cast<std::size_t>(place_of_selected())].value.id;
  }

  std::ptrdiff_t place_of_selected() const {
    const auto found =
        std::ranges::find(now_.trees, chosen_, [](const auto& t) { return t.value.id; });
    return found == now_.trees.end() ? 0 : found - now_.trees.begin();
  }

  bool resized() const {
    const auto size = size_of_terminal(STDOUT_FILENO);
    return size.columns != drawn_for_.columns || size.rows != drawn_for_.rows;
  }

  // ---- drawing

  void draw() {
    drawn_for_ = size_of_terminal(STDOUT_FILENO);
    const auto height = static_cast<std::size_t>(std::max(drawn_for_.rows, 4));
    auto lines = overview(now_, before_ ? &*before_ : nullptr, daemon_.url());
    for (auto& line : lines) line = fitted(line);
    lines.emplace_back();
    if (lines.size() + 3 > height) lines.resize(std::min<std::size_t>(lines.size(), height - 3));
    rows_ = height - lines.size() - 1;
    for (auto& line : shown_.empty() ? list_lines() : shown_lines())
      lines.push_back(std::move(line));
    lines.resize(height - 1);
    lines.push_back(bottom_line());
    std::string frame = "\033[H";
    for (std::size_t i = 0; i < lines.size(); ++i)
      frame += lines[i] + "\033[0m\033[K" + (i + 1 < lines.size() ? "\n" : "");
    print(frame + "\033[J");
  }

  std::string fitted(const std::string& line) const { return fit(line, drawn_for_.columns); }

  /// As much of the table as there is room for, around the selected tree.
  std::vector<std::string> list_lines() {
    const auto table = tree_table(now_.trees, now_in_ms());
    const auto room = std::max<std::size_t>(rows_, 2) - 1;
    const auto place = static_cast<std::size_t>(place_of_selected());
    if (place < top_) top_ = place;
    if (place >= top_ + room) top_ = place - room + 1;
    top_ = std::min(top_, now_.trees.size() - std::min(now_.trees.size(), room));
    std::vector<std::string> lines{fitted(table[0])};
    for (auto i = top_; i < std::min(top_ + room, now_.trees.size()); ++i) {
      const auto line = fitted(table[i + 1]);
      lines.push_back(i == place ? "\033[7m" + line : line);
    }
    if (now_.trees.empty()) lines.emplace_back("no tree is live");
    return lines;
  }

  std::vector<std::string> shown_lines() const {
    const auto t = read_tree(tree_);
    if (t.threads.empty()) return {fitted(printable(shown_) + " ...")};
    std::vector<std::string> lines{fitted(title(t))};
    for (auto& line :
         tree_lines(t, {}, colours(true), drawn_for_.columns, std::max<std::size_t>(rows_, 4) - 3))
      lines.push_back(std::move(line));
    if (t.phase >= tree_phase::done) lines.push_back(fitted(printable(outcome_text(t))));
    lines.push_back(fitted("  " + figures(read_usage(tree_))));
    return lines;
  }

  std::string bottom_line() const {
    if (question_) return fitted("cancel " + printable(selected()) + "? y/n");
    if (!said_.empty()) return fitted(printable(said_));
    if (!trouble_.empty()) return fitted(printable(trouble_));
    return fitted(shown_.empty()
                      ? "q quit  up, down, PgUp, PgDn move  Enter show  c cancel  p pause  r resume"
                      : "q quit  Enter back  c cancel  p pause  r resume");
  }

  client& daemon_;
  const top_options& options_;
  full_screen screen_;
  reading now_;
  std::optional<reading> before_;
  std::deque<keystroke> pressed_;
  std::string chosen_, shown_, said_, trouble_; // ids of trees; what happened; what is wrong
  json tree_;                                   // the one that is shown
  bool question_ = false;
  std::size_t top_ = 0, rows_ = 0; // first row of the list that is seen; rows below the overview
  terminal_size drawn_for_{0, 0};
};

} // namespace

int top(command_words words) {
  top_options o;
  auto list = declare(o);
  if (!parse(list, o.common, o.daemon, words)) return exit_done;
  client daemon(o.daemon);
  if (o.common.json || o.count > 0 || !stdout_is_terminal()) return print_snapshots(daemon, o);
  auto first = read_daemon(daemon);
  try {
    top_screen(daemon, o, std::move(first)).run();
  } catch (const quit&) {
    return exit_done;
  }
}

} // namespace banyan
