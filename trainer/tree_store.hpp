#pragma once

#include "solver/request.hpp"
#include "solver/tree.hpp"
#include "trainer/store_error.hpp"
#include "trainer/store_gauge.hpp"
#include "trainer/store_options.hpp"
#include "trainer/unfinished_tree.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace banyan {

/// One tree cannot be read; all others can.
struct damaged_tree : store_error {
  std::string id;
  damaged_tree(std::string id, const std::string& text)
      : store_error(kind::damaged, text), id(std::move(id)) {}
};

/// Told of each tree that is left out because it is damaged. Where it is null, the first such tree
/// is thrown.
using on_damage = std::function<void(const damaged_tree&)>;

/// Which trees; everything given must hold.
struct tree_filter {
  std::vector<tree_phase> states;                 ///< any of these; none given: all
  std::multimap<std::string, std::string> labels; ///< all of these: no tree has a name twice
  std::optional<bool> solved;                     ///< the verdict; unfinished trees have none
  std::string task;                               ///< empty: any
  std::int64_t created_from_ms = 0;               ///< Unix time, 0: no bound
  std::optional<std::int64_t> created_before_ms;
  std::string after;       ///< go on behind the tree with this id, in the order of the list
  std::size_t limit = 100; ///< trees at most
};

/// What to keep of the finished trees; unfinished ones always stay. 0: no limit.
struct retention {
  double max_age_s = 0;
  std::uint64_t max_bytes = 0; ///< of the file; the oldest go first
};

/// All trees of a daemon in one SQLite file (WAL): accepted requests, threads at their last
/// boundary, finished trees. Trees are Protobuf records (solver/records.proto); what is searched by
/// is in indexed columns. A file of an older schema is brought up to date when it is opened; one of
/// a newer schema is refused. Used by one OS thread at a time; a second object may read the same
/// file meanwhile.
class tree_store {
public:
  /// Opens or makes the file. Throws `store_error`.
  explicit tree_store(const std::filesystem::path&, store_options = {});
  tree_store(tree_store&&) noexcept;
  tree_store& operator=(tree_store&&) noexcept;
  ~tree_store();

  // ---- writing: between `begin` and `commit`, which makes it durable, or `roll_back`. What is too
  // large for a record throws std::invalid_argument, and the transaction goes on.

  void begin();
  void commit();
  void roll_back() noexcept;
  /// How much the open transaction, or else the last one, was given to write; of one that failed,
  /// as far as it came.
  std::size_t transaction_bytes() const;

  /// A new tree; `request.id` is set and new. An id that is known already throws
  /// std::invalid_argument.
  void accept(const solve_request&, std::int64_t created_ms);
  /// A thread of an unfinished tree at a boundary, when the tree had used so much of its time;
  /// replaces what was known of the thread. For a tree that is unknown or finished it does nothing.
  void record(const std::string& tree, const thread_record&, std::int64_t used_ms = 0);
  /// An unfinished tree runs, is paused, or waits, and so do parts of it; nothing for others.
  void set_state(const std::string& tree, tree_phase, const halted_paths& = {});
  /// The tree is done: its threads are in it now. Accepts the tree too where nobody did before.
  void finish(const tree&);

  /// Drops what `retention` says, at most `most` trees, and gives room back to the file system.
  /// Returns how many trees went. Outside of a transaction.
  std::size_t sweep(const retention&, std::int64_t now_ms, std::size_t most = 1000);

  /// Drops the trees with a label of this name that nobody has finished; returns how many. Outside
  /// of a transaction.
  std::size_t forget_unfinished(const std::string& label);

  /// Writes so many bytes, at least those of a tree of usual size, and takes them back: throws as
  /// any other writing where there is no room. Then there is room for as much. Outside of a
  /// transaction.
  void try_writing(std::size_t bytes = 0);

  // ---- reading

  /// A finished tree whole; an unfinished one as far as its boundaries tell, its time included.
  /// Throws `damaged_tree` where its record says nothing.
  std::optional<tree> find(const std::string& id) const;

  // Of the trees that were dropped, the places of the last 10,000 are still known: lists go on
  // behind them. An `after` that is not known at all throws std::invalid_argument.

  /// Newest first; trees without texts, tokens and logprobs, but with their threads' figures.
  std::vector<tree> list(const tree_filter&, const on_damage& = nullptr) const;

  /// Calls `each` for every tree of the filter, oldest first, whole; it returns false to stop.
  void for_each(const tree_filter&, const std::function<bool(tree&&)>& each,
                const on_damage& = nullptr) const;

  /// Oldest first.
  std::vector<unfinished_tree> unfinished(const on_damage& = nullptr) const;

  /// Counts what is in the file.
  store_counts counts() const;

  /// Counts once, and goes with all that this store writes from now on. Outside of a transaction.
  std::shared_ptr<const store_gauge> gauge();

private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

} // namespace banyan
