#pragma once

#include "apps/common_options.hpp"
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

  train_options(); ///< the recipe of the shipped model
};

option_list declare(train_options&);

/// After the command line, the config of a run: the one given, or, for `--resume`, the one that the
/// run left in its folder. `minutes` is the option of that name, beside which `steps` is one.
void read_run_config(option_list&, const common_options&, const std::filesystem::path& out,
                     bool resume, double& minutes);

/// Of every kind of training.
void declare_optimizer(option_list&, schedule_options&, optimizer_options&);

/// Reads the command line, then the config: the one given, or, for `--resume`, the one that the run
/// left in its folder. Checks what no single option can know. False: the help was shown.
bool parse(option_list&, train_options&, std::span<const std::string> words);

} // namespace banyan
