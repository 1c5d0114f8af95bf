#include "apps/rollout_problems.hpp"

#include "actors/config.hpp"
#include "actors/tree_ids.hpp"
#include "solver/chance.hpp"
#include "solver/fnv.hpp"
#include "solver/problems.hpp"
#include "solver/records.hpp"
#include "solver/trace.hpp"

#include <algorithm>
#include <charconv>
#include <cinttypes>
#include <cstdio>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace banyan {

namespace {

// What a rollout's labels say; nobody else's tree can have them.
constexpr const char* run_label = "banyan.run";
constexpr const char* asked_label = "banyan.asked";
constexpr const char* step_label = "banyan.step";
constexpr const char* group_label = "banyan.group";
constexpr const char* member_label = "banyan.member";
constexpr const char* attempt_label = "banyan.attempt";
static_assert(std::string_view(member_label).starts_with(reserved_labels));

std::uint64_t place_of(const rollout_source& source) {
  return static_cast<std::uint64_t>(source.step) * most_groups_a_step + source.group;
}

/// Of all that decides about a tree.
std::string fingerprint(const solve_request& request) {
  char text[17];
  std::snprintf(text, sizeof text, "%016" PRIx64, fnv1a(encode_solve_request(request)));
  return text;
}

template <class Number>
bool read(const std::map<std::string, std::string>& labels, const char* name, Number& to) {
  const auto found = labels.find(name);
  if (found == labels.end()) return false;
  const auto& text = found->second;
  return std::from_chars(text.data(), text.data() + text.size(), to).ec == std::errc{};
}

std::optional<rollout_key> key_of(const tree& t) {
  rollout_key key;
  if (read(t.labels, step_label, key.step) && read(t.labels, group_label, key.group)
      && read(t.labels, member_label, key.member) && read(t.labels, attempt_label, key.attempt))
    return key;
  return {};
}

/// Trees in these phases, or in any, that are no rollouts; counted no further than `most`.
std::size_t num_of_others(const tree_store& store, std::vector<tree_phase> phases,
                          std::size_t most = std::numeric_limits<std::size_t>::max()) {
  tree_filter wanted;
  wanted.states = std::move(phases);
  wanted.limit = std::numeric_limits<std::size_t>::max();
  std::size_t found = 0;
  const auto count = [&found, most](tree&& t) {
    found += !t.labels.contains(member_label);
    return found < most;
  };
  store.for_each(wanted, count, [](const damaged_tree&) {});
  return found;
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
  request.labels = {{run_label, run},
                    {asked_label, fingerprint(request)},
                    {step_label, std::to_string(key.step)},
                    {group_label, std::to_string(key.group)},
                    {member_label, std::to_string(key.member)},
                    {attempt_label, std::to_string(key.attempt)}};
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

bool holds_trees_of_others(const tree_store& store) { return num_of_others(store, {}, 1) > 0; }

std::size_t num_unfinished_of_others(const tree_store& store) {
  return num_of_others(store, {tree_phase::queued, tree_phase::running, tree_phase::paused});
}

void forget_unfinished_rollouts(tree_store& store) { store.forget_unfinished(member_label); }

bool sampled_between(std::uint32_t first, std::uint32_t last, const tree& t) {
  const auto is_between = [=](std::uint32_t epoch) { return first <= epoch && epoch <= last; };
  return is_between(t.weights_epoch) && std::ranges::all_of(t.threads, [&](const auto& thread) {
           return std::ranges::all_of(thread.segments, [&](const segment& s) {
             return std::ranges::all_of(s.epochs, is_between);
           });
         });
}

std::vector<std::pair<rollout_key, std::shared_ptr<const tree>>>
known_rollouts(const tree_store& store, std::int64_t first, std::int64_t last,
               const on_damage& skip) {
  std::vector<std::pair<rollout_key, std::shared_ptr<const tree>>> known;
  for (auto step = first; step <= last; ++step) {
    tree_filter filter;
    filter.states = {tree_phase::done, tree_phase::failed};
    filter.labels = {{step_label, std::to_string(step)}};
    filter.limit = std::numeric_limits<std::size_t>::max();
    const auto take = [&](tree&& t) {
      if (const auto key = key_of(t))
        known.emplace_back(*key, std::make_shared<const tree>(std::move(t)));
      return true;
    };
    store.for_each(filter, take, skip);
  }
  return known;
}

} // namespace banyan
