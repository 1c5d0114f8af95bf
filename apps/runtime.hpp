#pragma once

#include "actors/messages.hpp"
#include "apps/live_tree.hpp"
#include "model/checkpoint.hpp"
#include "solver/tree.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace banyan {

/// A model on a device; `model.weights` lie there already, in this precision.
struct pool_source {
  std::string device = "cpu";
  dtype precision = dtype::float32;
  checkpoint model;
  int os_threads = 0; ///< of the pool, for one operation on the CPU; 0: as LibTorch likes
};

struct runtime_options {
  std::vector<std::int32_t> begin;           ///< in front of every prompt (BOS), may be empty
  std::size_t concurrency = 64;              ///< trees at a time
  std::uint64_t seed = 0;                    ///< of tree ids
  std::function<void(std::string_view)> log; ///< what pools have to say; called from any OS thread
};

/// What became of a tree: the tree, or why there is none.
struct finished_work {
  std::string id;
  std::shared_ptr<const tree> value;
  std::string error;
};

/// A node over one pool per source, for programs that are no actors: trees go in, finished trees
/// come out, in the order in which they end. Used by one OS thread.
class runtime {
public:
  /// Throws if a device has no room for its pool.
  runtime(std::vector<pool_source>, runtime_options);

  /// Ends what still runs. What does not end in time is left to the end of the program.
  ~runtime();

  /// Starts a tree and returns its id.
  std::string submit(solve_request);

  /// The next finished tree; nothing if none ends in that time.
  std::optional<finished_work> take(std::chrono::milliseconds patience);

  /// Asks for the state of a running tree and the texts of its live threads; `seen` has them a
  /// moment later.
  void look(const std::string& id);

  /// The tree as it was when it was last looked at; nothing if it never was. Of a thread that has
  /// ended only the figures are there.
  std::optional<live_tree> seen(const std::string& id) const;

  /// Ends all trees, running and waiting, which come out as cancelled, and takes no more.
  void cancel_all();

private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

} // namespace banyan
