#include "trainer/rollout_plan.hpp"

#include "solver/tree.hpp"

#include <algorithm>
#include <cassert>
#include <stdexcept>
#include <utility>

namespace banyan {

namespace {

bool is_machines(errc failure) {
  return failure == errc::pool_lost || failure == errc::child_lost || failure == errc::deadline
         || failure == errc::pool_full || failure == errc::not_stored;
}

difficulty difficulty_of(std::span<const std::shared_ptr<const tree>> trees) {
  std::size_t known = 0, solved = 0;
  for (const auto& t : trees) {
    known += t != nullptr;
    solved += t && t->outcome.solved;
  }
  if (known == 0) return difficulty::unknown;
  if (3 * solved < known) return difficulty::hard;
  return 3 * solved < 2 * known ? difficulty::medium : difficulty::easy;
}

bool differ(std::span<const double> rewards) {
  const auto [low, high] = std::ranges::minmax(rewards);
  return high - low > 1e-9;
}

/// What of a tree the machine failed: its own failure, or that of the first such thread; none.
errc machines_failure(const tree& t) {
  if (is_machines(t.failure)) return t.failure;
  const auto found =
      std::ranges::find_if(t.threads, [](const auto& x) { return is_machines(x.failure); });
  return found == t.threads.end() ? errc::none : found->failure;
}

/// Whether somebody cancelled the tree, or a thread that its parent waited for: the model is not to
/// answer for what was taken from it. What a join does without is cancelled too, but not awaited.
bool cancelled_by_hand(const tree& t) {
  const auto without = t.wasted();
  const auto taken = [&](const thread_record& x) {
    if (x.phase != thread_phase::cancelled || !x.awaited) return false;
    const auto parent = std::ranges::find(t.threads, x.parent(), &thread_record::path);
    return parent == t.threads.end() || !without[parent - t.threads.begin()];
  };
  return t.phase == tree_phase::cancelled || std::ranges::any_of(t.threads, taken);
}

/// Why a tree does not count; none: it does.
errc reason_against(const tree& t) {
  const auto failure = machines_failure(t);
  return failure == errc::none && cancelled_by_hand(t) ? errc::cancelled : failure;
}

} // namespace

bool failed_by_machine(const tree& t) { return machines_failure(t) != errc::none; }

rollout_plan::rollout_plan(rollout_options options) : options_(std::move(options)) {
  if (options_.group < 2)
    throw std::invalid_argument("a group of 1 has no variance and teaches nothing");
  if (options_.prompts < 1 || options_.max_groups < 1)
    throw std::invalid_argument("a step needs at least one problem");
}

void rollout_plan::restore(const rollout_key& key, std::shared_ptr<const tree> t) {
  if (reason_against(*t) != errc::none) return;
  known_.insert({{key.step, key.group, key.member, 0}, {key, std::move(t)}});
}

void rollout_plan::restore(problem_places places) { places_ = std::move(places); }

void rollout_plan::open(std::int64_t step) {
  const auto [entry, fresh] = steps_.try_emplace(step);
  assert(fresh);
  for (std::uint32_t i = 0; i < options_.prompts; ++i) add_group(step, entry->second);
  feed_known(step);
}

/// What the place asked for before a restart; else a problem comes first that an earlier step
/// dropped.
rollout_source rollout_plan::next_source(const rollout_source& place) {
  if (const auto known = places_.open.extract(place)) return known.mapped();
  auto& waiting = places_.waiting;
  const auto first =
      std::ranges::find_if(waiting, [&](const auto& p) { return p.dropped_in < place.step; });
  if (first == waiting.end()) return place;
  const auto source = first->source;
  waiting.erase(first);
  return source;
}

void rollout_plan::add_group(std::int64_t step, step_state& s) {
  const auto index = static_cast<std::uint32_t>(s.groups.size());
  const auto source = next_source({step, index});
  const auto drops = places_.drops.extract(source);
  s.groups.push_back({source, drops ? drops.mapped() : 0,
                      std::vector<std::shared_ptr<const tree>>(options_.group),
                      std::vector<std::uint32_t>(options_.group), options_.group});
  ++s.open;
  ++s.counts.groups;
  for (std::uint32_t i = 0; i < options_.group; ++i) due_.insert({step, index, i, 0});
}

/// Trees from before a restart come back at once; what is made up for them comes behind, as when
/// they come from the machine.
void rollout_plan::feed_known(std::int64_t number) {
  auto& step = steps_.at(number);
  for (; step.fed < step.groups.size(); ++step.fed) {
    const auto group = static_cast<std::uint32_t>(step.fed);
    for (std::uint32_t i = 0; i < options_.group; ++i) {
      const rollout_key key{number, group, i, 0};
      auto known = take_known(key, source_of(key));
      if (known && due_.erase(key) > 0) settle(key, std::move(known), errc::none);
    }
  }
}

/// Nobody else asks for this place, so what does not fit is of no use to anybody.
std::shared_ptr<const tree> rollout_plan::take_known(const rollout_key& key,
                                                     const rollout_source& source) {
  std::shared_ptr<const tree> found;
  const auto [first, last] = known_.equal_range(key);
  for (auto i = first; i != last && !found; ++i)
    if (!options_.fits || options_.fits(i->second.asked_as, source, *i->second.value))
      found = i->second.value;
  known_.erase(first, last);
  return found;
}

rollout_key rollout_plan::take_due() { return due_.extract(due_.begin()).value(); }

rollout_source rollout_plan::source_of(const rollout_key& key) const {
  return steps_.at(key.step).groups[key.group].source;
}

void rollout_plan::started(const rollout_key& key, std::string id, double now_s) {
  running_[key] = {std::move(id), now_s};
}

rollout_plan::group_state* rollout_plan::find(const rollout_key& key) {
  const auto step = steps_.find(key.step);
  if (step == steps_.end() || key.group >= step->second.groups.size()) return nullptr;
  auto& group = step->second.groups[key.group];
  const bool awaited =
      !group.dropped && group.attempts[key.member] == key.attempt && !group.trees[key.member];
  return awaited ? &group : nullptr;
}

void rollout_plan::finish(const rollout_key& key, std::shared_ptr<const tree> t, errc lost) {
  settle(key, std::move(t), lost);
  if (steps_.contains(key.step)) feed_known(key.step);
}

void rollout_plan::settle(const rollout_key& key, std::shared_ptr<const tree> t, errc lost) {
  running_.erase(key);
  if (t) lost = reason_against(*t);
  auto* group = find(key);
  if (!group) return;
  if (lost != errc::none) return repeat(key, lost);
  group->trees[key.member] = std::move(t);
  if (--group->missing == 0) close(key.step, steps_.at(key.step), *group);
}

void rollout_plan::repeat(const rollout_key& key, errc why) {
  auto& step = steps_.at(key.step);
  auto& group = step.groups[key.group];
  ++step.counts.repeated;
  ++step.counts.repeated_by_failure[why];
  if (++group.attempts[key.member] < options_.max_attempts) {
    due_.insert({key.step, key.group, key.member, group.attempts[key.member]});
    return;
  }
  drop(key, step, group);
  make_up(key.step, step);
}

void rollout_plan::drop(const rollout_key& last, step_state& step, group_state& group) {
  const auto of_group = [&](const rollout_key& key) {
    return key.step == last.step && key.group == last.group;
  };
  std::erase_if(due_, of_group);
  std::erase_if(running_, [&](const auto& entry) {
    if (!of_group(entry.first)) return false;
    useless_.push_back(entry.second.id);
    return true;
  });
  group.dropped = true;
  --step.open;
  ++step.counts.dropped;
  const auto known = static_cast<std::size_t>(difficulty_of(group.trees));
  ++step.counts.by_difficulty[known];
  ++step.counts.dropped_by_difficulty[known];
  if (group.drops_before + 1 < most_drops) {
    places_.drops[group.source] = group.drops_before + 1;
    places_.waiting.push_back({group.source, last.step});
  } else {
    ++step.counts.given_up;
  }
}

void rollout_plan::close(std::int64_t number, step_state& step, group_state& group) {
  --step.open;
  const auto solved = std::ranges::count_if(group.trees, [](auto& t) { return t->outcome.solved; });
  step.counts.all_solved += solved == static_cast<std::ptrdiff_t>(options_.group);
  step.counts.none_solved += solved == 0;
  ++step.counts.by_difficulty[static_cast<std::size_t>(difficulty_of(group.trees))];
  for (const auto& t : group.trees) group.rewards.push_back(options_.reward(*t));
  const bool informative = differ(group.rewards);
  step.counts.informative += informative;
  group.trained_on = informative || !options_.dynamic_sampling;
  if (!group.trained_on) make_up(number, step);
}

void rollout_plan::make_up(std::int64_t number, step_state& step) {
  if (step.groups.size() < std::size_t{options_.max_groups} * options_.prompts)
    add_group(number, step);
}

void rollout_plan::expire(double now_s) {
  std::vector<rollout_key> late;
  for (const auto& [key, tree] : running_)
    if (now_s - tree.since_s > options_.deadline_s) late.push_back(key);
  for (const auto& key : late) {
    const auto tree = running_.extract(key);
    if (!tree) continue; // its group was dropped for another late one
    useless_.push_back(std::move(tree.mapped().id));
    finish(key, nullptr, errc::deadline);
  }
}

bool rollout_plan::complete(std::int64_t step) const {
  const auto found = steps_.find(step);
  return found != steps_.end() && found->second.open == 0;
}

/// Open steps begin anew after a restart: what they ask for is theirs, also where a group of theirs
/// was dropped, and waits for nobody else.
problem_places rollout_plan::places() const {
  auto now = places_;
  std::set<rollout_source> theirs;
  for (const auto& [number, step] : steps_)
    for (std::uint32_t i = 0; i < step.groups.size(); ++i)
      if (const auto& group = step.groups[i]; theirs.insert(group.source).second) {
        now.open[{number, i}] = group.source;
        now.drops[group.source] = group.drops_before;
      }
  std::erase_if(now.drops, [](const auto& entry) { return entry.second == 0; });
  std::erase_if(now.waiting, [&](const auto& p) { return theirs.contains(p.source); });
  return now;
}

/// Problems that a restart kept places for which the step turned out not to have.
void rollout_plan::give_back_places(std::int64_t step) {
  auto& open = places_.open;
  for (auto i = open.begin(); i != open.end() && i->first.step <= step; i = open.erase(i))
    if (i->second.step < i->first.step) places_.waiting.push_back({i->second});
}

rollout_batch rollout_plan::take(std::int64_t number) {
  auto step = std::move(steps_.extract(number).mapped());
  give_back_places(number);
  // What is still on its way belongs to dropped groups.
  std::erase_if(due_, [=](const auto& key) { return key.step == number; });
  std::erase_if(known_, [=](const auto& entry) { return entry.first.step <= number; });
  rollout_batch batch{.step = number, .counts = step.counts};
  batch.places = places();
  for (std::size_t i = 0; i < step.groups.size(); ++i) {
    auto& group = step.groups[i];
    if (group.dropped) continue;
    batch.examples.push_back(group.trees.front());
    for (const auto& t : group.trees) batch.figures.add(*t);
    for (const auto reward : group.rewards) batch.reward_sum += reward;
    if (group.trained_on)
      batch.groups.push_back({static_cast<std::uint32_t>(i), group.source, std::move(group.trees),
                              std::move(group.rewards)});
  }
  return batch;
}

} // namespace banyan
