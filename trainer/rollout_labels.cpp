#include "trainer/rollout_labels.hpp"

#include "solver/request.hpp"
#include "solver/tree.hpp"

#include <charconv>
#include <limits>
#include <optional>
#include <string_view>
#include <system_error>

namespace banyan {

namespace {

constexpr const char* run_label = "banyan.run";
constexpr const char* asked_label = "banyan.asked";
constexpr const char* step_label = "banyan.step";
constexpr const char* group_label = "banyan.group";
constexpr const char* member_label = "banyan.member";
constexpr const char* attempt_label = "banyan.attempt";
static_assert(std::string_view(member_label).starts_with(reserved_labels));

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

std::map<std::string, std::string> rollout_labels(const rollout_key& key, const std::string& run,
                                                  const std::string& asked) {
  return {{run_label, run},
          {asked_label, asked},
          {step_label, std::to_string(key.step)},
          {group_label, std::to_string(key.group)},
          {member_label, std::to_string(key.member)},
          {attempt_label, std::to_string(key.attempt)}};
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

bool holds_trees_of_others(const tree_store& store) { return num_of_others(store, {}, 1) > 0; }

std::size_t num_unfinished_of_others(const tree_store& store) {
  return num_of_others(store, {tree_phase::queued, tree_phase::running, tree_phase::paused});
}

void forget_unfinished_rollouts(tree_store& store) { store.forget_unfinished(member_label); }

} // namespace banyan
