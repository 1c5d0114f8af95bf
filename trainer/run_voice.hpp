#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace banyan {

/// What would help a run that is in trouble. By what words one asks for it, an option or a field,
/// only those know who run it.
enum class remedy : std::uint8_t {
  more_time,             ///< for a tree, or fewer trees at a time
  cheaper_trees,         ///< smaller costs in the reward, or more room within a prompt's budget
  more_context,          ///< tokens of a thread
  larger_budget,         ///< of a tree
  harder_problems,       ///< or larger groups, or more chance in sampling
  easier_problems,       ///< likewise
  smaller_batches,       ///< of a supervised step
  smaller_micro_batches, ///< or activations that are computed twice
  shorter_threads,       ///< likewise
  less_memory,           ///< for training, decoding or both
  gap_of_fewer_trees,    ///< none, or smaller micro-batches
  lower_rate,
  first_weights, ///< again in their place, or another run
};

/// What a run has to say while it goes on.
struct run_voice {
  std::function<void(std::string_view)> warn; ///< takes a line; null: nobody listens
  std::function<std::string(remedy)> words;   ///< "give a larger --deadline"; null: none

  void say(std::string_view line) const {
    if (warn) warn(line);
  }

  /// "most trees outgrew their context; give a larger --context"
  std::string with(const std::string& trouble, remedy cure) const {
    return words ? trouble + "; " + words(cure) : trouble;
  }
};

} // namespace banyan
