#pragma once

#include "solver/countdown.hpp"
#include "trainer/statistics.hpp"

#include <filesystem>
#include <optional>
#include <unordered_map>
#include <vector>

namespace banyan {

/// How often each problem was solved in a run: what two runs are compared by.
class solved_shares {
public:
  void add(const problem&, bool solved);

  /// Reads `evaluate --results` (or `solve --json`) of another run. Throws `bad_usage`, naming the
  /// line, for what is neither.
  static solved_shares read(const std::filesystem::path&);

  /// A problem that is in one of the two only; nothing where they have the same.
  std::optional<problem> difference(const std::vector<problem>&) const;

  /// This run against another one over the same problems.
  paired_comparison against(const solved_shares&) const;

private:
  struct count {
    std::size_t samples = 0, solved = 0;
    double share() const { return double(solved) / double(samples); }
  };
  std::unordered_map<problem, count, problem_hash> problems_; ///< canonical
  std::size_t samples_ = 0;
};

} // namespace banyan
