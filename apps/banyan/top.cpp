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
    "shows a tree and goes back, c cancels it, p pauses it, r resumes it: the tree that is "
    "marked,\n"
    "and none when that one has ended. Elsewhere, and where TERM is dumb, a snapshot is printed "
    "per\n"
    "interval.";

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
  const auto columns = stdout_is_terminal() ? size_of_terminal(STDOUT_FILENO).columns : INT_MAX;
  std::string text;
  for (const auto& line : overview(now, before, url, columns)) text += line + "\n";
  text += "\n";
  auto shown = now.trees;
  shown.resize(std::min(shown.size(), rows_in_a_snapshot));
  for (const auto& line : tree_table(shown, columns)) text += fit(line, columns) + "\n";
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

constexpr std::size_t totals = 4; // lines of the overview above its pools

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
      const auto next = clock::now() + interval_of(options_);
      while (clock::now() < next && !std::exchange(hurry_, false)) {
        listen(
            std::min(milliseconds(100), milliseconds(1 + (next - clock::now()) / milliseconds(1))));
        if (pressed_.empty() && !resized()) continue;
        obey();
        draw();
      }
      look();
    }
  }

private:
  void listen(milliseconds patience) {
    if (interrupted() != 0) throw was_interrupted();
    while (const auto k = screen_.next_key(patience)) {
      if (k->letter == 'q' && doomed_.empty()) throw quit();
      pressed_.push_back(*k);
      patience = milliseconds(0);
    }
  }

  void look() {
    try {
      auto now = read_daemon(daemon_);
      obey(); // what was pressed meanwhile is about what is still seen
      before_ = std::exchange(now_, std::move(now));
      if (!shown_.empty()) tree_ = whole_tree(daemon_, shown_);
      trouble_.clear();
    } catch (const std::runtime_error& e) {
      trouble_ = e.what();
    }
  }

  void obey() {
    while (!pressed_.empty()) {
      const auto k = pressed_.front();
      pressed_.pop_front();
      said_.clear();
      doomed_.empty() ? obey(k) : answer(k);
    }
  }

  void obey(const keystroke& k) {
    const auto page = static_cast<std::ptrdiff_t>(page_);
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
  }

  void obey(char letter) {
    if (letter != 'c' && letter != 'p' && letter != 'r') return;
    const auto id = selected();
    if (id.empty()) {
      said_ = "no tree is marked; move to one with the arrows";
    } else if (letter == 'c') {
      doomed_ = id;
    } else {
      act(letter == 'p' ? "pause" : "resume", id);
    }
  }

  /// Whatever has become of the list since: the answer is about the tree that was asked about.
  void answer(const keystroke& k) {
    const auto id = std::exchange(doomed_, {});
    if (k.letter == 'y' || k.letter == 'Y') act("cancel", id);
  }

  void act(const std::string& action, const std::string& id) {
    try {
      said_ =
          id + " " + text_field(daemon_.post(tree_path(id, "/" + action), json::object()), "state");
    } catch (const std::runtime_error& e) {
      said_ = e.what();
    }
    hurry_ = true;
  }

  void show(const std::string& id) {
    shown_ = id;
    tree_ = json::object();
    scrolled_ = 0;
    hurry_ = !id.empty();
  }

  /// Through the list, or through the threads of the tree that is shown.
  void move(std::ptrdiff_t by) {
    const auto moved = [by](std::size_t from, std::size_t last) {
      return static_cast<std::size_t>(std::clamp<std::ptrdiff_t>(
          static_cast<std::ptrdiff_t>(from) + by, 0, static_cast<std::ptrdiff_t>(last)));
    };
    if (!shown_.empty()) {
      scrolled_ = moved(scrolled_, last_scroll_);
    } else if (!now_.trees.empty()) {
      place_ = moved(place_of_chosen().value_or(place_), now_.trees.size() - 1);
      chosen_ = now_.trees[place_].value.id;
    }
  }

  /// The tree that keys are about: where the list has changed, it stays the same one. Empty: it is
  /// not there any more, or there never was one.
  std::string selected() const {
    if (!shown_.empty()) return shown_;
    return place_of_chosen() ? chosen_ : "";
  }

  std::optional<std::size_t> place_of_chosen() const {
    const auto found =
        std::ranges::find(now_.trees, chosen_, [](const auto& t) { return t.value.id; });
    if (found == now_.trees.end()) return {};
    return static_cast<std::size_t>(found - now_.trees.begin());
  }

  bool resized() const {
    const auto size = size_of_terminal(STDOUT_FILENO);
    return size.columns != drawn_for_.columns || size.rows != drawn_for_.rows;
  }

  // ---- drawing

  void draw() {
    drawn_for_ = size_of_terminal(STDOUT_FILENO);
    const auto height = static_cast<std::size_t>(std::max(drawn_for_.rows, 4));
    auto lines = overview(now_, before_ ? &*before_ : nullptr, daemon_.url(), drawn_for_.columns);
    lines.emplace_back();
    // A tree that is shown has most of the screen: where that is small, the pools make room.
    const auto most =
        shown_.empty() || 3 * lines.size() <= height ? height - 3 : std::min(height - 3, totals);
    lines.resize(std::min(lines.size(), most));
    rows_ = height - lines.size() - 1;
    for (auto& line : shown_.empty() ? list_lines() : shown_lines())
      lines.push_back(std::move(line));
    lines.resize(height - 1);
    lines.push_back(bottom_line());
    std::string frame = "\033[H";
    for (std::size_t i = 0; i < lines.size(); ++i)
      // Erased first: behind a line that fills the width some terminals erase its last character.
      frame += "\033[K" + lines[i] + "\033[0m" + (i + 1 < lines.size() ? "\n" : "");
    print(frame + "\033[J");
  }

  std::string fitted(const std::string& line) const { return fit(line, drawn_for_.columns); }

  /// As much of the table as there is room for, around the chosen tree. The first that is ever seen
  /// is chosen; when that has ended none is, until the user moves to another.
  std::vector<std::string> list_lines() {
    if (chosen_.empty() && !now_.trees.empty()) chosen_ = now_.trees[0].value.id;
    const auto table = tree_table(now_.trees, drawn_for_.columns);
    const auto room = std::max<std::size_t>(rows_, 2) - 1;
    page_ = room;
    const auto chosen = place_of_chosen();
    if (chosen) place_ = *chosen;
    if (place_ < top_) top_ = place_;
    if (place_ >= top_ + room) top_ = place_ - room + 1;
    top_ = std::min(top_, now_.trees.size() - std::min(now_.trees.size(), room));
    std::vector<std::string> lines{fitted(table[0])};
    for (auto i = top_; i < std::min(top_ + room, now_.trees.size()); ++i) {
      const auto line = fitted(table[i + 1]);
      lines.push_back(i == chosen ? "\033[7m" + line : line);
    }
    if (now_.trees.empty()) lines.emplace_back("no tree is live");
    return lines;
  }

  std::vector<std::string> shown_lines() {
    const auto t = read_tree(tree_);
    if (t.threads.empty()) return {fitted(printable(shown_) + " ...")};
    std::vector<std::string> lines{fitted(title(t))}, end;
    if (t.phase >= tree_phase::done) end.push_back(fitted(printable(outcome_text(t))));
    end.push_back(fitted("  " + figures(read_usage(tree_))));
    const auto room = std::max(rows_, end.size() + 3) - end.size() - 1;
    for (auto& line : seen_of(tree_lines(t, {}, colours(true), drawn_for_.columns), room))
      lines.push_back(std::move(line));
    lines.insert(lines.end(), end.begin(), end.end());
    return lines;
  }

  /// Those that are scrolled to; where that is not all of them, a line more says which.
  std::vector<std::string> seen_of(std::vector<std::string> threads, std::size_t room) {
    const auto all = threads.size();
    const auto seen = all > room ? room - 1 : all;
    page_ = seen;
    last_scroll_ = all - seen;
    scrolled_ = std::min(scrolled_, last_scroll_);
    if (seen == all) return threads;
    const auto begin = threads.begin() + static_cast<std::ptrdiff_t>(scrolled_);
    std::vector<std::string> lines(begin, begin + static_cast<std::ptrdiff_t>(seen));
    lines.push_back(fitted("threads " + std::to_string(scrolled_ + 1) + " to "
                           + std::to_string(scrolled_ + seen) + " of " + std::to_string(all)));
    return lines;
  }

  std::string bottom_line() const {
    if (!doomed_.empty()) return fitted("cancel " + printable(doomed_) + "? y/n");
    if (!said_.empty()) return fitted(printable(said_));
    if (!trouble_.empty()) return fitted(printable(trouble_));
    return fitted(shown_.empty()
                      ? "q quit  up, down, PgUp, PgDn move  Enter show  c cancel  p pause  r resume"
                      : "q quit  up, down move  Enter back  c cancel  p pause  r resume");
  }

  client& daemon_;
  const top_options& options_;
  full_screen screen_;
  reading now_;
  std::optional<reading> before_;
  std::deque<keystroke> pressed_;
  std::string chosen_, shown_, doomed_; // ids of trees: marked, shown, to be cancelled if y comes
  std::string said_, trouble_;          // what happened; what is wrong
  json tree_;                           // the one that is shown
  bool hurry_ = false;                  // the daemon is to be looked at at once
  std::size_t top_ = 0, place_ = 0; // of the list: its first row that is seen, and the marked one
  std::size_t scrolled_ = 0, last_scroll_ = 0; // threads above those that are seen; the most
  std::size_t rows_ = 0, page_ = 1;            // below the overview; that PgUp and PgDn move by
  terminal_size drawn_for_{0, 0};
};

} // namespace

int top(command_words words) {
  top_options o;
  auto list = declare(o);
  if (!parse(list, o.common, o.daemon, words)) return exit_done;
  client daemon(o.daemon);
  if (o.common.json || o.count > 0 || !can_draw_on(STDOUT_FILENO))
    return print_snapshots(daemon, o);
  auto first = read_daemon(daemon);
  try {
    top_screen(daemon, o, std::move(first)).run();
  } catch (const quit&) {
    return exit_done;
  }
}

} // namespace banyan
