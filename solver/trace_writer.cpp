#include "solver/trace_writer.hpp"

namespace banyan {
namespace {

constexpr std::size_t usual_text = 8192; // bytes; most threads write less

std::span<const std::int64_t> numbers_of(const search_node& node) {
  return {node.numbers.data(), node.count};
}

} // namespace

trace_writer::trace_writer(const search_space& space)
    : space_(space), target_(std::to_string(space.target())), pen_(usual_text) {}

void trace_writer::name(node_id id) {
  auto& node = space_[id];
  pen_.put('#');
  pen_.put(std::string_view(node.name.data(), node.name_size));
}

void trace_writer::move_to(node_id id) {
  pen_.line();
  pen_.put("Moving to Node ");
  name(id);
  pen_.put("\nCurrent State: ");
  target();
  pen_.put(':');
  numbers(numbers_of(space_[id]));
  pen_.put(", Operations: [");
  operations(id);
  pen_.put("]\n");
}

void trace_writer::branch(node_id id) {
  auto& node = space_[id];
  pen_.line();
  pen_.put("Exploring Operation: ");
  auto step_begin = pen_.size();
  step(node.step);
  auto step_end = pen_.size();
  pen_.put(", Resulting Numbers: ");
  auto numbers_begin = pen_.size();
  numbers(numbers_of(node));
  auto numbers_end = pen_.size();
  pen_.put("\nGenerated Node ");
  name(id);
  pen_.put(": ");
  target();
  pen_.put(':');
  pen_.put(pen_.between(numbers_begin, numbers_end));
  pen_.put(" Operation: ");
  pen_.put(pen_.between(step_begin, step_end));
  pen_.put('\n');
}

void trace_writer::leaf(const operation& last_step) {
  pen_.line();
  pen_.put("Exploring Operation: ");
  step(last_step);
  pen_.put(", Resulting Numbers: [");
  pen_.put(last_step.result);
  pen_.put("]\n");
  if (last_step.result == space_.target()) return goal();
  pen_.put(last_step.result);
  pen_.put(',');
  target();
  pen_.put(" unequal: No Solution\n");
}

void trace_writer::goal() {
  pen_.line();
  target();
  pen_.put(',');
  target();
  pen_.put(" equal: Goal Reached\n");
}

void trace_writer::no_solution() {
  pen_.line();
  pen_.put("No solution found.\n");
}

void trace_writer::enter_sub_search(int level) {
  pen_.line();
  pen_.put("Start Sub Search");
  at_level(level);
  pen_.put(": ");
}

void trace_writer::exit_sub_search(int level) {
  pen_.line();
  pen_.put("Exit Sub Search");
  at_level(level);
  pen_.put('\n');
}

void trace_writer::no_solution_in_sub_search() {
  pen_.line();
  pen_.put("No solution found in sub search\n");
}

void trace_writer::spawn(const node_list& children, int level) {
  pen_.line();
  pen_.put("<Calling Sub Searches>\n");
  std::int64_t index = 0;
  for (auto child : children) {
    pen_.line();
    pen_.put("<Start Sub Search ");
    pen_.put(index++);
    at_level(level);
    pen_.put("> Moving to Node ");
    name(child);
    pen_.put('\n');
  }
  pen_.put("<End Calling Sub Searches>\n");
}

void trace_writer::begin_join() {
  pen_.line();
  pen_.put("<Sub Searches>\n");
}

void trace_writer::end_join() {
  pen_.line();
  pen_.put("<End Sub Searches>\n");
}

void trace_writer::copy(std::string_view lines) {
  pen_.room(lines.size());
  pen_.put(lines);
}

void trace_writer::joined(bool reached, std::size_t index, int level, node_id child) {
  pen_.line();
  if (reached)
    pen_.put("<Goal Reached in Sub Search ");
  else
    pen_.put("<No Solution in Sub Search ");
  pen_.put(static_cast<std::int64_t>(index));
  at_level(level);
  pen_.put(" at Node ");
  name(child);
  pen_.put(">\n");
}

void trace_writer::restate(node_id start, node_id last, const operation& final_step) {
  std::array<node_id, 6> path;
  std::size_t length = 0;
  for (auto id = last; id != start; id = space_[id].parent) path[length++] = id;
  move_to(start);
  while (length-- > 0) {
    branch(path[length]);
    move_to(path[length]);
  }
  leaf(final_step);
}

void trace_writer::at_level(int level) {
  pen_.put(" at level ");
  pen_.put(static_cast<std::int64_t>(level));
}

void trace_writer::step(const operation& op) {
  pen_.put(op.left);
  pen_.put(op.symbol);
  pen_.put(op.right);
  pen_.put('=');
  pen_.put(op.result);
}

void trace_writer::numbers(std::span<const std::int64_t> list) {
  pen_.put('[');
  pen_.put(list.front());
  for (auto number : list.subspan(1)) {
    pen_.put(", ");
    pen_.put(number);
  }
  pen_.put(']');
}

void trace_writer::operations(node_id id) {
  if (id == search_space::root) return;
  auto parent = space_[id].parent;
  operations(parent);
  if (parent != search_space::root) pen_.put(", ");
  pen_.put('\'');
  step(space_[id].step);
  pen_.put('\'');
}

} // namespace banyan
