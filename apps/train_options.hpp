#pragma once

#include "apps/common_options.hpp"
#include "apps/run_changes.hpp"
#include "trainer/sft.hpp"

#include <string>
#include <vector>

namespace banyan {

/// Everything about `banyan train sft`.
struct train_options {
  common_options common;
  sft_options sft;
  std::filesystem::path model; ///< weights to start from; empty: random ones
  std::string evaluate_problems;
  std::vector<std::string> exclude, traces;
  int threads = 0; ///< OS threads of LibTorch; 0: all cores
  std::uint64_t seed = 0;
  bool resume = false;
  std::vector<config_change> changed;       ///< of a resumed run; see `changes`
  std::set<std::string, std::less<>> asked; ///< options that were given for this start

  /// The recipe of the first run of models/baselines/countdown-3-sft, from which the shipped model
  /// comes, in float32.
  train_options();
};

option_list declare(train_options&);

/// After the command line, the config of a run: the one given, or, for `--resume`, the one that the
/// run left in its folder. `minutes` is the option of that name, beside which `steps` is one.
/// Returns what a resumed run was begun with. Throws bad_environment where there is no run to
/// resume, or its config is missing or cut off.
resumed_config read_run_config(option_list&, const common_options&,
                               const std::filesystem::path& out, bool resume, double& minutes);

/// Weights that are there have a shape of their own: takes it into the options, so that the config
/// tells the truth. Throws bad_usage where one of the options `asked` for says another one;
/// `folder`: theirs.
void take_shape(train_options&, const model_config& of, const std::filesystem::path& folder);

/// Leaves the resolved options of a run in its folder, for `--resume`.
void keep_run_config(const std::filesystem::path& out, const std::string& config);

/// Throws bad_usage where a file that a run reads again when it is resumed is `-`.
void refuse_standard_input(const std::string& option, const std::filesystem::path& given);

/// Paths that stand in a config mean the same from wherever it is read.
void make_absolute(std::filesystem::path&);
void make_absolute(std::string& path);
void make_absolute(std::vector<std::string>& paths);
void make_absolute(train_options&);

/// The first line of a run's config, which says what kind of a run it is.
std::string head_of_config(const option_list&);

/// The options that the list is bound to as a config file.
template <class Options>
std::string resolved_config(const option_list& list, Options& o) {
  const auto as_given = o;
  make_absolute(o);
  auto config = head_of_config(list) + list.config();
  o = as_given;
  return config;
}

/// Of every kind of training.
void declare_optimizer(option_list&, schedule_options&, optimizer_options&);

/// Reads the command line, then the config: the one given, or, for `--resume`, the one that the run
/// left in its folder. Checks what no single option can know. False: the help was shown.
bool parse(option_list&, train_options&, std::span<const std::string> words);

} // namespace banyan
