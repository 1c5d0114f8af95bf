#pragma once

#include "actors/messages.hpp"
#include "apps/common_options.hpp"
#include "apps/join_text.hpp"

#include <string>
#include <vector>

namespace banyan {

/// How trees are decoded, and where: what `solve` and `evaluate` have in common.
struct decoding_options {
  std::filesystem::path model;      ///< empty: the best shipped one
  std::vector<std::string> devices; ///< none: the CPU
  dtype precision = dtype::float32;
  sampling_options sampling;
  join_policy join;
  banyan::budget budget;
  int children = -1;    ///< conditioning; -1: none
  int token_budget = 0; ///< conditioning; 0: none
  std::size_t concurrency = 64;
  int threads = 0; ///< OS threads of LibTorch; 0: one per core

  solve_request request_for(const problem&) const;
};

/// Throws bad_usage for conditions that no demonstration has side by side: the model would read a
/// prompt as it never saw one, and obey neither.
void check(const decoding_options&);

void declare(option_list&, decoding_options&);
/// Without where: sampling, conditioning, join and budget alone. `temperature`: the help of that
/// option.
void declare_decoding(option_list&, decoding_options&,
                      const std::string& temperature = "0: greedy");

} // namespace banyan
