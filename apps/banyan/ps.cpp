#include "apps/banyan/commands.hpp"

#include "apps/banyan/tree_output.hpp"
#include "apps/terminal.hpp"
#include "apps/tree_mirror.hpp"
#include "apps/tree_query.hpp"
#include "apps/tree_table.hpp"
#include "solver/unix_time.hpp"

#include <algorithm>
#include <climits>
#include <set>
#include <utility>

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

struct listing {
  std::vector<json> trees;
  bool more = false;
  std::set<std::string> damaged;
};

/// Those of `states` that are wanted; where none is named, all are.
std::vector<tree_phase> among(const std::vector<tree_phase>& wanted,
                              std::vector<tree_phase> states) {
  std::erase_if(states, [&wanted](tree_phase s) {
    return !wanted.empty() && std::ranges::find(wanted, s) == wanted.end();
  });
  return states;
}

/// First live trees, then finished ones; at most `most` of each.
listing list_in_order(client& daemon, tree_filter filter, std::size_t most) {
  using enum tree_phase;
  const auto wanted = std::exchange(filter.states, {});
  listing found;
  const auto take = [&found](json&& t) { found.trees.push_back(std::move(t)); };
  const auto damaged = [&found](const std::string& id) { found.damaged.insert(id); };
  filter.states = among(wanted, live_phases);
  found.more |= list_state_by_state(daemon, filter, most, take, damaged);
  filter.states = among(wanted, {done, failed, cancelled});
  if (!filter.states.empty()) found.more |= list_trees(daemon, filter, most, take, damaged);
  return found;
}

void print_table(const std::vector<json>& trees) {
  std::vector<listed_tree> rows;
  for (const auto& t : trees) rows.push_back({read_tree(t), read_usage(t)});
  const auto columns = stdout_is_terminal() ? size_of_terminal(STDOUT_FILENO).columns : INT_MAX;
  std::string text;
  for (const auto& line : tree_table(rows, columns)) text += fit(line, columns) + "\n";
  print(text);
}

} // namespace

int ps(command_words words) {
  ps_options o;
  auto list = declare(o);
  if (!parse(list, o.common, o.daemon, words)) return exit_done;
  auto filter = o.which.filter(list, unix_ms_now());
  client daemon(o.daemon);
  const auto found = list_in_order(daemon, std::move(filter), o.all ? SIZE_MAX : o.limit);
  if (o.common.json)
    for (const auto& t : found.trees) print_json(t);
  else
    print_table(found.trees);
  for (const auto& id : found.damaged)
    o.common.log(common_options::level::warning,
                 id + ": the daemon cannot read it from its store; `banyan tree " + id
                     + "` says why");
  if (found.more && !o.common.json)
    o.common.log(common_options::level::info, "there are more; --all lists them all");
  return exit_done;
}

} // namespace banyan
