#include "apps/banyan/commands.hpp"

#include "apps/banyan/follow.hpp"
#include "apps/banyan/tree_output.hpp"
#include "apps/terminal.hpp"
#include "apps/tree_mirror.hpp"
#include "apps/tree_query.hpp"

#include <unistd.h>

#include <nlohmann/json.hpp>

namespace banyan {

namespace {

struct tree_options {
  common_options common;
  client_options daemon;
  std::vector<std::string> ids;
  std::string thread;
  bool texts = false, follow = false;
};

constexpr auto about =
    "Shows a tree of a daemon: its threads as they are now, what they found, and the figures.\n"
    "--thread shows one thread with its text, what it has in the cache and what is left of its\n"
    "budget. --follow shows what happens until the tree ends, drawn on a terminal and as lines\n"
    "elsewhere; exit code 0 means that the tree then has a verified solution, 1 that it has none.";

constexpr auto examples =
    "  banyan tree 01J9ZC3V7R2M8Q5T4W6X0Y1B3D\n"
    "  banyan tree 01J9ZC3V7R2M8Q5T4W6X0Y1B3D --follow\n"
    "  banyan tree 01J9ZC3V7R2M8Q5T4W6X0Y1B3D --thread /0 --follow   the text as it is written\n"
    "  banyan tree 01J9ZC3V7R2M8Q5T4W6X0Y1B3D --texts | less\n";

option_list declare(tree_options& o) {
  option_list list("tree", "ID [options]", about, examples);
  list.group("What to show");
  list.text("thread", o.thread, "PATH", "one thread, as in /0/3");
  list.flag("texts", o.texts, "the text of every thread");
  list.flag("follow", o.follow, "what happens from now on, until the tree ends");
  declare(list, o.daemon);
  declare(list, o.common);
  list.positional(o.ids);
  return list;
}

bad_usage no_thread(const std::string& path) {
  return {path, "the tree has no such thread", "`banyan tree ID` lists them"};
}

int follow(client& daemon, const tree_options& o) {
  if (!o.thread.empty() && !o.thread.starts_with('/')) throw no_thread(o.thread);
  watch_tree(daemon, o.ids[0], {o.common.json, o.texts, o.thread});
  const auto whole = whole_tree(daemon, o.ids[0]);
  if (!o.thread.empty() && !read_tree(whole).find(o.thread)) throw no_thread(o.thread);
  if (!o.common.json && o.thread.empty() && can_draw_on(STDOUT_FILENO)) print_tree(whole);
  return read_tree(whole).outcome.solved ? exit_done : exit_unsolved;
}

} // namespace

int tree_command(command_words words) {
  tree_options o;
  auto list = declare(o);
  if (!parse(list, o.common, o.daemon, words)) return exit_done;
  if (o.ids.size() != 1)
    throw bad_usage("tree", o.ids.empty() ? "the id is missing" : "there are several ids",
                    "name one tree; `banyan ps` lists them");
  client daemon(o.daemon);
  if (o.follow) return follow(daemon, o);
  if (!o.thread.empty()) {
    const auto j = daemon.get(tree_path(o.ids[0], "/threads") + query({{"path", o.thread}}));
    o.common.json ? print_json(j) : print_thread(j);
    return exit_done;
  }
  const auto j = whole_tree(daemon, o.ids[0]);
  if (o.common.json) return print_json(j), exit_done;
  print_tree(j);
  if (o.texts) print_texts(j);
  return exit_done;
}

} // namespace banyan
