#include "trainer/tree_store.hpp"

#include "solver/records.hpp"
#include "trainer/database.hpp"
#include "trainer/tree_schema.hpp"
#include "trainer/tree_search.hpp"
#include "trainer/unfinished_tree.hpp"

#include <algorithm>
#include <cassert>
#include <ranges>
#include <string_view>
#include <utility>

namespace banyan {

namespace {

// ---- trees

halted_paths paths_from(std::string_view lines) {
  halted_paths paths;
  for (const auto& line : std::views::split(lines, '\n'))
    if (!line.empty()) paths.emplace(line.begin(), line.end());
  return paths;
}

bool ended(tree_phase p) { return p >= tree_phase::done; }

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

// ---- the statements

struct tree_store::impl {
  database file;

  statement begin{file, "BEGIN IMMEDIATE"};
  statement commit{file, "COMMIT"};
  statement add_tree{file, "INSERT INTO trees(id, task, state, created_ms, request)"
                           " VALUES(?, ?, 'queued', ?, ?) ON CONFLICT DO NOTHING RETURNING seq"};
  statement add_label{file, "INSERT OR IGNORE INTO labels(name, value, created_ms, tree)"
                            " VALUES(?, ?, ?, ?)"};
  statement put_thread{file, "INSERT INTO threads(tree, path, record, used_ms)"
                             " SELECT seq, ?2, ?3, ?4 FROM trees"
                             " WHERE id=?1 AND finished_ms IS NULL"
                             " ON CONFLICT DO UPDATE SET record=excluded.record,"
                             " used_ms=excluded.used_ms"};
  statement put_state{file, "UPDATE trees SET state=?2, halted=?3"
                            " WHERE id=?1 AND finished_ms IS NULL"
                            " AND (state<>?2 OR halted<>?3)"};
  statement put_tree{file,
                     "INSERT INTO trees(id, task, state, created_ms, finished_ms, solved, claimed,"
                     " failure, wall_ms, threads, generated_tokens, weights_epoch, outline, tree)"
                     " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                     " ON CONFLICT DO UPDATE SET state=excluded.state,"
                     " finished_ms=excluded.finished_ms, solved=excluded.solved,"
                     " claimed=excluded.claimed, failure=excluded.failure,"
                     " wall_ms=excluded.wall_ms, threads=excluded.threads,"
                     " generated_tokens=excluded.generated_tokens,"
                     " weights_epoch=excluded.weights_epoch, outline=excluded.outline,"
                     " tree=excluded.tree RETURNING seq, created_ms"};
  statement drop_threads{file, "DELETE FROM threads WHERE tree=?"};

  statement oldest_finished{file, "SELECT seq, finished_ms FROM trees"
                                  " WHERE finished_ms IS NOT NULL ORDER BY finished_ms, seq"
                                  " LIMIT 1"};
  statement drop_tree{file, "DELETE FROM trees WHERE seq=?"};
  statement drop_unfinished{file, "DELETE FROM trees WHERE finished_ms IS NULL"
                                  " AND seq IN (SELECT tree FROM labels WHERE name=?)"};
  statement used_bytes{file, "SELECT (page_count - freelist_count) * page_size"
                             " FROM pragma_page_count, pragma_freelist_count, pragma_page_size"};

  statement place_of{file, "SELECT created_ms, seq FROM trees WHERE id=?"};
  statement place_of_dropped{file, "SELECT created_ms, seq FROM dropped WHERE id=?"
                                   " ORDER BY number DESC LIMIT 1"};
  statement is_finished{file, "SELECT finished_ms IS NOT NULL FROM trees WHERE id=?"};
  statement whole_by_id{file, "SELECT seq, created_ms, state, request, tree FROM trees WHERE id=?"};
  statement whole_by_seq{file,
                         "SELECT seq, created_ms, state, request, tree FROM trees WHERE seq=?"};
  statement outline_by_seq{
      file, "SELECT seq, created_ms, state, iif(outline IS NULL, request, NULL), outline"
            " FROM trees WHERE seq=?"};
  statement threads_of{file, "SELECT record FROM threads WHERE tree=?"};
  statement unfinished_by_seq{file, "SELECT request, created_ms, halted FROM trees WHERE seq=?"};
  statement used_by{file, "SELECT max(used_ms) FROM threads WHERE tree=?"};
  statement id_by_seq{file, "SELECT id FROM trees WHERE seq=?"};
  statement all_unfinished{file, "SELECT seq FROM trees"
                                 " WHERE state IN ('queued', 'running', 'paused')"
                                 " ORDER BY created_ms, seq"};
  statement num_trees{file, "SELECT count(*) FROM trees"};
  statement num_unfinished{file, "SELECT count(*) FROM trees"
                                 " WHERE state IN ('queued', 'running', 'paused')"};

