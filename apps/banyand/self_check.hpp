#pragma once

#include <string>

namespace banyan {

class actor_house;

/// Decodes a few tokens on every pool; an empty text, or what is wrong. Waits, a minute for each at
/// most: a pool's first step also loads what it decodes with.
std::string self_check(actor_house&);

} // namespace banyan
