#pragma once

#include <filesystem>

namespace banyan {

/// Draws `loss.svg` from the `log.jsonl` of a run's folder with gnuplot. False where gnuplot is not
/// installed or the log has too little to draw; throws std::system_error where it cannot be
/// written.
bool plot_loss(const std::filesystem::path& folder);

} // namespace banyan
