#include "apps/banyan/commands.hpp"

#include "apps/banyan/tree_output.hpp"
#include "apps/terminal.hpp"
#include "apps/tree_mirror.hpp"
#include "apps/tree_query.hpp"
#include "apps/tree_table.hpp"

#include <algorithm>
#include <climits>

#include <unistd.h>

#include <nlohmann/json.hpp>

namespace banyan {

namespace {

using json = client::json;

struct ps_options {
  common_options common;
  client_options daemon;
  tree_query which;
  std::size_t limit = 20;
  bool all = false;
};

constexpr auto about = "Lists the trees of a daemon: first those that run, are paused or wait for "
                       "their turn, then the\n"
                       "last finished ones, newest first.";

constexpr auto examples =
    "  banyan ps\n"
    "  banyan ps --state running --label run=a\n"
    "  banyan ps --all --json | jq -r 'select(.outcome.solved | not) | .id'\n";

option_list declare(ps_options& o) {
  option_list list("ps", "[options]", about, examples);
  declare(list, o.which);
  list.number("limit", o.limit, "at most so many live trees, and so many finished ones", positive);
  list.flag("all", o.all, "however many there are");
  declare(list, o.daemon);
  declare(list, o.common);
  return list;
}

/// Trees of these states, as the daemon gave them; what they have in common is their filter.
struct listing {
  client& daemon;
  tree_filter filter;
  std::size_t most;
  std::vector<json> trees = {};
  bool more = false;

  void add(std::vector<tree_phase> states) {
    filter.states = std::move(states);
    more |= list_trees(daemon, filter, most, [this](json&& t) { trees.push_back(std::move(t)); });
  }

  /// Newest first, and no more than were asked for.
  void add_merged(std::vector<tree_phase> states) {
    const auto begin = static_cast<std::ptrdiff_t>(trees.size());
    add(std::move(states));
    std::stable_sort(trees.begin() + begin, trees.end(), [](const json& a, const json& b) {
      return text_field(a, "created") > text_field(b, "created");
    });
    if (trees.size() - static_cast<std::size_t>(begin) <= most) return;
    more = true;
    trees.resize(static_cast<std::size_t>(begin) + most);
  }
};

void print_table(const std::vector<json>& trees) {
  std::vector<listed_tree> rows;
  for (const auto& t : trees) rows.push_back({read_tree(t), read_usage(t)});
  const auto columns = stdout_is_terminal() ? size_of_terminal(STDOUT_FILENO).columns : INT_MAX;
  std::string text;
  for (const auto& line : tree_table(rows, now_in_ms())) text += fit(line, columns) + "\n";
  print(text);
}

} // namespace

int ps(command_words words) {
  ps_options o;
  auto list = declare(o);
  if (!parse(list, o.common, o.daemon, words)) return exit_done;
  auto filter = o.which.filter(list, now_in_ms());
  client daemon(o.daemon);
  listing found{daemon, std::move(filter), o.all ? SIZE_MAX : o.limit};
  if (o.which.states.empty()) {
    using enum tree_phase;
    found.add({running, paused, queued});
    found.add_merged({done, failed, cancelled});
  } else {
    found.add_merged(o.which.states);
  }
  if (o.common.json)
    for (const auto& t : found.trees) print_json(t);
  else
    print_table(found.trees);
  if (found.more && !o.common.json)
    o.common.log(common_options::level::info, "there are more; --all lists them all");
  return exit_done;
}

} // namespace banyan
