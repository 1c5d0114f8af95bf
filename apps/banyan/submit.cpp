#include "apps/banyan/commands.hpp"

#include "apps/asked_problems.hpp"
#include "apps/banyan/tree_output.hpp"
#include "apps/client.hpp"
#include "apps/decoding_options.hpp"
#include "apps/terminal.hpp"
#include "apps/tree_mirror.hpp"
#include "apps/tree_query.hpp"
#include "apps/tree_view.hpp"

#include <algorithm>
#include <span>

#include <nlohmann/json.hpp>

namespace banyan {

namespace {

using json = client::json;
using std::chrono::milliseconds;

constexpr milliseconds first_glance{20}, last_glance{500};

struct submit_options {
  common_options common;
  client_options daemon;
  decoding_options decoding;
  asked_problems problems;
  std::vector<std::string> labels;
  bool wait = false;
};

constexpr auto about =
    "Sends problems to a daemon and prints the ids of their trees. With --wait it prints, in the\n"
    "order of the problems, what became of each, as `solve` does, and the ids on standard error:\n"
    "exit code 0 means that all of them have a verified solution. A daemon that begins anew\n"
    "meanwhile is waited for. What is not said is as the daemon has it.";

constexpr auto examples =
    "  banyan submit --target 54 25 7 3\n"
    "  banyan submit --problems p.jsonl --wait --json\n"
    "  banyan submit --target 54 25 7 3 --temperature 1 --seed 7 --labels run=a user=me\n";

option_list declare(submit_options& o) {
  option_list list("submit", "--target T N N... | --problems FILE [options]", about, examples);
  declare(list, o.problems);
  list.texts("labels", o.labels, "NAME=VALUE",
             "to find the trees by; `banyan ps --label NAME=VALUE`");
  list.flag("wait", o.wait, "for the trees to finish");
  declare_decoding(list, o.decoding);
  declare(list, o.daemon);
  declare(list, o.common);
  return list;
}

/// Only what was asked for.
class chosen_fields {
public:
  explicit chosen_fields(const option_list& given) : given_(given) {}