  impl(const std::filesystem::path& path, const store_options& options)
      : file(path, options, tree_schema) {}

  std::int64_t number(statement& query) {
    std::int64_t value = 0;
    query.each({}, [&](const auto& row) { value = row.number(0); });
    return value;
  }

  void label(const std::map<std::string, std::string>& labels, const place& tree);
  bool too_much(const retention&, std::int64_t now_ms, std::int64_t finished_ms);
  std::size_t drop_oldest(const retention&, std::int64_t now_ms, std::size_t most);

  /// What `read` makes of a tree's rows; `name` says which tree it is that cannot be read.
  template <class Name, class Read>
  auto intact(Name name, Read read) -> decltype(read()) {
    std::string wrong = "it cannot be read from the file";
    try {
      return read();
    } catch (const bad_record& why) {
      wrong = why.what();
    } catch (const store_error& e) {
      if (e.why != store_error::kind::damaged) throw;
    }
    const std::string id = name();
    throw damaged_tree(id, file.path().string() + ": tree " + id + ": " + wrong
                               + "; put an older copy of the file in its place, or do without"
                                 " this tree");
  }

  /// The same of one tree among others: nothing, where it is left out.
  template <class Read>
  auto intact(std::int64_t seq, const on_damage& skip, Read read) -> decltype(read()) {
    try {
      return intact([&] { return id_of(seq); }, read);
    } catch (const damaged_tree& one) {
      if (!skip) throw;
      skip(one);
      return {};
    }
  }

  std::string id_of(std::int64_t seq);
  std::vector<thread_record> threads(std::int64_t tree);
  std::optional<tree> load(statement& query, sql_value key);
  std::optional<tree> outline(std::int64_t seq);
  std::optional<unfinished_tree> unfinished(std::int64_t seq);
  std::int64_t used_ms(std::int64_t tree);                ///< until its last boundary of all
  std::optional<place> find_place(const std::string& id); ///< nothing for no id

