#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace at {
class Tensor;
}

namespace banyan {

// What a checkpoint of a run has beside a model: how a trainer goes on from it.

class optimizer;
struct model_weights;

/// Writes what a trainer needs beside the weights: the optimiser's state (`trainer.safetensors`)
/// and its own (`trainer.json`).
void save_state(const std::filesystem::path& folder, const optimizer&,
                const nlohmann::ordered_json& state);

/// The tensors of a file of a checkpoint. Throws bad_checkpoint where it is damaged or one of them
/// has values that are not finite.
std::map<std::string, at::Tensor> read_tensors(const std::filesystem::path&);

/// Reads both back; `take` gets the trainer's own and may throw JSON's exceptions and
/// std::domain_error for what is damaged. Throws bad_checkpoint for what is missing, damaged or of
/// another shape.
void restore_state(const std::filesystem::path& folder, optimizer&,
                   const std::function<void(const nlohmann::ordered_json&)>& take);

/// Throws bad_checkpoint where a file of tensors is not as the trainer wrote it; for what can be
/// read and is wrong all the same. Checkpoints of earlier versions have no checksums.
void require_unchanged(const std::filesystem::path& folder);

/// Throws bad_checkpoint where the weights of a checkpoint folder are of another shape than ours.
void require_shape(const model_weights& ours, const model_weights& theirs,
                   const std::filesystem::path& folder);

/// The step of a checkpoint folder of whatever name; none where it is not whole.
std::optional<std::int64_t> step_of_checkpoint(const std::filesystem::path& folder);

/// Weights of an older epoch in a checkpoint: "epoch-7.safetensors".
std::string epoch_file(std::int64_t epoch);

/// Copies the weights of a checkpoint folder into `weights`. Throws bad_checkpoint where they do
/// not fit.
void load_into(model_weights& weights, const std::filesystem::path& folder);

} // namespace banyan
