#pragma once

#include "trainer/store_error.hpp"
#include "trainer/store_options.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>

struct sqlite3;
struct sqlite3_stmt;

namespace banyan {

/// One SQLite file, and all trouble with it as `store_error`, before which an open transaction is
/// rolled back.
class database {
public:
  /// What an application keeps in its file.
  struct schema {
    std::int64_t application; ///< a number that tells its files from others
    const char* made_of;      ///< "tree store": for messages
    std::span<const char* const>
        steps; ///< SQL that leads from version to version; the first from an empty file
  };

  /// Opens the file, or makes it, in WAL mode, and takes it to the newest version.
  database(const std::filesystem::path&, const store_options&, const schema&);
  database(const database&) = delete;
  database& operator=(const database&) = delete;

  const std::filesystem::path& path() const { return path_; }
  bool in_transaction() const;
  void run(const char* sql); ///< any number of statements; their rows are dropped
  void roll_back() noexcept;
  /// Free pages go back to the file system, and so does the log beside the file where pages went or
  /// `dropped` says that rows did. What somebody who reads just now holds back goes another time.
  void give_room_back(bool dropped);
  /// What is in that log goes into the file. Without patience: false where somebody reads there.
  bool empty_log();

  /// Throws `store_error` for what SQLite said last.
  [[noreturn]] void fail();

private:
  friend class statement;
  struct closer {
    void operator()(sqlite3*) const;
  };

  [[noreturn]] void fail(store_error::kind, const std::string& text);
  [[noreturn]] void fail(store_error::kind, const std::string& text, const char* to_do);
  std::int64_t number(const char* sql);
  void open(const std::string& name, int mode);
  bool lies_where_nothing_can_be_made() const;
  void check(const schema&);
  void make_ready(const schema&, bool sync);
  void migrate(const schema&);
  void expect_newest(const schema&);
  void use_wal();

  std::filesystem::path path_;
  int busy_ms_;
  bool log_waits_ = false; ///< for the moment at which it can be emptied
  std::unique_ptr<sqlite3, closer> handle_;
};

/// Bytes that are no text.
struct blob {
  std::string_view bytes;
};

/// What a statement can be given for a `?`.
using sql_value = std::variant<std::nullptr_t, std::int64_t, double, std::string_view, blob>;

/// A prepared statement, for any number of runs. It must not outlive its database.
class statement {
public:
  statement(database&, std::string_view sql);

  /// A row while it is looked at; views are valid as long.
  class row {
  public:
    bool null(int column) const;
    std::int64_t number(int column) const;
    std::string_view bytes(int column) const;

  private:
    friend class statement;
    explicit row(sqlite3_stmt* s) : statement_(s) {}
    sqlite3_stmt* statement_;
  };

  /// Returns how many rows were changed.
  std::int64_t run(std::span<const sql_value> = {});
  std::int64_t run(std::initializer_list<sql_value> values) {
    return run(std::span(values.begin(), values.size()));
  }

  /// Calls `look` for every row; whatever it does, the statement is not run again meanwhile.
  void each(std::span<const sql_value>, const std::function<void(const row&)>& look);
  void each(std::initializer_list<sql_value> values, const std::function<void(const row&)>& look) {
    each(std::span(values.begin(), values.size()), look);
  }

private:
  struct closer {
    void operator()(sqlite3_stmt*) const;
  };

  void bind(std::span<const sql_value>);

  database* database_;
  std::unique_ptr<sqlite3_stmt, closer> handle_;
};

} // namespace banyan
