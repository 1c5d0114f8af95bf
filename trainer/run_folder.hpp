#pragma once

#include "trainer/run_lock.hpp"

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

class optimizer;
class tokenizer;
struct model_weights;

/// The checkpoints of a training run: `out/step-NNNNNN/` in Hugging Face layout, and `out/last`, a
/// link that always names a whole one.
class run_folder {
public:
  /// Makes the folder, has it for itself from then on (see run_lock), and removes what a killed
  /// process left half written in it. Keeps the newest `keep` checkpoints, at least one.
  run_folder(std::filesystem::path out, std::int64_t keep);

  std::filesystem::path last() const { return out_ / "last"; }
  std::filesystem::path folder_of(std::int64_t step) const;

  /// Writes a checkpoint, atomically, points `last` at it and forgets old ones, and those of later
  /// steps: they are of a run that went on from here before. `also` puts the trainer's own state
  /// beside the weights. Throws std::system_error; earlier checkpoints stay
  /// whole.
  void save(std::int64_t step, const model_weights&, const tokenizer&,
            const std::function<void(const std::filesystem::path&)>& also);

private:
  void forget_others(std::int64_t newest) const;

  std::filesystem::path out_;
  std::int64_t keep_;
  run_lock lock_;
};

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

/// What to say of a log without the lines of so many steps.
std::string lost_lines(const std::filesystem::path& out, std::int64_t steps);

/// Throws bad_checkpoint where the weights of a checkpoint folder are of another shape than ours.
void require_shape(const model_weights& ours, const model_weights& theirs,
                   const std::filesystem::path& folder);

/// The checkpoints that a run's folder holds, for who looks for one that is gone: "step-000005 and
/// step-000010 are still there", or that there is none.
std::string checkpoints_left(const std::filesystem::path& out);

/// Does a folder hold something of a run that a new one would take the place of: a checkpoint,
/// `last` in whatever form, or a log?
bool holds_run(const std::filesystem::path& out);

/// The newest checkpoint in a run's folder that can be gone on from, by name; empty: none.
std::string newest_whole_checkpoint(const std::filesystem::path& out,
                                    const std::filesystem::path& but = {});

/// The step of a checkpoint folder of whatever name; none where it is not whole.
std::optional<std::int64_t> step_of_checkpoint(const std::filesystem::path& folder);

/// How checkpoints are called: "step-000500".
std::string checkpoint_name(std::int64_t step);

/// Weights of an older epoch in a checkpoint: "epoch-7.safetensors".
std::string epoch_file(std::int64_t epoch);

/// Copies the weights of a checkpoint folder into `weights`. Throws bad_checkpoint where they do
/// not fit.
void load_into(model_weights& weights, const std::filesystem::path& folder);

} // namespace banyan
