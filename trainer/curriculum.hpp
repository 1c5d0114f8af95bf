#pragma once

#include "solver/search.hpp"
#include "trainer/batch.hpp"
#include "trainer/drills.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace banyan {

/// What a supervised run learns from, and in which mixture. Progress runs from 0 (first step after
/// the drills) to 1 (end of the run).
struct curriculum_options {
  int num_numbers = 3;            ///< of the problems
  search_options search;          ///< of the demonstrations made on the fly
  std::int64_t drill_steps = 900; ///< arithmetic alone, first
  int drill_rows = 24;            ///< rows in a drill step
  double drill_share = 0.1;       ///< of later steps that are drills
  double pair_share = 0.4;        ///< share of drill rows that are whole two-number searches: which
                                  ///< operations are legal, and what they give
  int trees_low = 2, trees_high = 5; ///< demonstrations per step, from low to high with progress
  drill_options drills;
  std::uint64_t seed = 0;
};

/// The batch of every step, as a pure function of (options, step, progress, tokenizer): the data
/// position of a run is its step alone, so a resumed run sees what it would have seen.
class curriculum {
public:
  /// `given`: demonstrations from files; empty: made on the fly. `held_out`: never trained on.
  curriculum(curriculum_options, std::shared_ptr<const tokenizer>, problem_set held_out,
             std::vector<tree> given = {});

  bool is_drill(std::uint64_t step) const;
  training_batch batch(std::uint64_t step, double progress) const;

  /// Demonstration `index` of the stream.
  tree demonstration(std::uint64_t index) const;

  /// Tokens of the longest context that a thread of the first so many demonstrations has.
  std::int32_t longest_context(std::uint64_t demonstrations) const;

private:
  std::optional<problem> pair_drill(std::uint64_t index) const;
  std::vector<training_sequence> drill_rows(std::uint64_t step) const;
  std::vector<training_sequence> tree_rows(std::uint64_t step, double progress) const;

  curriculum_options options_;
  std::shared_ptr<const tokenizer> tokenizer_;
  problem_set held_out_;
  std::vector<tree> given_;
};

} // namespace banyan
