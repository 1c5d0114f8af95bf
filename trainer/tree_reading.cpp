#include "trainer/tree_statements.hpp"
#include "trainer/unfinished_tree.hpp"

#include <algorithm>
#include <cassert>
#include <ranges>
#include <string_view>
#include <utility>

namespace banyan {
namespace {

halted_paths paths_from(std::string_view lines) {
  halted_paths paths;
  for (const auto& line : std::views::split(lines, '\n'))
    if (!line.empty()) paths.emplace(line.begin(), line.end());
  return paths;
}

/// Reads of several statements that see one state of the file.
class snapshot {
public:
  explicit snapshot(database& of) : of_(of), own_(!of.in_transaction()) {
    if (own_) of_.run("BEGIN");
  }
  ~snapshot() {
    if (own_) of_.roll_back(); // nothing was written
  }
  snapshot(const snapshot&) = delete;
  snapshot& operator=(const snapshot&) = delete;

private:
  database& of_;
  bool own_;
};

} // namespace

std::vector<thread_record> tree_store::impl::threads(std::int64_t tree) {
  std::vector<thread_record> known;
  threads_of.each({tree}, [&](const auto& row) { known.push_back(decode_thread(row.bytes(0))); });
  return in_order(std::move(known));
}

std::int64_t tree_store::impl::used_ms(std::int64_t tree) {
  std::int64_t used = 0;
  used_by.each({tree}, [&](const auto& row) { used = row.number(0); });
  return used;
}

/// `query` gives a row of seq, created_ms, state, request and a tree, which is NULL where it is not
/// finished.
std::optional<tree> tree_store::impl::load(statement& query, sql_value key) {
  std::optional<tree> loaded;
  query.each({key}, [&](const auto& row) {
    if (!row.null(4)) {
      loaded = decode_tree(row.bytes(4));
      return;
    }
    loaded =
        begun(decode_solve_request(row.bytes(3)), row.number(1),
              tree_phase_from(row.bytes(2)).value_or(tree_phase::queued), threads(row.number(0)));
    loaded->wall_ms = static_cast<double>(used_ms(row.number(0)));
  });
  return loaded;
}

std::optional<tree> tree_store::impl::outline(std::int64_t seq) {
  auto t = load(outline_by_seq, seq);
  if (t && !ended(t->phase)) t = banyan::outline(*t);
  return t;
}

std::optional<place> tree_store::impl::find_place(const std::string& id) {
  std::optional<place> found;
  for (auto* known : {&place_of, &place_of_dropped})
    if (!found) known->each({id}, [&](const auto& row) { found = {row.number(0), row.number(1)}; });
  if (!found && !id.empty())
    throw std::invalid_argument("after: tree '" + id + "' is not known here; begin the list anew");
  return found;
}

std::string tree_store::impl::id_of(std::int64_t seq) {
  std::string id;
  id_by_seq.each({seq}, [&](const auto& row) { id = row.bytes(0); });
  return id;
}

std::optional<tree> tree_store::find(const std::string& id) const {
  const snapshot one(impl_->file);
  return impl_->intact([&] { return id; }, [&] { return impl_->load(impl_->whole_by_id, id); });
}

std::vector<tree> tree_store::list(const tree_filter& filter, const on_damage& skip) const {
  const snapshot one(impl_->file);
  std::vector<tree> trees;
  auto behind = impl_->find_place(filter.after);
  while (trees.size() < filter.limit) { // again where some were left out
    const auto wanted = filter.limit - trees.size();
    const auto places = find_places(impl_->file, filter, behind, wanted, direction::newest_first);
    for (const auto& at : places)
      if (auto t = impl_->intact(at.seq, skip, [&] { return impl_->outline(at.seq); }))
        trees.push_back(std::move(*t));
    if (places.size() < wanted) break;
    behind = places.back();
  }
  return trees;
}

/// In pages, so that neither a slow `each` holds back the log, nor what it does to the store is in
/// anybody's way.
void tree_store::for_each(const tree_filter& filter, const std::function<bool(tree&&)>& each,
                          const on_damage& skip) const {
  constexpr std::size_t page = 64;
  auto behind = impl_->find_place(filter.after);
  for (auto left = filter.limit; left > 0;) {
    const auto places =
        find_places(impl_->file, filter, behind, std::min(left, page), direction::oldest_first);
    for (const auto& at : places) {
      auto t = impl_->intact(at.seq, skip, [&] {
        const snapshot one(impl_->file);
        return impl_->load(impl_->whole_by_seq, at.seq);
      });
      if (t && !each(std::move(*t))) return;
    }
    if (places.size() < std::min(left, page)) return;
    left -= places.size();
    behind = places.back();
  }
}

std::optional<unfinished_tree> tree_store::impl::unfinished(std::int64_t seq) {
  std::optional<unfinished_tree> found;
  unfinished_by_seq.each({seq}, [&](const auto& row) {
    found = {decode_solve_request(row.bytes(0)), row.number(1), paths_from(row.bytes(2))};
  });
  if (!found) return found;
  found->threads = threads(seq);
  found->used_ms = used_ms(seq);
  return found;
}

std::vector<unfinished_tree> tree_store::unfinished(const on_damage& skip) const {
  const snapshot one(impl_->file);
  std::vector<std::int64_t> all;
  impl_->all_unfinished.each({}, [&](const auto& row) { all.push_back(row.number(0)); });
  std::vector<unfinished_tree> trees;
  for (const auto seq : all)
    if (auto t = impl_->intact(seq, skip, [&] { return impl_->unfinished(seq); }))
      trees.push_back(std::move(*t));
  return trees;
}

store_counts tree_store::counts() const {
  const snapshot one(impl_->file);
  store_counts counts;
  counts.unfinished = static_cast<std::uint64_t>(impl_->number(impl_->num_unfinished));
  counts.finished = static_cast<std::uint64_t>(impl_->number(impl_->num_trees)) - counts.unfinished;
  counts.bytes = bytes_of_store(impl_->file.path());
  return counts;
}

std::shared_ptr<const store_gauge> tree_store::gauge() {
  assert(!impl_->file.in_transaction());
  if (!impl_->gauge) impl_->gauge = std::make_shared<store_gauge>(impl_->file.path(), counts());
  return impl_->gauge;
}

} // namespace banyan
