#include "apps/banyan/commands.hpp"

#include "apps/banyan/tree_output.hpp"
#include "apps/client.hpp"
#include "apps/terminal.hpp"
#include "apps/tree_mirror.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace banyan {

namespace {

using json = client::json;

struct control_options {
  common_options common;
  client_options daemon;
  std::vector<std::string> ids;
  std::string thread;
};

/// The state of the tree, or of the thread that was meant.
std::string state_of(const json& tree, const std::string& thread) {
  if (thread.empty()) return text_field(tree, "state");
  if (const auto threads = tree.find("threads"); threads != tree.end() && threads->is_array())
    for (const auto& t : *threads)
      if (text_field(t, "path") == thread) return text_field(t, "state");
  return "unknown";
}

/// Does it to one tree and tells what came of it.
int control_one(client& daemon, const control_options& o, const std::string& action,
                const std::string& id) {
  json body = json::object();
  if (!o.thread.empty()) body["thread"] = o.thread;
  try {
    const auto tree = daemon.post(tree_path(id, "/" + action), body);
    const auto what = id + (o.thread.empty() ? "" : " " + o.thread);
    o.common.json ? print_json(tree)
                  : print(printable(what + " " + state_of(tree, o.thread)) + "\n");
    return exit_done;
  } catch (const bad_usage& no) {
    complain(no.what());
    return exit_usage;
  } catch (const bad_environment& trouble) {
    complain(trouble.what());
    return exit_environment;
  }
}

int control(command_words words, const std::string& action, const std::string& about) {
  control_options o;
  option_list list(action, "ID... [--thread PATH]", about,
                   "  banyan " + action + " 01J9ZC3V7R2M8Q5T4W6X0Y1B3D\n  banyan " + action
                       + " 01J9ZC3V7R2M8Q5T4W6X0Y1B3D --thread /0\n");
  list.group("What of the tree");
  list.text("thread", o.thread, "PATH", "this thread and all below it, as in /0/3; default: all");
  declare(list, o.daemon);
  declare(list, o.common);
  list.positional(o.ids);
  if (!parse(list, o.common, o.daemon, words)) return exit_done;
  if (list.given("thread") && o.thread.empty())
    throw bad_usage("--thread", "it is empty", "give a path, as in /0/3, or leave it out");
  if (o.ids.empty())
    throw bad_usage(action, "the id is missing", "name a tree; `banyan ps` lists them");
  client daemon(o.daemon);
  int worst = exit_done;
  for (const auto& id : o.ids) worst = std::max(worst, control_one(daemon, o, action, id));
  return worst;
}

} // namespace

int cancel_command(command_words words) {
  return control(
      words, "cancel",
      "Ends a tree of a daemon, or a thread and all below it, and prints its new state.\n"
      "Parents read that the thread found no solution.");
}

int pause_command(command_words words) {
  return control(words, "pause",
                 "Stops a tree of a daemon, or a thread and all below it, until it is resumed, and "
                 "prints\nits new state. What it found so far is kept.");
}

int resume_command(command_words words) {
  return control(
      words, "resume",
      "Lets a paused tree, or a thread and all below it, go on, and prints its new state.");
}

} // namespace banyan
