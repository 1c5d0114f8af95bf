#pragma once

#include "solver/request.hpp"

#include <string>

namespace banyan {

/// "all", "first_success", "k_of_n:3", "deadline:0.5"; false for anything else.
bool read_join(const std::string& text, join_policy&);
std::string join_text(const join_policy&);

} // namespace banyan
