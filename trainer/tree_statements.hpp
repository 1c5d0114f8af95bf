#pragma once

#include "solver/records.hpp"
#include "trainer/database.hpp"
#include "trainer/tree_schema.hpp"
#include "trainer/tree_search.hpp"
#include "trainer/tree_store.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace banyan {

// What a store writes (tree_store) and reads (tree_reading) with. Private to these two.

/// One file and the statements over it; the public functions of `tree_store` say what each is for.
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

} // namespace banyan
