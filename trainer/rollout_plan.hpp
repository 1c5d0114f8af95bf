#pragma once

#include "solver/errc.hpp"
#include "trainer/evaluation.hpp"

#include <algorithm>
#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace banyan {

struct tree;

/// One tree to be rolled out.
struct rollout_key {
  std::int64_t step = 0;
  std::uint32_t group = 0, member = 0;
  std::uint32_t attempt = 0; ///< counts trees that the machine failed
  auto operator<=>(const rollout_key&) const = default;
};

/// Where a group's problem comes from: its own place, or that of a group that was dropped before.
struct rollout_source {
  std::int64_t step = 0;
  std::uint32_t group = 0;
  auto operator<=>(const rollout_source&) const = default;
};

/// A problem whose group was dropped; it comes back in a later step.
struct returning_problem {
  rollout_source source;
  std::int64_t dropped_in = -1; ///< the step; -1: before a restart, so that any step is later
};

/// Where problems are when a step was taken, for a run that goes on after it.
struct problem_places {
  std::vector<returning_problem> waiting;
  /// What the groups of steps that are open already ask for.
  std::map<rollout_source, rollout_source> open;
  /// How often the groups of those that are still about were dropped.
  std::map<rollout_source, std::uint32_t> drops;
};

/// Groups of a problem that are dropped, before it is given up.
inline constexpr std::uint32_t most_drops = 3;

/// Places for the groups of a step.
inline constexpr std::uint64_t most_groups_a_step = 1 << 16;

struct rollout_options {
  std::uint32_t prompts = 32;     ///< groups that a step is trained on
  std::uint32_t group = 8;        ///< trees of one problem, at least 2
  bool dynamic_sampling = true;   ///< groups whose rewards are all equal are made up for (DAPO)
  std::uint32_t max_groups = 8;   ///< times `prompts`: groups of a step at most
  std::uint32_t max_attempts = 3; ///< for a tree that the machine failed or that came too late
  double deadline_s = 120;        ///< for a tree, from its start
  std::function<double(const tree&)> reward;
  /// Is a tree from before a restart what would be asked for in this place now? Null: always.
  std::function<bool(const rollout_key&, const rollout_source&, const tree&)> fits;
};

/// Step t is sampled with the weights of this epoch; `oldest`: the first that there still is.
constexpr std::uint32_t sampling_epoch(std::int64_t step, std::int64_t staleness,
                                       std::uint32_t oldest = 0) {
  return static_cast<std::uint32_t>(std::max<std::int64_t>(oldest, step - staleness));
}

/// The trees of one problem, with their rewards.
struct rollout_group {
  std::uint32_t index = 0;
  rollout_source source;
  std::vector<std::shared_ptr<const tree>> trees; ///< [group]
  std::vector<double> rewards;                    ///< [group]
};

/// How hard a problem was for those trees of a group that were there when it was dropped.
enum class difficulty : std::uint8_t { hard, medium, easy, unknown }; // solved: <1/3, <2/3, more
inline constexpr std::size_t num_difficulties = 4;

/// What became of the rollouts of a step.
struct rollout_counts {
  std::uint64_t groups = 0, informative = 0, all_solved = 0, none_solved = 0;
  std::uint64_t dropped = 0;  ///< groups
  std::uint64_t given_up = 0; ///< of these: problems that do not come back
  std::uint64_t repeated = 0; ///< trees rolled out again: the machine failed, or they were late
  std::array<std::uint64_t, num_difficulties> by_difficulty{}, dropped_by_difficulty{}; ///< groups
  std::map<errc, std::uint64_t> repeated_by_failure; ///< `deadline`: they were late
};

/// The trees of a step, complete.
struct rollout_batch {
  std::int64_t step = 0;
  std::vector<rollout_group> groups; ///< to be trained on, in the order of their problems
  std::vector<std::shared_ptr<const tree>> examples; ///< one of each group, informative or not
  evaluation figures = evaluation(); ///< over all trees of the step, those not trained on included
  double reward_sum = 0;             ///< the same
  rollout_counts counts;
  problem_places places;
};

