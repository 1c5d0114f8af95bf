#pragma once

#include <span>
#include <string>

namespace banyan {

/// The commands. Each takes the words after its name and returns the exit code.
using command_words = std::span<const std::string>;

int train_sft(command_words);

} // namespace banyan
