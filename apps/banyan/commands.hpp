#pragma once

#include <span>
#include <string>

namespace banyan {

/// The commands. Each takes the words after its name and returns the exit code.
using command_words = std::span<const std::string>;

int evaluate(command_words);
int generate_problems_command(command_words);
int generate_traces_command(command_words);
int model_info(command_words);
int model_import(command_words);
int model_export(command_words);
int solve(command_words);
int train_sft(command_words);

} // namespace banyan
