#pragma once

#include "trainer/rl_progress.hpp"
#include "trainer/run_voice.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace banyan {

/// A trouble, and what would help.
struct advice {
  std::string trouble;
  std::optional<remedy> cure;
};

/// Why none of a step's groups could be rolled out.
advice why_none(const rollout_counts&);

/// Why all trees of a problem are worth the same, as far as a step's trees tell.
advice why_alike(const evaluation& trees, double reward_mean);

/// What a run has to say of its steps.
class rl_warnings {
public:
  explicit rl_warnings(run_voice);

  /// Looks at what the trees of a step were worth; `is_last`: the run ends with it.
  void look_at(const rl_progress&, bool is_last);

  /// One line about a step, without its number.
  void warn(const rl_progress&, const std::string& what) const;

  std::int64_t idle_in_a_row = 0; ///< steps without an informative group; a checkpoint keeps it

private:
  void look_for_idle(const rl_progress&, bool is_last);
  void look_for_late(const rl_progress&);

  run_voice voice_;
  bool told_late_ = false;
};

} // namespace banyan
