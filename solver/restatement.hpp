#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace banyan {

/// Collects the path that a thread tells once more after its first goal: from "Moving to Node #"
/// and the thread's start node to the next goal line, with nothing between but lines that tell a
/// path. So nothing else can travel from a child's text into its parent's.
class restatement {
public:
  explicit restatement(std::string_view start_node);

  /// Takes the next line, without its newline. A line of another kind drops what was collected, a
  /// new "Moving to" the start node begins again; after a complete path nothing changes any more.
  void read(std::string_view line);

  bool complete() const { return complete_; }
  const std::string& text() const { return text_; } ///< Each line ends in a newline.

private:
  std::string first_line_;
  std::string text_;
  bool complete_ = false;
};

/// `solution` with a newline after every line, if it is a restatement from `start_node` and no
/// more.
std::optional<std::string> checked_solution(std::string_view solution, std::string_view start_node);

} // namespace banyan