  void start();
  void end();
  void count_end_of(const std::string& id);
  std::shared_ptr<store_gauge> gauge;
  std::int64_t more_finished = 0, more_unfinished = 0; ///< by the open transaction
  std::size_t bytes = 0;                               ///< that it was given
};

tree_store::tree_store(const std::filesystem::path& path, store_options options)
    : impl_(std::make_unique<impl>(path, options)) {}
tree_store::tree_store(tree_store&&) noexcept = default;
tree_store& tree_store::operator=(tree_store&&) noexcept = default;
tree_store::~tree_store() = default;

// ---- writing

namespace {

/// What is too large for a record cannot be stored, and the rest of its transaction can.
template <class Value, class Encode>
std::string encoded(const Value& value, Encode encode) {
  try {
    return encode(value);
  } catch (const bad_record& why) {
    throw std::invalid_argument(why.what());
  }
}

} // namespace

void tree_store::impl::start() {
  bytes = 0;
  begin.run();
  more_finished = more_unfinished = 0;
}

void tree_store::impl::end() {
  commit.run();
  if (gauge) gauge->add(more_finished, more_unfinished);
}

void tree_store::begin() { impl_->start(); }
void tree_store::commit() { impl_->end(); }
void tree_store::roll_back() noexcept { impl_->file.roll_back(); }
std::size_t tree_store::transaction_bytes() const { return impl_->bytes; }

void tree_store::accept(const solve_request& request, std::int64_t created_ms) {
  assert(impl_->file.in_transaction() && !request.id.empty());
  const auto bytes = encoded(request, encode_solve_request);
  impl_->bytes += bytes.size();
  std::int64_t seq = 0;
  impl_->add_tree.each({request.id, request.task, created_ms, blob{bytes}},
                       [&](const auto& row) { seq = row.number(0); });
  if (seq == 0)
    throw std::invalid_argument("tree '" + request.id
                                + "': there is one already; give it a new id");
  impl_->label(request.labels, {created_ms, seq});
  ++impl_->more_unfinished;
}

void tree_store::impl::label(const std::map<std::string, std::string>& labels, const place& tree) {
  for (const auto& [name, value] : labels) add_label.run({name, value, tree.created_ms, tree.seq});
}

void tree_store::record(const std::string& tree, const thread_record& thread,
                        std::int64_t used_ms) {
  assert(impl_->file.in_transaction());
  const auto bytes = encoded(thread, encode_thread);
  impl_->bytes += bytes.size();
  impl_->put_thread.run({tree, thread.path, blob{bytes}, used_ms});
}

void tree_store::set_state(const std::string& tree, tree_phase phase, const halted_paths& halted) {
  assert(impl_->file.in_transaction());
  if (ended(phase)) return; // only `finish` ends a tree
  std::string lines;
  for (const auto& path : halted) lines += path + '\n';
  impl_->bytes += lines.size();
  impl_->put_state.run({tree, to_string(phase), lines});
}

void tree_store::finish(const tree& t) {
  assert(impl_->file.in_transaction() && ended(t.phase));
  const auto whole = encoded(t, encode_tree), outline = encoded(banyan::outline(t), encode_tree);
  impl_->bytes += whole.size() + outline.size();
  const auto usage = t.usage();
  impl_->count_end_of(t.id);
  place at;
  impl_->put_tree.each(
      {t.id, t.task, to_string(t.phase), t.created_ms, t.finished_ms,
       std::int64_t{t.outcome.solved}, std::int64_t{t.outcome.claimed},
       t.failure == errc::none ? sql_value{nullptr} : sql_value{to_string(t.failure)}, t.wall_ms,
       std::int64_t{usage.threads}, static_cast<std::int64_t>(usage.generated_tokens),
       std::int64_t{t.weights_epoch}, blob{outline}, blob{whole}},
      [&](const auto& row) {
        at = {row.number(1), row.number(0)};
      });
  impl_->label(t.labels, at);
  impl_->drop_threads.run({at.seq});
}

void tree_store::impl::count_end_of(const std::string& id) {
  bool unfinished = false, finished = false;
  is_finished.each({id}, [&](const auto& row) {
    finished = row.number(0) != 0;
    unfinished = !finished;
  });
  more_finished += finished ? 0 : 1;
  more_unfinished -= unfinished ? 1 : 0;
}

// ---- retention

bool tree_store::impl::too_much(const retention& keep, std::int64_t now_ms,
                                std::int64_t finished_ms) {
  const auto age_s = static_cast<double>(now_ms - finished_ms) / 1000;
  if (keep.max_age_s > 0 && age_s > keep.max_age_s) return true;
  return keep.max_bytes > 0 && static_cast<std::uint64_t>(number(used_bytes)) > keep.max_bytes;
}

std::size_t tree_store::impl::drop_oldest(const retention& keep, std::int64_t now_ms,
                                          std::size_t most) {
  start();
  std::size_t dropped = 0;
  for (; dropped < most; ++dropped) {
    std::optional<std::int64_t> oldest;
    oldest_finished.each({}, [&](const auto& row) {
      if (too_much(keep, now_ms, row.number(1))) oldest = row.number(0);
    });
    if (!oldest) break;
    drop_tree.run({*oldest});
    --more_finished;
  }
  end();
  return dropped;
}

std::size_t tree_store::sweep(const retention& keep, std::int64_t now_ms, std::size_t most) {
  assert(!impl_->file.in_transaction());
  const auto dropped = impl_->drop_oldest(keep, now_ms, most);
  impl_->file.give_room_back(dropped > 0);
  return dropped;
}

std::size_t tree_store::forget_unfinished(const std::string& label) {
  assert(!impl_->file.in_transaction());
  impl_->start();
  const auto dropped = impl_->drop_unfinished.run({label});
  impl_->more_unfinished -= dropped;
  impl_->end();
  return static_cast<std::size_t>(dropped);
}

/// A table of its own, so that nobody meets it among trees; what is left of it after a crash goes
/// the next time. The log is emptied, or what was tried would stand in the way of what comes.
void tree_store::try_writing(std::size_t bytes) {
  assert(!impl_->file.in_transaction());
  constexpr std::size_t usual = 256 << 10, most = 512 << 20; // SQLite has larger values, not many
  const auto size = std::to_string(std::clamp(bytes, usual, most));
  impl_->file.run(("BEGIN IMMEDIATE; DROP TABLE IF EXISTS room; CREATE TABLE room(filler BLOB);"
                   "INSERT INTO room VALUES(zeroblob("
                   + size + ")); COMMIT")
                      .c_str());
  impl_->file.empty_log();
  impl_->file.run("DROP TABLE room");
  impl_->file.empty_log();
}

// ---- reading

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
