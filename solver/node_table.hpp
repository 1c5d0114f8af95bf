#pragma once

#include "solver/trace.hpp"

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

namespace banyan {

/// What a thread's own text says about the nodes of its search, so that a child can be given the
/// state at one of them. Lines are kept as they are and read in earnest only for a node that is
/// asked for: most never are.
class node_table {
public:
  node_table();

  /// Takes the next line, without its newline, of whatever kind. A node that is described again is
  /// known by its last description.
  void read(std::string_view line);

  /// The prompt of a thread that starts at `node`, or why there is none.
  std::variant<std::string, verdict::malformed> prompt(std::string_view node) const;

private:
  /// One description. Either the operations are stated, or they are the parent's and one more.
  struct description {
    std::string state;
    std::string operations;
    std::optional<std::string> operation;
    std::size_t parent = 0; ///< always before this one: no cycles whatever the text says
  };
  struct hash : std::hash<std::string_view> {
    using is_transparent = void;
  };

  std::size_t find(std::string_view node) const;
  void add(std::string_view node, description);
  void read_state(std::string_view node, std::string_view rest);
  void read_generated(std::string_view rest);
  std::optional<std::vector<std::string>> operations_of(const description&) const;

  std::vector<description> descriptions_; ///< the first stands for every unknown node
  std::unordered_map<std::string, std::size_t, hash, std::equal_to<>> last_;
  std::size_t current_ = 0; ///< where the last "Moving to" went
  std::string moved_to_;    ///< the node of the line just read, if that was a "Moving to"
};

} // namespace banyan
