#pragma once

#include "solver/cursor.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// The parts of which a thread's lines are made, read and written in the one way in which the
/// published data has them. Readers consume from a cursor; nothing and an undefined cursor where
/// the text does not fit.
namespace banyan::grammar {

/// More numbers or operations than this in one state are refused, so that a prompt has a bounded
/// size. A problem has at most 6 numbers.
inline constexpr std::size_t max_list = 64;

/// The lines around a block that spawns, and around the one that the join puts in its place.
inline constexpr std::string_view begin_spawn = "<Calling Sub Searches>",
                                  end_spawn = "<End Calling Sub Searches>",
                                  begin_join = "<Sub Searches>", end_join = "<End Sub Searches>";

/// "47:[61, 24]"
struct state {
  std::int64_t target = 0;
  std::vector<std::int64_t> numbers;

  bool operator==(const state&) const = default;
};
std::string to_string(const state&);
std::optional<state> read_state(cursor&);

/// "[61, 24]"
std::string to_string(std::span<const std::int64_t> numbers);
std::optional<std::vector<std::int64_t>> read_numbers(cursor&);

/// "['66-42=24', '61-24=37']"; each must be an operation by form, right or wrong.
std::string to_string(std::span<const std::string> operations);
std::optional<std::vector<std::string>> read_operations(cursor&);

/// "#0,1": the digits and commas after the '#'; nothing if there are none.
std::optional<std::string_view> read_node(cursor&);

/// "47,47 equal: Goal Reached", whatever the two numbers are.
bool is_goal(std::string_view line);

/// One of the lines in which a path is told, its form strictly kept: Moving to, Current State,
/// Exploring Operation, Generated Node, or a goal.
bool is_path_line(std::string_view line);

/// At most 80 characters of `text` in quotation marks, safe to print: for messages.
std::string quoted(std::string_view text);

/// "Moving to Node #0,1\nCurrent State: 47:[66, 19], Operations: ['61-42=19']\n"
std::string node_prompt(std::string_view node, const state&,
                        std::span<const std::string> operations);

} // namespace banyan::grammar
