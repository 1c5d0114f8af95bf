#pragma once

#include "trainer/rl_progress.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace banyan {

/// What a run has to say of its steps: lines for its log, and beside a step's figures.
class rl_warnings {
public:
  /// `log` may be null.
  explicit rl_warnings(std::function<void(std::string_view)> log);

  /// Looks at what the trees of a step were worth; `is_last`: the run ends with it.
  void look_at(rl_progress&, bool is_last);

  /// One line about a step, without its number.
  void warn(rl_progress&, const std::string& what) const;

  std::int64_t idle_in_a_row = 0; ///< steps without an informative group; a checkpoint keeps it

private:
  void look_for_idle(rl_progress&, bool is_last);
  void look_for_late(rl_progress&);

  std::function<void(std::string_view)> log_;
  bool told_late_ = false;
};

} // namespace banyan
