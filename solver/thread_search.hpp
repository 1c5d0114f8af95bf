#pragma once

#include "solver/heap.hpp"
#include "solver/trace_writer.hpp"
#include "solver/tree.hpp"

#include <array>
#include <optional>
#include <span>
#include <vector>

namespace banyan {

/// What the threads of one tree share while they are searched: the states, the coin, the knobs.
struct search_context {
  search_space& space;
  chance& random;
  const search_options& options;
};

/// The way to a goal: the last state, of two numbers, and the step that makes the target of them.
struct search_goal {
  search_space::node_id last;
  operation step;
};

/// The search of one thread, best first: up to `beam` states are taken off the open set at a time,
/// each is expanded into up to `beam` states. Writes the thread's text from "Moving to Node …" on.
/// Derived classes say what else may happen to the states of an expansion than to wait in the open
/// set.
class thread_search {
public:
  using node_id = search_space::node_id;

  /// A restatement of the path to the goal begins at `start`.
  thread_search(search_context, node_id start, int beam);
  virtual ~thread_search() = default;

  /// Searches to the end; whether the goal was reached.
  bool run();

  const std::optional<search_goal>& goal() const { return goal_; }

  /// The text in the stretches that a thread's record has, up to where each ends.
  struct stretch {
    segment_kind kind;
    std::size_t end;
  };
  const std::vector<stretch>& stretches() const { return stretches_; }
  /// The text, prompt included and spawn blocks too; valid until the search goes on.
  std::string_view text() const { return writer_.out().since(0); }
  /// The restated path; empty without a goal.
  std::string_view solution() const {
    return writer_.out().between(solution_begin_, solution_end_);
  }

protected:
  enum class dive { declined, failed, reached };

  /// Whether the states of an expansion are searched at once, before anything in the open set.
  virtual dive consider(const node_list&, int /*level*/) { return dive::declined; }

  /// Searches all that lies below `start`, to which the text has moved already.
  virtual bool search(node_id start, int level);

  /// Takes the move as the `index`-th state of its expansion and writes it; nothing for a leaf.
  std::optional<node_id> explore(node_id from, const search_move&, std::uint32_t index);
  /// What was written since the last stretch is one of this kind.
  void end_stretch(segment_kind);
  /// Restates the path to the goal and remembers it.
  void reach(const search_goal&);

  search_context context_;
  trace_writer writer_;
  int beam_;

private:
  bool visit(node_id, score_heap<node_id>& open, int level);
  bool expand(node_id, node_list& kept);
  void order_by_score(node_list&) const;

  node_id start_;
  std::optional<search_goal> goal_;
  std::vector<stretch> stretches_;
  std::size_t solution_begin_ = 0, solution_end_ = 0;
};

/// Stream of Search, depth first: a state is entered as soon as it was generated.
class depth_first_search : public thread_search {
public:
  using thread_search::thread_search;

protected:
  bool search(node_id start, int level) override;

private:
  bool descend(node_id);
};

/// SoS+: a coin after each expansion says whether its states are searched one after the other, each
/// by a search within the search.
class nested_search : public thread_search {
public:
  using thread_search::thread_search;

protected:
  dive consider(const node_list&, int level) override;
};

} // namespace banyan
