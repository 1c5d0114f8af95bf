#pragma once

#include "apps/client.hpp"

#include <string>

namespace banyan {

struct watch_options {
  bool json = false;  ///< every event as a line of JSON
  bool texts = false; ///< lines tell what threads write, too
  std::string thread; ///< nothing but what this one writes; empty: the whole tree
};

/// Shows on standard output what happens in a tree until it ends: as a drawing on a terminal, as
/// lines elsewhere. The drawing is gone afterwards.
void watch_tree(client&, const std::string& id, const watch_options&);

} // namespace banyan
