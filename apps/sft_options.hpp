#pragma once

#include "apps/train_options.hpp"
#include "trainer/sft.hpp"

#include <set>
#include <span>
#include <string>
#include <vector>

namespace banyan {

/// Everything about `banyan train sft`. Without a model it starts from random weights.
struct train_sft_options : train_options {
  sft_options sft;
  std::vector<std::string> traces;
  std::uint64_t seed = 0;
  std::set<std::string, std::less<>> asked; ///< options that were given for this start

  /// The recipe of the first run of models/baselines/countdown-3-sft, from which the shipped model
  /// comes, in float32.
  train_sft_options();
};

option_list declare(train_sft_options&);

/// See `resolved_config`.
void make_absolute(train_sft_options&);

/// Weights that are there have a shape of their own: takes it into the options, so that the config
/// tells the truth. Throws bad_usage where one of the options `asked` for says another one;
/// `folder`: theirs.
void take_shape(train_sft_options&, const model_config& of, const std::filesystem::path& folder);

/// Reads the command line, then the config: the one given, or, for `--resume`, the one that the run
/// left in its folder. Checks what no single option can know. False: the help was shown.
bool parse(option_list&, train_sft_options&, std::span<const std::string> words);

} // namespace banyan
