#pragma once

#include <filesystem>

namespace banyan {

/// Draws `loss.svg` from the `log.jsonl` of a run's folder with gnuplot. False where gnuplot is not
/// installed or the log has too little to draw; throws std::system_error where it cannot be
/// written.
bool plot_loss(const std::filesystem::path& folder);

/// The same for a run of reinforcement learning: `curve.svg` shows accuracy and reward, children
/// and tokens, distance and entropy, the logprob gap, and where the time went.
bool plot_rl(const std::filesystem::path& folder);

} // namespace banyan
