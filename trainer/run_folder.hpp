#pragma once

#include "trainer/run_lock.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace banyan {

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

/// The checkpoints that a run's folder holds, for who looks for one that is gone: "step-000005 and
/// step-000010 are still there", or that there is none.
std::string checkpoints_left(const std::filesystem::path& out);

/// Does a folder hold something of a run that a new one would take the place of: a checkpoint,
/// `last` in whatever form, or a log?
bool holds_run(const std::filesystem::path& out);

/// The newest checkpoint in a run's folder that can be gone on from, by name; empty: none.
std::string newest_whole_checkpoint(const std::filesystem::path& out,
                                    const std::filesystem::path& but = {});

/// How checkpoints are called: "step-000500".
std::string checkpoint_name(std::int64_t step);

} // namespace banyan
