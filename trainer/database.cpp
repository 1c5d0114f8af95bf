#include "trainer/database.hpp"

#include <cassert>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

namespace banyan {

namespace {

bool no_space(int code, int system_error) {
  return code == SQLITE_FULL || system_error == ENOSPC || system_error == EFBIG
         || system_error == EDQUOT;
}

store_error::kind kind_of(int code, int system_error) {
  switch (code & 0xff) {
  case SQLITE_BUSY:
  case SQLITE_LOCKED: return store_error::kind::locked;
  case SQLITE_CORRUPT:
  case SQLITE_NOTADB:
  case SQLITE_ERROR: return store_error::kind::damaged; // a table or column is not there
  case SQLITE_FULL:
  case SQLITE_IOERR:
    return no_space(code, system_error) ? store_error::kind::full : store_error::kind::io;
  default: return store_error::kind::io;
  }
}

const char* remedy(store_error::kind why) {
  switch (why) {
  case store_error::kind::full: return "make room on its disk and try again";
  case store_error::kind::locked: return "wait for the process that uses it, or end that one";
  case store_error::kind::damaged: return "move it away, or put a copy of it in its place";
  case store_error::kind::newer: return "use the newer version of this program, or another file";
  case store_error::kind::io: break;
  }
  return "check its folder, permissions and disk";
}

/// The path as SQLite reads addresses.
std::string as_address(const std::string& path) {
  std::string address = "file:";
  for (const char c : path)
    address += c == '%' ? "%25" : c == '?' ? "%3f" : c == '#' ? "%23" : std::string(1, c);
  return address;
}

/// What is in a store is its owner's business: a new one is for that one alone, and so are, as
/// SQLite makes them, the files beside it. If it cannot be made, SQLite says why.
void make_private_file(const std::filesystem::path& path) {
  const int fresh = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fresh >= 0) ::close(fresh);
}

} // namespace

// ---- the file

void database::closer::operator()(sqlite3* handle) const { ::sqlite3_close_v2(handle); }

// The absolute path: SQLite reads "file:…" as an address.
database::database(const std::filesystem::path& path, const store_options& options,
                   const schema& schema)
    : path_(path), busy_ms_(static_cast<int>(options.busy_s * 1000)) {
  const int mode =
      options.read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  if (!options.read_only) make_private_file(path);
  const auto absolute = std::filesystem::absolute(path).string();
  open(absolute, mode);
  if (options.read_only && lies_where_nothing_can_be_made())
    open(as_address(absolute) + "?immutable=1", mode | SQLITE_OPEN_URI);
  check(schema);
  run("PRAGMA foreign_keys=ON; PRAGMA secure_delete=OFF;"
      "PRAGMA cache_size=-16000;"            // kB
      "PRAGMA journal_size_limit=33554432"); // bytes of the log that stay after a long one
  options.read_only ? expect_newest(schema) : make_ready(schema, options.sync);
}

void database::open(const std::string& name, int mode) {
  sqlite3* opened = nullptr;
  errno = 0;
  const int code = ::sqlite3_open_v2(name.c_str(), &opened,
                                     mode | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nullptr);
  handle_.reset(opened);
  if (code != SQLITE_OK) fail();
  ::sqlite3_busy_timeout(opened, busy_ms_);
}

/// A snapshot, or a disk that is mounted read-only: whoever reads a file in WAL mode makes files
/// beside it, unless nobody can change it. One with a log beside it is not whole.
bool database::lies_where_nothing_can_be_made() const {
  const int code =
      ::sqlite3_exec(handle_.get(), "PRAGMA schema_version", nullptr, nullptr, nullptr);
  std::error_code unknown;
  const auto log = std::filesystem::file_size(path_.string() + "-wal", unknown);
  return (code & 0xff) == SQLITE_CANTOPEN && (unknown || log == 0);
}

