#pragma once

#include <span>
#include <string>

namespace banyan {

/// The commands. Each takes the words after its name and returns the exit code.
using command_words = std::span<const std::string>;

int cancel_command(command_words);
int evaluate(command_words);
int export_command(command_words);
int generate_problems_command(command_words);
int generate_traces_command(command_words);
int model_info(command_words);
int model_import(command_words);
int model_export(command_words);
int pause_command(command_words);
int ps(command_words);
int resume_command(command_words);
int solve(command_words);
int submit(command_words);
int top(command_words);
int train_rl(command_words);
int train_sft(command_words);
int tree_command(command_words);

} // namespace banyan
