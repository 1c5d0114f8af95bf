#include "trainer/tree_store.hpp"

#include "trainer/tree_statements.hpp"

#include <algorithm>
#include <cassert>
#include <string_view>
#include <utility>

namespace banyan {

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

} // namespace banyan
