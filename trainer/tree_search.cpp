#include "trainer/tree_search.hpp"

#include "trainer/database.hpp"

#include <algorithm>
#include <deque>
#include <limits>
#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace banyan {

namespace {

constexpr auto lowest = std::numeric_limits<std::int64_t>::min();
constexpr auto highest = std::numeric_limits<std::int64_t>::max();

/// The places of the trees that an index has under one key.
class index_walk {
public:
  /// `rows`: "… FROM … WHERE …" with a `?` for each part of the key.
  struct source {
    const char *seq, *rows;
  };

  index_walk(database& file, const source& from, std::vector<sql_value> key, bool down)
      : down_(down), key_(std::move(key)), rows_(file, sql_of(from)) {}

  /// The first place at this one or behind it. Whoever walks never goes back.
  std::optional<place> at_or_behind(const place& from) {
    while (!ahead_.empty() && is_before(ahead_.front(), from)) ahead_.pop_front();
    if (ahead_.empty() && !over_) fetch(from);
    if (ahead_.empty()) return {};
    return ahead_.front();
  }

  bool is_before(const place& a, const place& b) const { return down_ ? a > b : a < b; }

private:
  static constexpr std::int64_t at_once = 16;

  std::string sql_of(const source& from) const {
    const std::string seq(from.seq), way = down_ ? " DESC" : "";
    return "SELECT created_ms, " + seq + " FROM " + from.rows + " AND (created_ms, " + seq + ") "
           + (down_ ? "<=" : ">=") + " (?, ?) ORDER BY created_ms" + way + ", " + seq + way
           + " LIMIT ?";
  }

  void fetch(const place& from) {
    auto values = key_;
    for (const auto number : {from.created_ms, from.seq, at_once}) values.emplace_back(number);
    rows_.each(values, [this](const auto& row) {
      ahead_.push_back({row.number(0), row.number(1)});
    });
    over_ = ahead_.size() < static_cast<std::size_t>(at_once);
  }

  bool down_;
  std::vector<sql_value> key_;
  statement rows_;
  std::deque<place> ahead_; ///< fetched and not passed yet
  bool over_ = false;       ///< nothing is behind them
};

/// One condition: the places of any of its keys.
class condition {
public:
  void add(index_walk keyed) { walks_.push_back(std::move(keyed)); }

  std::optional<place> at_or_behind(const place& from) {
    std::optional<place> nearest;
    for (auto& walk : walks_)
      if (const auto at = walk.at_or_behind(from))
        if (!nearest || walk.is_before(*at, *nearest)) nearest = at;
    return nearest;
  }

private:
  std::vector<index_walk> walks_;
};

/// Goes through the indexes of all conditions at once. They are in one order, so each leaps to
/// where another one is, and the rarest sets the pace.
class search {
public:
  search(database& file, const tree_filter& filter, direction order)
      : filter_(filter), down_(order == direction::newest_first) {
    for (const auto& [name, value] : filter.labels)
      require(file, {"tree", "labels WHERE name=? AND value=?"}, {{name, value}});
    if (filter.solved)
      require(file, {"seq", "trees INDEXED BY trees_by_solved WHERE solved=?"},
              {{std::int64_t{*filter.solved}}});
    if (!filter.task.empty())
      require(file, {"seq", "trees INDEXED BY trees_by_task WHERE task=?"}, {{filter.task}});
    require_states(file);
    if (conditions_.empty())
      require(file, {"seq", "trees INDEXED BY trees_by_created WHERE true"}, {{}});
  }

  std::vector<place> run(std::optional<place> behind, std::size_t limit) {
    std::vector<place> found;
    auto from = begin(behind);
    while (found.size() < limit) {
      const auto at = first_common(from);
      if (!at || is_beyond(*at)) break;
      found.push_back(*at);
      from = next_to(*at);
    }
    return found;
  }

private:
  void require_states(database& file) {
    std::set<std::string_view> states;
    for (const auto phase : filter_.states) states.insert(to_string(phase));
    std::vector<std::vector<sql_value>> keys;
    for (const auto& state : states) keys.push_back({state});
    if (!keys.empty())
      require(file, {"seq", "trees INDEXED BY trees_by_state WHERE state=?"}, std::move(keys));
  }

  void require(database& file, const index_walk::source& from,
               std::vector<std::vector<sql_value>> any_of) {
    auto& added = conditions_.emplace_back();
    for (auto& key : any_of) added.add({file, from, std::move(key), down_});
  }

  place next_to(const place& at) const { return {at.created_ms, at.seq + (down_ ? -1 : 1)}; }

  place begin(const std::optional<place>& behind) const {
    const auto edge = down_ ? newest() : place{first_ms(), lowest};
    if (!behind) return edge;
    return down_ ? std::min(edge, next_to(*behind)) : std::max(edge, next_to(*behind));
  }

  place newest() const {
    const auto before_ms = filter_.created_before_ms;
    return before_ms ? place{*before_ms, lowest} : place{highest, highest};
  }
  std::int64_t first_ms() const {
    return filter_.created_from_ms == 0 ? lowest : filter_.created_from_ms;
  }

  /// Of the time that the filter lets through.
  bool is_beyond(const place& at) const {
    return down_ ? filter_.created_from_ms != 0 && at.created_ms < filter_.created_from_ms
                 : filter_.created_before_ms && at.created_ms >= *filter_.created_before_ms;
  }

  std::optional<place> first_common(place at) {
    for (std::size_t i = 0, agreed = 0; agreed < conditions_.size();
         i = (i + 1) % conditions_.size()) {
      const auto found = conditions_[i].at_or_behind(at);
      if (!found) return {};
      agreed = *found == at ? agreed + 1 : 1;
      at = *found;
    }
    return at;
  }

  const tree_filter& filter_;
  bool down_;
  std::vector<condition> conditions_;
};

} // namespace

std::vector<place> find_places(database& file, const tree_filter& filter,
                               std::optional<place> behind, std::size_t limit, direction order) {
  return search(file, filter, order).run(behind, limit);
}

} // namespace banyan