void database::make_ready(const schema& schema, bool sync) {
  // Before anything is written: a file keeps the first one for good.
  run("PRAGMA auto_vacuum=INCREMENTAL");
  use_wal();
  run(sync ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
  migrate(schema);
}

bool database::in_transaction() const { return ::sqlite3_get_autocommit(handle_.get()) == 0; }

void database::run(const char* sql) {
  errno = 0;
  if (::sqlite3_exec(handle_.get(), sql, nullptr, nullptr, nullptr) != SQLITE_OK) fail();
}

void database::roll_back() noexcept {
  if (in_transaction()) ::sqlite3_exec(handle_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
}

void database::give_room_back(bool dropped) {
  log_waits_ |= dropped;
  if (number("PRAGMA freelist_count") > 0) {
    run("PRAGMA incremental_vacuum");
    log_waits_ = true;
  }
  if (log_waits_) log_waits_ = !empty_log();
}

bool database::empty_log() {
  errno = 0;
  ::sqlite3_busy_timeout(handle_.get(), 0);
  const int code = ::sqlite3_wal_checkpoint_v2(handle_.get(), nullptr, SQLITE_CHECKPOINT_TRUNCATE,
                                               nullptr, nullptr);
  ::sqlite3_busy_timeout(handle_.get(), busy_ms_);
  const bool refused = (code & 0xff) == SQLITE_BUSY;
  if (code != SQLITE_OK && !refused) fail();
  return !refused;
}

std::int64_t database::number(const char* sql) {
  std::int64_t value = 0;
  statement(*this, sql).each({}, [&](const auto& row) { value = row.number(0); });
  return value;
}

// ---- versions

void database::check(const schema& schema) {
  const auto newest = static_cast<std::int64_t>(schema.steps.size());
  const auto version = number("PRAGMA user_version");
  const bool empty = version == 0 && number("SELECT count(*) FROM sqlite_schema") == 0;
  const auto made_of = std::string(schema.made_of);
  if (!empty && number("PRAGMA application_id") != schema.application)
    fail(store_error::kind::damaged, "not a " + made_of);
  if (version > newest)
    fail(store_error::kind::newer, "a " + made_of + " of version " + std::to_string(version)
                                       + ", newer than " + std::to_string(newest));
}

void database::migrate(const schema& schema) {
  const auto newest = static_cast<std::int64_t>(schema.steps.size());
  if (number("PRAGMA user_version") == newest) return;
  run("BEGIN IMMEDIATE");
  check(schema); // another process may have been quicker
  for (auto version = number("PRAGMA user_version"); version < newest; ++version)
    run(schema.steps[static_cast<std::size_t>(version)]);
  run(("PRAGMA application_id=" + std::to_string(schema.application)).c_str());
  run(("PRAGMA user_version=" + std::to_string(newest)).c_str());
  run("COMMIT");
}

void database::expect_newest(const schema& schema) {
  const auto version = number("PRAGMA user_version");
  if (version != static_cast<std::int64_t>(schema.steps.size()))
    fail(store_error::kind::io,
         std::string("a ") + schema.made_of + " of version " + std::to_string(version)
             + ", older than " + std::to_string(schema.steps.size()),
         "open it for writing once");
}

/// SQLite asks its busy handler for every lock but those of a change to WAL.
void database::use_wal() {
  using clock = std::chrono::steady_clock;
  const auto deadline = clock::now() + std::chrono::milliseconds(busy_ms_);
  const auto try_it = [this] {
    errno = 0;
    return ::sqlite3_exec(handle_.get(), "PRAGMA journal_mode=WAL", nullptr, nullptr, nullptr);
  };
  int code = try_it();
  for (; (code & 0xff) == SQLITE_BUSY && clock::now() < deadline; code = try_it())
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  if (code != SQLITE_OK) fail();
}

// ---- trouble

/// SQLite's own note of the system's error is not kept for all commits: hence `errno`, cleared
/// before each call.
void database::fail() {
  const int system_error = errno;
  const int code = ::sqlite3_extended_errcode(handle_.get());
  std::string text = ::sqlite3_errmsg(handle_.get());
  const int primary = code & 0xff;
  if (system_error != 0 && (primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN))
    text += std::string(" (") + std::strerror(system_error) + ")";
  fail(kind_of(code, system_error), text);
}

void database::fail(store_error::kind why, const std::string& text) {
  fail(why, text, remedy(why));
}

void database::fail(store_error::kind why, const std::string& text, const char* to_do) {
  roll_back();
  throw store_error(why, path_.string() + ": " + text + "; " + to_do);
}

// ---- statements

void statement::closer::operator()(sqlite3_stmt* handle) const { ::sqlite3_finalize(handle); }

statement::statement(database& of, std::string_view sql) : database_(&of) {
  sqlite3_stmt* prepared = nullptr;
  const int code = ::sqlite3_prepare_v3(of.handle_.get(), sql.data(), static_cast<int>(sql.size()),
                                        SQLITE_PREPARE_PERSISTENT, &prepared, nullptr);
  handle_.reset(prepared);
  if (code != SQLITE_OK) of.fail();
}

std::int64_t statement::run(std::span<const sql_value> values) {
  each(values, [](const row&) {});
  return ::sqlite3_changes64(database_->handle_.get());
}

void statement::each(std::span<const sql_value> values,
                     const std::function<void(const row&)>& look) {
  struct resetter {
    sqlite3_stmt* used;
    ~resetter() { ::sqlite3_reset(used); }
  } const at_the_end{handle_.get()};
  bind(values);
  errno = 0;
  int code = ::sqlite3_step(handle_.get());
  for (; code == SQLITE_ROW; code = ::sqlite3_step(handle_.get())) look(row(handle_.get()));
  if (code != SQLITE_DONE) database_->fail();
}

/// Values are not copied: they live as long as the run.
void statement::bind(std::span<const sql_value> values) {
  struct binder {
    sqlite3_stmt* to;
    int at;

    int operator()(std::nullptr_t) const { return ::sqlite3_bind_null(to, at); }
    int operator()(std::int64_t v) const { return ::sqlite3_bind_int64(to, at, v); }
    int operator()(double v) const { return ::sqlite3_bind_double(to, at, v); }
    int operator()(std::string_view v) const {
      return ::sqlite3_bind_text64(to, at, begin(v), v.size(), SQLITE_STATIC, SQLITE_UTF8);
    }
    int operator()(blob v) const {
      return ::sqlite3_bind_blob64(to, at, begin(v.bytes), v.bytes.size(), SQLITE_STATIC);
    }
    static const char* begin(std::string_view v) { return v.empty() ? "" : v.data(); } // not NULL
  };
  assert(std::cmp_equal(values.size(), ::sqlite3_bind_parameter_count(handle_.get())));
  int at = 0;
  for (const auto& value : values)
    if (std::visit(binder{handle_.get(), ++at}, value) != SQLITE_OK) database_->fail();
}

bool statement::row::null(int column) const {
  return ::sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

std::int64_t statement::row::number(int column) const {
  return ::sqlite3_column_int64(statement_, column);
}

std::string_view statement::row::bytes(int column) const {
  const auto* begin = static_cast<const char*>(::sqlite3_column_blob(statement_, column));
  return {begin, static_cast<std::size_t>(::sqlite3_column_bytes(statement_, column))};
}

} // namespace banyan
