#pragma once

#include "solver/tree.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace banyan {

/// What happened in a tree, for those who watch it.
struct tree_event {
  enum class kind : std::uint8_t {
    tree,   ///< the tree entered a state
    thread, ///< a thread entered a state
    spawn,  ///< a thread asked for children
    text,   ///< a thread wrote; told of watched trees alone
    join,   ///< what children returned took the place of a spawn block
    done,   ///< the tree is finished
  };

  std::uint64_t id = 0; ///< given by the hub: rises over all trees of this process, from 1
  kind what = kind::tree;
  std::string tree, thread = "/", parent; ///< tree's id; paths, the root has no parent
  std::uint64_t position =
      0;                  ///< bytes of the thread's text before `text`: what follows is replaced
  std::int64_t at_ms = 0; ///< Unix time
  std::string state;      ///< tree, thread, done: its phase
  std::string text;       ///< spawn: the block; text: what was written; join: the join block
  std::vector<std::string> children; ///< spawn: their paths
  errc failure = errc::none;
  std::uint64_t tokens = 0;               ///< sampled by the thread so far
  std::optional<banyan::outcome> outcome; ///< done
};
std::string_view to_string(tree_event::kind);

/// What is told when a tree has ended.
tree_event end_of(const tree&);

} // namespace banyan
