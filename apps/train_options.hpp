#pragma once

#include "apps/common_options.hpp"
#include "apps/run_changes.hpp"
#include "trainer/optimizer.hpp"
#include "trainer/run_course.hpp"
#include "trainer/schedule.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace banyan {

/// What a command that trains is told, whatever it trains by, beside the run's own `run_options`.
struct train_options {
  common_options common;
  std::filesystem::path model; ///< weights to start from; empty: what is usual there
  std::string evaluate_problems;
  std::vector<std::string> exclude;
  int threads = 0; ///< OS threads of training; 0: what is usual there
  bool resume = false;
  std::vector<config_change> changed; ///< of a resumed run; see `changes`
};

/// The group of options of the run itself; `model` ends the help of that option.
void declare_run(option_list&, train_options&, run_options&, const std::string& model);

/// Problems that are not learnt from.
void declare_held_out(option_list&, train_options&, run_options&);

void declare_optimizer(option_list&, schedule_options&, optimizer_options&);

/// What no single option can know. Throws bad_usage.
void check(const train_options&, const run_options&);

/// Throws bad_usage where a file that a run reads again when it is resumed is none: `-`, a pipe.
void refuse_stream(const std::string& option, const std::filesystem::path& given);

/// Paths that stand in a config mean the same from wherever it is read.
void make_absolute(std::filesystem::path&);
void make_absolute(std::string& path);
void make_absolute(std::vector<std::string>& paths);
void make_absolute(train_options&, run_options&);

} // namespace banyan
