#pragma once

#include <string_view>

namespace banyan {

/// A file that cmake/embed.cmake put into the program.
struct embedded_file {
  std::string_view name; ///< its path below the folder of its target: "page/index.html"
  std::string_view bytes;
};

/// Null where there is none of that name.
const embedded_file* find_embedded(std::string_view name);

} // namespace banyan
