#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace banyan {

/// The store could not do what was asked; nothing of the open transaction is kept. `what()` names
/// the file, what is wrong and what to do.
struct store_error : std::runtime_error {
  enum class kind : std::uint8_t { full, locked, damaged, newer, io };
  kind why = kind::io;
  store_error(kind why, const std::string& text) : std::runtime_error(text), why(why) {}
};

} // namespace banyan
