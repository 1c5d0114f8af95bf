#pragma once

#include "solver/countdown.hpp"
#include "solver/trace.hpp"
#include "solver/tree.hpp"

#include <cstdint>
#include <string>

namespace banyan {

enum class search_kind : std::uint8_t {
  sos_bfs,  ///< Stream of Search, breadth first (arXiv 2404.03683)
  sos_dfs,  ///< Stream of Search, depth first
  sos_plus, ///< the serial hybrid of APR's baseline
  apr,      ///< parallel: the root may spawn one child per kept node
};

/// Score of a state, lower is better.
enum class heuristic : std::uint8_t {
  mult, ///< sum over the numbers of the distance to the nearest factor of the target
        ///< among 2..target
  sum,  ///< mean distance to the target
};

/// In which order the kept states of an expansion are printed, and the children spawned.
enum class node_order : std::uint8_t {
  shuffled,   ///< printed shuffled, spawned in score order: the published procedure
  generation, ///< printed and spawned in the order in which they were generated: easier to learn
};

/// All knobs of the symbolic searches. A range is sampled uniformly per problem, both ends
/// included.
struct search_options {
  search_kind kind = search_kind::apr;
  banyan::heuristic heuristic = banyan::heuristic::mult;
  int beam_low = 1,
      beam_high = 10;   ///< branching cap of the root (of every expansion for sos kinds)
  int sub_beam_low = 0; ///< children: 0 means "the sampled root beam" (published)
  int sub_beam_high = 15;
  double spawn_probability =
      0.9; ///< coin of the root (apr) or of the nested search (sos_plus: 0.5)
  node_order order = node_order::shuffled;
  std::int64_t max_result = 0; ///< operations with a larger result are not explored; 0: no limit
  bool condition_children =
      false;                     ///< put "Sub Call Budget: N" (children obtained) before the prompt
  bool condition_tokens = false; ///< sos kinds: "Token Budget: N" in bins of 512 characters / 2
  double condition_share = 1;    ///< how often the condition asked for is really put there
  int condition_up_to = 0; ///< a root with less states than its beam, which spawned them all, is
                           ///< conditioned on any number from these to this one
  /// apr: how often a spawn round is joined as under the policy `first_success`: only the goal with
  /// the least text is reported, what else runs then is cancelled.
  double first_success_share = 0;
  std::uint64_t seed = 0;
};

/// Runs one symbolic search and writes it down as a finished tree: segments with text, no token
/// ids. `index` numbers the problem, so that tree `i` is a pure function of (options, problem, i).
/// A search without success is a demonstration too; its outcome says so.
/// Throws std::invalid_argument for a `malformed` problem.
tree demonstrate(const problem&, const search_options&, std::uint64_t index);

/// What is kept beside a demonstration in the published JSON layout.
struct demonstration_facts {
  int beam = 0, sub_beam = 0; ///< as sampled for tree `index`
};
demonstration_facts facts_of(const search_options&, std::uint64_t index);

/// Bytes of all texts of the tree's threads (each stop's text counted once).
std::size_t text_bytes(const tree&);

} // namespace banyan
