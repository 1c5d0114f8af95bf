#pragma once

#include "solver/request.hpp"

#include <string>
#include <string_view>

namespace banyan {

/// What the body of `POST /v1/trees` asks for.
struct tree_body {
  solve_request request;
  bool seeded = false; ///< a seed was given
  bool wait = true;    ///< for the finished tree
  bool stay = false;   ///< the tree goes on when the waiting client leaves
};

/// Throws `request_error` that names the field.
tree_body parse_tree_body(std::string_view);

/// The path of the thread that `POST /v1/trees/{id}/cancel|pause|resume` acts on; "/" without one.
std::string parse_action_body(std::string_view);

} // namespace banyan
