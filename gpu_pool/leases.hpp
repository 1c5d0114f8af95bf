#pragma once

#include "gpu_pool/blocks.hpp"
#include "gpu_pool/epochs.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace banyan {

struct prefix_node;

/// The blocks that hold a text's keys and values, whole ones first, the last one perhaps in part.
struct held_blocks {
  std::vector<block_ref> blocks;
  std::size_t computed = 0;    ///< tokens whose keys and values are there
  std::uint32_t epoch = 0;     ///< of the weights that began it
  std::size_t published = 0;   ///< so many of the first blocks are in the prefix cache
  prefix_node* last = nullptr; ///< the node of the last of these
};

/// What a waiting thread keeps, so that it need not be computed again when it comes back.
struct lease {
  std::vector<std::int32_t> ids; ///< exactly the tokens that were computed
  held_blocks held;
  pinned_epoch pin; ///< of the thread; null: it comes back to the newest weights
};

/// Whether `thread` is `path` or lies below it: "/0" covers "/0" and "/0/3" but not "/01"; "/"
/// covers all.
bool covers(std::string_view path, std::string_view thread);

/// The leases of all waiting threads. Families go by their age: 0 arrived first. A thread whose
/// blocks were taken under pressure still waits: its pin stays until it comes back or is released.
class lease_table {
public:
  /// Takes the place of an earlier lease of the thread, which it returns.
  std::optional<lease> keep(std::uint64_t family_age, std::string thread, lease);

  /// The thread's lease, which leaves the table with its pin.
  std::optional<lease> take(std::uint64_t family_age, const std::string& thread);

  /// The first lease of the oldest family that has one. Its thread stays pinned.
  std::optional<lease> take_oldest();

  /// The leases of `path` and of everything below it, with their pins.
  std::vector<lease> take_below(std::uint64_t family_age, const std::string& path);

  /// Ends the leases of threads that are not pinned to an epoch.
  void drop_unpinned();

  /// Whether the family has a lease or a pin.
  bool has(std::uint64_t family_age) const;

  /// Blocks of the thread's lease; 0 if it has none.
  std::size_t num_blocks(std::uint64_t family_age, const std::string& thread) const;
  std::size_t size() const { return leases_.size(); }

  /// Loans in the table: an upper limit to what breaking all leases would set free.
  std::size_t num_blocks() const { return num_blocks_; }

  /// Adds its loans to `held`, one count per block.
  void count(std::span<std::uint32_t> held) const;

private:
  using owner = std::pair<std::uint64_t, std::string>; // family and thread
  using table = std::map<owner, lease>;
  lease take(table::iterator);

  table leases_;
  std::map<owner, pinned_epoch> pins_; // of threads whose lease was broken
  std::size_t num_blocks_ = 0;
};

} // namespace banyan