  template <class Value>
  chosen_fields& put(const char* option, const char* field, const Value& value) {
    // Through its shortest text: 0.7 as a float is not 0.7 as JSON has it.
    if (given_.given(option)) fields_[field] = json::parse(number_text(value));
    return *this;
  }
  void into(json& body, const char* name) {
    if (!fields_.empty()) body[name] = std::move(fields_);
  }

private:
  const option_list& given_;
  json fields_ = json::object();
};

json request_body(const option_list& given, const submit_options& o) {
  const auto& d = o.decoding;
  json body = json::object();
  chosen_fields(given)
      .put("temperature", "temperature", d.sampling.temperature)
      .put("top-k", "top_k", d.sampling.top_k)
      .put("top-p", "top_p", d.sampling.top_p)
      .put("min-p", "min_p", d.sampling.min_p)
      .put("seed", "seed", d.sampling.seed)
      .into(body, "sampling");
  chosen_fields(given)
      .put("max-tokens", "max_tokens", d.budget.max_tokens)
      .put("context", "max_context", d.budget.max_context)
      .put("max-tree-tokens", "max_tree_tokens", d.budget.max_tree_tokens)
      .put("max-threads", "max_threads", d.budget.max_threads)
      .put("max-depth", "max_depth", d.budget.max_depth)
      .put("max-rounds", "max_rounds", d.budget.max_rounds)
      .put("deadline", "deadline_s", d.budget.deadline_s)
      .into(body, "budget");
  if (given.given("join")) body["join"] = join_text(d.join);
  if (d.children >= 0) body["children"] = d.children;
  if (d.token_budget > 0) body["token_budget"] = d.token_budget;
  for (const auto& [name, value] : read_labels(o.labels, "--labels"))
    if (!body["labels"].emplace(name, value).second)
      throw bad_usage("--labels", "'" + name + "' is there twice", "give a name one value");
  body["wait"] = false;
  return body;
}

json post_when_there_is_room(client& daemon, const json& body, progress_line& line) {
  return daemon.when_there_is_room([&] { return daemon.post("/v1/trees", body); },
                                   [&](const refused& no) {
                                     line.show(no.code == "full"
                                                   ? "the daemon's queue is full; trying again"
                                                   : "the daemon takes fewer requests; waiting");
                                   });
}

/// A tree lives on while its daemon begins anew.
json finished(client& daemon, const std::string& id) {
  for (auto pause = first_glance;; pause = std::min(2 * pause, last_glance)) {
    auto tree = daemon.patiently([&] { return whole_tree(daemon, id); });
    const auto state = text_field(tree, "state");
    if (state == "done" || state == "failed" || state == "cancelled") return tree;
    daemon.wait(pause);
  }
}

void print_result(const json& j, bool as_json) {
  if (as_json) return print_json(j);
  const auto t = read_tree(j);
  print(to_string(t.problem) + ": " + printable(outcome_text(t)) + "\n  " + figures(read_usage(j))
        + "\n");
}

/// "trees A, B and 3 more"
std::string named(std::span<const std::string> ids) {
  constexpr std::size_t most_named = 3;
  std::string names;
  for (const auto& id : ids.first(std::min(ids.size(), most_named)))
    names += (names.empty() ? "" : ", ") + printable(id);
  if (ids.size() > most_named) names += " and " + std::to_string(ids.size() - most_named) + " more";
  return (ids.size() == 1 ? "tree " : "trees ") + names;
}

/// The trees that were waited for when the daemon went away are kept there.
bad_environment broken_off(std::span<const std::string> ids, const std::exception& why) {
  return {named(ids), why.what(),
          "what it has taken goes on when it runs again, `banyan tree ID --follow` waits on"};
}

/// Which problem it was that the daemon refused, where there are more, and what it has taken
/// before.
bad_usage refused_at(const listed_problem& p, std::span<const std::string> taken,
                     const refused& why, bool alone) {
  const auto where = alone || why.status == 429 ? "" : p.where + ": ";
  const auto before = taken.empty() ? "" : " (" + named(taken) + " it has taken before)";
  return bad_usage(where + why.what() + before);
}

int wait_for(client& daemon, const std::vector<std::string>& ids, const submit_options& o) {
  std::size_t solved = 0;
  progress_line line(o.common.quiet || o.common.json);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (i > 0)
      line.show("solved " + std::to_string(solved) + " of " + std::to_string(i) + ", "
                + std::to_string(ids.size() - i) + " to go");
    const auto tree = [&] {
      try {
        return finished(daemon, ids[i]);
      } catch (const bad_environment& why) {
        throw broken_off(std::span(ids).subspan(i), why);
      }
    }();
    line.clear();
    solved += read_tree(tree).outcome.solved;
    print_result(tree, o.common.json);
  }
  return solved == ids.size() ? exit_done : exit_unsolved;
}

} // namespace

int submit(command_words words) {
  submit_options o;
  auto list = declare(o);
  if (!parse(list, o.common, o.daemon, words)) return exit_done;
  check(o.decoding);
  const auto problems = o.problems.read("submit");
  auto body = request_body(list, o);
  client daemon(o.daemon);
  std::vector<std::string> ids;
  progress_line line(o.common.quiet || o.common.json);
  for (const auto& p : problems) {
    body["problem"] = {{"numbers", p.value.numbers}, {"target", p.value.target}};
    const auto answer = [&] {
      try {
        return post_when_there_is_room(daemon, body, line);
      } catch (const refused& why) {
        line.clear();
        throw refused_at(p, ids, why, problems.size() == 1);
      } catch (const bad_environment& why) {
        if (ids.empty()) throw;
        line.clear();
        throw broken_off(ids, why);
      }
    }();
    ids.push_back(text_field(answer, "id"));
    if (o.wait) {
      o.common.log(common_options::level::info, ids.back() + ": " + to_string(p.value));
      continue;
    }
    line.clear();
    o.common.json ? print_json(answer) : print(printable(ids.back()) + "\n");
  }
  line.clear();
  return o.wait ? wait_for(daemon, ids, o) : exit_done;
}

} // namespace banyan
