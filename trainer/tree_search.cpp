#include "trainer/tree_search.hpp"

#include "trainer/database.hpp"

#include <algorithm>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace banyan {

namespace {

/// A SELECT of places, of trees in one state or in any. SQLite takes a column with a plus in front
/// for none of an index, so that only the most selective condition chooses one.
class search {
public:
  search(const tree_filter& filter, const std::string_view* state, std::optional<place> behind,
         direction order)
      : by_label_(!filter.labels.empty()) {
    sql_ = "SELECT " + created() + ", " + seq() + " FROM "
           + (by_label_ ? "labels l CROSS JOIN trees t ON t.seq=l.tree" : "trees t")
           + " WHERE true";
    for (const auto& [name, value] : filter.labels) require_label(name, value);
    if (state) require("t.state=?", *state);
    if (filter.solved) require("t.solved=?", std::int64_t{*filter.solved});
    if (!filter.task.empty()) require("t.task=?", std::string_view(filter.task));
    if (filter.created_from_ms != 0) add(created() + ">=?", filter.created_from_ms);
    if (filter.created_before_ms) add(created() + "<?", *filter.created_before_ms);
    sort(behind, order == direction::newest_first);
  }

  void run(database& file, std::size_t limit, std::vector<place>& found) {
    values_.emplace_back(static_cast<std::int64_t>(std::min<std::size_t>(limit, INT64_MAX)));
    statement(file, sql_).each(values_, [&](const auto& row) {
      found.push_back({row.number(0), row.number(1)});
    });
  }

private:
  std::string created() const { return by_label_ ? "l.created_ms" : "t.created_ms"; }
  std::string seq() const { return by_label_ ? "l.tree" : "t.seq"; }

  template <class... Values>
  void add(const std::string& condition, Values... values) {
    sql_ += " AND " + condition;
    (values_.emplace_back(values), ...);
  }

  void require(const char* condition, sql_value value) {
    add((std::exchange(indexed_, true) ? "+" : "") + std::string(condition), value);
  }

  /// The first one leads the search.
  void require_label(std::string_view name, std::string_view value) {
    if (!std::exchange(indexed_, true)) return add("l.name=? AND l.value=?", name, value);
    add("EXISTS(SELECT 1 FROM labels m WHERE m.name=? AND m.value=? AND m.created_ms=l.created_ms"
        " AND m.tree=l.tree)",
        name, value);
  }

  void sort(std::optional<place> behind, bool down) {
    const auto place = "(" + created() + "," + seq() + ")";
    if (behind) add(place + (down ? "<" : ">") + "(?,?)", behind->created_ms, behind->seq);
    const char* way = down ? " DESC" : "";
    sql_ += " ORDER BY " + created() + way + ", " + seq() + way + " LIMIT ?";
  }

  bool by_label_;
  bool indexed_ = false;
  std::string sql_;
  std::vector<sql_value> values_;
};

} // namespace

std::vector<place> find_places(database& file, const tree_filter& filter,
                               std::optional<place> behind, std::size_t limit, direction order) {
  std::vector<place> found;
  std::set<std::string_view> states;
  for (const auto phase : filter.states) states.insert(to_string(phase));
  for (const auto& state : states) search(filter, &state, behind, order).run(file, limit, found);
  if (states.empty()) search(filter, nullptr, behind, order).run(file, limit, found);
  // Each state came in order, for itself.
  std::ranges::sort(found);
  if (order == direction::newest_first) std::ranges::reverse(found);
  found.resize(std::min(found.size(), limit));
  return found;
}

} // namespace banyan
