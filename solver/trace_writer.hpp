#pragma once

#include "solver/pen.hpp"
#include "solver/search_space.hpp"

#include <span>
#include <string>

namespace banyan {

/// Writes the lines of a thread's text (docs/architecture.md, "The text of a thread").
class trace_writer {
public:
  using node_id = search_space::node_id;

  explicit trace_writer(const search_space&);

  pen& out() { return pen_; }
  const pen& out() const { return pen_; }

  /// "#0,1", as it follows "Node " everywhere.
  void name(node_id);
  /// "Moving to Node …" and "Current State: …".
  void move_to(node_id);
  /// "Exploring Operation: …" and "Generated Node …": the step that led to this node.
  void branch(node_id);
  /// "Exploring Operation: …" and whether the one number left is the target.
  void leaf(const operation&);
  /// "47,47 equal: Goal Reached"
  void goal();
  /// "No solution found."
  void no_solution();

  /// The lines around a search within a search (SoS+); the first one ends before "Moving to Node".
  void enter_sub_search(int level);
  void exit_sub_search(int level);
  void no_solution_in_sub_search();

  /// The block that asks for one child thread per node.
  void spawn(const node_list& children, int level);
  /// The block that takes its place: begun, a line per child, its solution after it, ended.
  void begin_join();
  void end_join();
  /// Takes over lines that were written before.
  void copy(std::string_view lines);
  /// The line of a join block about child `index`, which started at `node`.
  void joined(bool reached, std::size_t index, int level, node_id);
  /// The path from `start` over `last`, its descendant or itself, and the final step to the goal.
  void restate(node_id start, node_id last, const operation& final_step);

private:
  void at_level(int);
  void step(const operation&);
  void numbers(std::span<const std::int64_t>);
  void operations(node_id);
  void target() { pen_.put(std::string_view(target_)); }

  const search_space& space_;
  std::string target_;
  pen pen_;
};

} // namespace banyan
