#include "solver/thread_search.hpp"

#include <algorithm>

namespace banyan {

thread_search::thread_search(search_context context, node_id start, int beam)
    : context_(context), writer_(context.space), beam_(beam), start_(start) {}

bool thread_search::run() {
  writer_.move_to(start_);
  end_stretch(segment_kind::prompt);
  bool reached = search(start_, 0);
  end_stretch(segment_kind::written);
  return reached;
}

void thread_search::end_stretch(segment_kind kind) {
  stretches_.push_back({kind, writer_.out().size()});
}

bool thread_search::search(node_id start, int level) {
  score_heap<node_id> open;
  std::vector<node_id> batch{start};
  for (;;) {
    for (std::size_t i = 0; i < batch.size(); ++i) {
      if (i > 0) writer_.move_to(batch[i]);
      if (visit(batch[i], open, level)) return true;
    }
    if (open.empty()) break;
    batch.clear();
    while (!open.empty() && batch.size() < static_cast<std::size_t>(beam_))
      batch.push_back(open.pop());
    writer_.move_to(batch.front());
  }
  writer_.no_solution();
  return false;
}

bool thread_search::visit(node_id id, score_heap<node_id>& open, int level) {
  node_list kept;
  if (expand(id, kept)) return true;
  if (context_.options.order == node_order::shuffled) order_by_score(kept);
  switch (consider(kept, level)) {
  case dive::reached: return true;
  case dive::failed: return false;
  case dive::declined: break;
  }
  for (auto state : kept) open.push(context_.space[state].score, state);
  return false;
}

bool thread_search::expand(node_id id, node_list& kept) {
  auto moves = context_.space.expand(id, beam_, context_.options.order, context_.random);
  for (auto& move : moves) {
    if (auto state = explore(id, move, static_cast<std::uint32_t>(kept.size())))
      kept.push_back(*state);
    else if (goal_)
      return true;
  }
  return false;
}

std::optional<thread_search::node_id> thread_search::explore(node_id from, const search_move& move,
                                                             std::uint32_t index) {
  if (context_.space[from].count > 2) {
    auto state = context_.space.add(from, move, index);
    writer_.branch(state);
    return state;
  }
  writer_.leaf(move.step);
  if (move.step.result == context_.space.target()) reach({from, move.step});
  return std::nullopt;
}

void thread_search::order_by_score(node_list& list) const {
  auto& space = context_.space;
  for (std::size_t i = 1; i < list.size(); ++i) {
    auto moving = list[i];
    auto place = i;
    for (; place > 0 && space[moving].score < space[list[place - 1]].score; --place)
      list[place] = list[place - 1];
    list[place] = moving;
  }
}

void thread_search::reach(const search_goal& goal) {
  goal_ = goal;
  solution_begin_ = writer_.out().size();
  writer_.restate(start_, goal.last, goal.step);
  solution_end_ = writer_.out().size();
}

bool depth_first_search::search(node_id start, int) {
  if (descend(start)) return true;
  writer_.no_solution();
  return false;
}

bool depth_first_search::descend(node_id id) {
  auto found = context_.space.expand(id, beam_, context_.options.order, context_.random);
  std::vector<search_move> moves(found.begin(), found.end()); // expanding again overwrites `found`
  if (context_.options.order == node_order::shuffled)
    std::stable_sort(moves.begin(), moves.end(),
                     [](auto& a, auto& b) { return a.score < b.score; });
  for (std::uint32_t i = 0; i < moves.size(); ++i) {
    if (i > 0) writer_.move_to(id);
    auto state = explore(id, moves[i], i);
    if (state) {
      writer_.move_to(*state);
      if (descend(*state)) return true;
    }
    if (goal()) return true;
  }
  return false;
}

thread_search::dive nested_search::consider(const node_list& kept, int level) {
  if (!context_.random.coin(context_.options.spawn_probability)) return dive::declined;
  for (auto state : kept) {
    writer_.enter_sub_search(level + 1);
    writer_.move_to(state);
    bool reached = search(state, level + 1);
    writer_.exit_sub_search(level + 1);
    if (reached) return dive::reached;
    writer_.no_solution_in_sub_search();
  }
  return dive::failed;
}

} // namespace banyan
