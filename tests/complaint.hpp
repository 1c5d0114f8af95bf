#pragma once

#include "apps/failure.hpp"

#include <string>

namespace banyan {

/// What a function says of wrong usage; "" where it says nothing.
template <class Function>
std::string complaint(Function function) {
  try {
    function();
    return {};
  } catch (const bad_usage& e) {
    return e.what();
  }
}

} // namespace banyan
