#include "apps/rollout_problems.hpp"

#include "actors/config.hpp"
#include "actors/tree_ids.hpp"
#include "solver/chance.hpp"
#include "solver/fnv.hpp"
#include "solver/problems.hpp"
#include "solver/records.hpp"
#include "solver/trace.hpp"
#include "solver/tree.hpp"
#include "trainer/rollout_labels.hpp"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <string>

namespace banyan {

namespace {

std::uint64_t place_of(const rollout_source& source) {
  return static_cast<std::uint64_t>(source.step) * most_groups_a_step + source.group;
}

/// Of all that decides about a tree.
std::string fingerprint(const solve_request& request) {
  char text[17];
  std::snprintf(text, sizeof text, "%016" PRIx64, fnv1a(encode_solve_request(request)));
  return text;
}

/// Was all of the tree sampled with the weights of these epochs?
bool sampled_between(std::uint32_t first, std::uint32_t last, const tree& t) {
  const auto is_between = [=](std::uint32_t epoch) { return first <= epoch && epoch <= last; };
  return is_between(t.weights_epoch) && std::ranges::all_of(t.threads, [&](const auto& thread) {
           return std::ranges::all_of(thread.segments, [&](const segment& s) {
             return std::ranges::all_of(s.epochs, is_between);
           });
         });
}

} // namespace

rollout_problems::rollout_problems(const train_rl_options& options, std::vector<problem> given,
                                   problem_set held_out)
    : options_(options), held_out_(std::move(held_out)) {
  if (given.empty()) {
    look_for_one();
    return;
  }
  for (auto& p : given) {
    if (held_out_.contains(canonical(p))) continue;
    if (!solve_exhaustively(p)) continue;
    given_.push_back(std::move(p));
  }
  if (given_.empty())
    throw bad_usage(options.problems.string(),
                    "no problem in it has a solution and is not held out",
                    "give other --problems, or leave the option out");
}

/// Throws bad_usage where nothing is left to draw.
void rollout_problems::look_for_one() const {
  try {
    problem_of({});
  } catch (const std::invalid_argument& why) {
    throw bad_usage("--numbers " + std::to_string(options_.num_numbers), why.what(),
                    "hold fewer problems out");
  }
}

problem rollout_problems::problem_of(const rollout_source& source) const {
  const auto seed = options_.decoding.sampling.seed;
  if (!given_.empty()) {
    const auto any = chance(seed, place_of(source)).next();
    return given_[any % given_.size()];
  }
  return draw_problem({.num_numbers = options_.num_numbers, .seed = seed}, place_of(source),
                      held_out_);
}

solve_request rollout_problems::request_for(const rollout_key& key, const rollout_source& source,
                                            const std::string& run) const {
  const auto seed = options_.decoding.sampling.seed;
  auto decoding = options_.decoding;
  // A group shares its prompt, so its trees can be compared.
  chance condition(seed + 1, place_of(source));
  const bool conditioned = condition.coin(options_.condition_share);
  if (const auto& asked = options_.children_between)
    decoding.children = static_cast<int>(condition.between(asked->first, asked->second));
  if (const auto& asked = options_.token_budget_between) {
    const auto [first, last] = token_budget_bins(*asked);
    decoding.token_budget = static_cast<int>(condition.between(first, last)) * token_budget_bin;
  }
  if (!conditioned) {
    decoding.children = -1;
    decoding.token_budget = 0;
  }
  auto request = decoding.request_for(problem_of(source));
  const auto place = place_of({key.step, key.group});
  request.sampling.seed =
      chance(chance(seed + 2, place).next(), key.member + (std::uint64_t{key.attempt} << 32))
          .next();
  request.labels = rollout_labels(key, run, fingerprint(request));
  return request;
}

solve_request rollout_problems::request_for(const rollout_key& key, const rollout_source& source,
                                            const std::string& run, tree_ids& ids) const {
  auto request = request_for(key, source, run);
  request.id = ids.next(unix_ms_now());
  return request;
}

bool rollout_problems::answers(const tree& t, const rollout_key& key, const rollout_source& source,
                               const std::string& run) const {
  return t.labels == request_for(key, source, run).labels;
}

bool rollout_problems::fits(const tree& t, const rollout_key& key, const rollout_source& source,
                            const weights_at_hand& now) const {
  const auto first = sampling_epoch(key.step, options_.rl.staleness, now.oldest);
  const auto last = options_.policy == in_flight::finish ? first : now.newest;
  return sampled_between(first, last, t) && answers(t, key, source, now.makers.of(last));
}

} // namespace banyan