/// A failure that says something of the machine, not of the model: `pool_lost`, `pool_full`,
/// `child_lost`, `deadline` or `not_stored`, of the tree or of any of its threads.
bool failed_by_machine(const tree&);

/// Decides which trees are rolled out for which step. A plain core: time and trees come in, keys go
/// out.
///
/// A step begins with `prompts` groups. Each that turns out to teach nothing (all rewards equal),
/// or is dropped, is made up for by one more; so a step's groups are a pure function of what the
/// trees are, whatever the order in which they end. Trees that the machine failed, and trees that
/// are late, are replaced by another attempt; when a tree has used up its attempts its group is
/// dropped, and its problem comes back in a later step, so that hard problems, which take longest,
/// are not starved. What was dropped `most_drops` times is given up: it cannot hold up every step.
class rollout_plan {
public:
  explicit rollout_plan(rollout_options);

  /// What may be known of a step from before a restart; before it is opened. A tree is taken where
  /// it `fits` what the place turns out to ask for.
  void restore(const rollout_key&, std::shared_ptr<const tree>);
  void restore(problem_places);

  /// Begins a step; steps are opened in their order.
  void open(std::int64_t step);

  /// The next tree to start, if one is due; those of older steps first.
  bool due() const { return !due_.empty(); }
  std::size_t num_due() const { return due_.size(); }
  rollout_key take_due();

  rollout_source source_of(const rollout_key&) const;

  /// `id`: by which the caller can cancel it.
  void started(const rollout_key&, std::string id, double now_s);
  std::size_t num_running() const { return running_.size(); }

  /// A tree came back; null: it was lost, for this reason. Unknown keys (late ones) are ignored.
  void finish(const rollout_key&, std::shared_ptr<const tree>, errc lost = errc::pool_lost);

  /// Trees whose time is over are replaced.
  void expire(double now_s);

  /// Ids of trees that nobody waits for since the last time, late ones and those of dropped groups;
  /// the caller cancels them.
  std::vector<std::string> take_useless() { return std::exchange(useless_, {}); }

  bool complete(std::int64_t step) const;
  /// The complete step, which is forgotten.
  rollout_batch take(std::int64_t step);

private:
  struct group_state {
    rollout_source source;
    std::uint32_t drops_before = 0; ///< of its problem
    std::vector<std::shared_ptr<const tree>> trees;
    std::vector<std::uint32_t> attempts;
    std::size_t missing = 0;
    std::vector<double> rewards; ///< once none is missing
    bool dropped = false, trained_on = false;
  };
  struct step_state {
    std::vector<group_state> groups;
    std::size_t fed = 0; ///< groups that have what is known of them from before a restart
    std::size_t open = 0;
    rollout_counts counts;
  };

  group_state* find(const rollout_key&);
  problem_places places() const;
  void give_back_places(std::int64_t step);
  rollout_source next_source(const rollout_source& place);
  void add_group(std::int64_t step, step_state&);
  void feed_known(std::int64_t step);
  std::shared_ptr<const tree> take_known(const rollout_key&, const rollout_source&);
  void settle(const rollout_key&, std::shared_ptr<const tree>, errc lost);
  void repeat(const rollout_key&, errc why);
  void drop(const rollout_key& last, step_state&, group_state&);
  void close(std::int64_t step, step_state&, group_state&);
  void make_up(std::int64_t step, step_state&);

  rollout_options options_;
  std::map<std::int64_t, step_state> steps_;
  struct running_tree {
    std::string id;
    double since_s = 0;
  };
  std::set<rollout_key> due_; ///< older steps first
  std::map<rollout_key, running_tree> running_;
  std::vector<std::string> useless_;
  struct known_tree {
    rollout_key asked_as; ///< with its attempt
    std::shared_ptr<const tree> value;
  };
  std::multimap<rollout_key, known_tree> known_; ///< attempts are 0
  problem_places places_; ///< `open`: of steps that were open before a restart
};

} // namespace banyan
