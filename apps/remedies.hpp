#pragma once

#include "trainer/run_voice.hpp"

#include <string>

namespace banyan {

/// By which options of `banyan train` one asks for it, as an end of a sentence.
std::string words_for(remedy);

} // namespace banyan
