#pragma once

#include "solver/request.hpp"

#include <string>

namespace banyan {

/// What may be written, for whoever wrote something else.
inline constexpr auto join_forms =
    "all, first_success, k_of_n:K (K from 1 to 4294967295) or deadline:SECONDS (above 0 and below "
    "1000000000)";

/// "all", "first_success", "k_of_n:3", "deadline:0.5"; false for anything else.
bool read_join(const std::string& text, join_policy&);
std::string join_text(const join_policy&);

} // namespace banyan
