#pragma once

#include "actors/event_hub.hpp"
#include "actors/session.hpp"
#include "tests/deterministic_system.hpp"
#include "tests/scripted_pool.hpp"

#include <memory>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

namespace banyan {

/// A problem with two first steps, and everything that a good model writes about it.
namespace texts {

inline const problem asked{{42, 61, 66}, 47};
inline const std::string prompt =
    "Moving to Node #0\nCurrent State: 47:[42, 61, 66], Operations: []\n";

/// The root looks at two first steps and spawns a child for each.
inline const std::string expansion = "Exploring Operation: 66-42=24, Resulting Numbers: [61, 24]\n"
                                     "Generated Node #0,0: 47:[61, 24] Operation: 66-42=24\n"
                                     "Exploring Operation: 61-42=19, Resulting Numbers: [66, 19]\n"
                                     "Generated Node #0,1: 47:[66, 19] Operation: 61-42=19\n";
inline const std::string spawn_two = "<Calling Sub Searches>\n"
                                     "<Start Sub Search 0 at level 1> Moving to Node #0,1\n"
                                     "<Start Sub Search 1 at level 1> Moving to Node #0,0\n"
                                     "<End Calling Sub Searches>\n";

/// A child at node #0,1 gets there at once, one at #0,0 never does.
inline const std::string good_prompt =
    "Moving to Node #0,1\nCurrent State: 47:[66, 19], Operations: ['61-42=19']\n";
inline const std::string reaching = "Exploring Operation: 66-19=47, Resulting Numbers: [47]\n"
                                    "47,47 equal: Goal Reached\n";
inline const std::string good_solution = good_prompt + reaching;
inline const std::string good_child = reaching + good_solution;
inline const std::string bad_prompt =
    "Moving to Node #0,0\nCurrent State: 47:[61, 24], Operations: ['66-42=24']\n";
inline const std::string bad_step = "Exploring Operation: 61-24=37, Resulting Numbers: [37]\n"
                                    "Generated Node #0,0,0: 47:[37] Operation: 61-24=37\n";
inline const std::string bad_spawn = "<Calling Sub Searches>\n"
                                     "<Start Sub Search 0 at level 2> Moving to Node #0,0,0\n"
                                     "<End Calling Sub Searches>\n";
inline const std::string bad_child = "Exploring Operation: 61-24=37, Resulting Numbers: [37]\n"
                                     "37,47 unequal: No Solution\nNo solution found.\n";

/// A child at node #0,1 that spawns in its turn, and its child at node #0,1,0.
inline const std::string nested_spawn = "Exploring Operation: 66-19=47, Resulting Numbers: [47]\n"
                                        "Generated Node #0,1,0: 47:[47] Operation: 66-19=47\n"
                                        "<Calling Sub Searches>\n"
                                        "<Start Sub Search 0 at level 2> Moving to Node #0,1,0\n"
                                        "<End Calling Sub Searches>\n";
inline const std::string nested_solution =
    "Moving to Node #0,1,0\nCurrent State: 47:[47], Operations: ['61-42=19', '66-19=47']\n"
    "47,47 equal: Goal Reached\n";
inline const std::string nested_child = "47,47 equal: Goal Reached\n" + nested_solution;

/// The root after a join in which the good child reached the goal.
inline const std::string root_solution =
    prompt
    + "Exploring Operation: 61-42=19, Resulting Numbers: [66, 19]\n"
      "Generated Node #0,1: 47:[66, 19] Operation: 61-42=19\n"
    + good_solution;
inline const std::string conclusion = "47,47 equal: Goal Reached\n" + root_solution;
inline const std::string resignation = "No solution found.\n";

} // namespace texts

/// Sessions over a scripted pool. At the end of each test no actor is left, and no row on the
/// board.
struct session_system : deterministic_system {
  std::shared_ptr<pool_script> script = std::make_shared<pool_script>();
  std::shared_ptr<status_board> board = std::make_shared<status_board>();
  std::shared_ptr<event_hub> events = std::make_shared<event_hub>();
  pool_actor pool = sys.spawn(scripted_pool, script);
  solve_request request;
  std::vector<named_pool> pools{{"scripted:0", pool}};

  session_system() {
    script->lines = {{"/", {texts::expansion + texts::spawn_two, texts::conclusion}},
                     {"/0", {texts::good_child}},
                     {"/1", {texts::bad_child}}};
    request.id = "t";
    request.problem = texts::asked;
    request.budget.deadline_s = 60;
  }

  ~session_system() {
    pools.clear();
    end(pool);
    pool = nullptr;
    advance(std::chrono::seconds(120)); // what still held a clock entry goes with it
    CHECK(running() == 0);
    CHECK(board->size() == 0);
  }

  reasoning_options reasoning() {
    return {script->codec, place_evenly(pools), board, events, unix_ms(), "local"};
  }

  tree_work work() const { return {request, 0, {}, {}}; }

  session_actor begin() { return spawn_session(sys, {reasoning(), 1, {}, false}); }

  /// The pool answers everybody.
  void break_silence() {
    script->silent.clear();
    self->send(pool, atom::step_v);
    run();
  }

  void kill_thread(const std::string& path) {
    caf::anon_send_exit(script->askers.at(path), caf::exit_reason::kill);
    run();
  }

  /// Solves the request to its end; virtual time stands still.
  tree solve() { return finished(ask<finished_tree>(begin(), work())); }

  tree finished(caf::expected<finished_tree> answer) {
    if (!answer) FAIL(sys.render(answer.error()));
    CHECK(answer->value->inconsistent().value_or("") == "");
    return *answer->value;
  }
};

/// The segments of a thread as "kind:text", for comparison.
inline std::vector<std::string> told(const thread_record& thread) {
  std::vector<std::string> all;
  for (const auto& s : thread.segments)
    all.push_back(std::string(to_string(s.kind)) + ":" + s.text);
  return all;
}

} // namespace banyan
