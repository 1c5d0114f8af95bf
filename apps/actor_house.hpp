#pragma once

#include "actors/interfaces.hpp"
#include "actors/messages.hpp"
#include "apps/runtime.hpp"

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>

namespace banyan {

class event_hub;
class status_board;
struct codec;
struct pool_options;
struct tree_news;

struct house_options {
  std::vector<std::int32_t> begin; ///< in front of every prompt (BOS), may be empty
  std::size_t concurrency = 64;    ///< trees at a time
  std::size_t max_queued = 1 << 20;
  std::uint64_t seed = 0;                     ///< of tree ids
  std::uint32_t weights_epoch = 0;            ///< of the sources' weights
  std::size_t keep_epochs = 1;                ///< older weights that pools can still decode with
  std::shared_ptr<event_hub> events;          ///< may be null
  std::function<void(std::string_view)> log;  ///< what pools have to say; called from any OS thread
  std::function<void(const tree_news&)> news; ///< what becomes of trees; may be null
  /// Told once, on one of the actor system's threads, of an actor that ended unasked and without
  /// which nothing goes on: the node, the store, or the last pool. May be null.
  std::function<void(const std::string& who)> on_loss;
  /// Starts the store, where there is one; before any pool.
  std::function<tree_store_actor(caf::actor_system&)> make_store;
  /// Starts a pool; null: one that decodes with the source's weights.
  std::function<pool_actor(caf::actor_system&, const pool_options&, const pool_source&)> make_pool;
};

/// The actors of a program: a pool per source, a store, a node over them, and the one way to end
/// them all.
class actor_house {
public:
  /// Throws if a device has no room for its pool.
  actor_house(std::vector<pool_source>, house_options);

  /// Ends what still runs; where there is a store, it goes on after the next start.
  ~actor_house();

  caf::actor_system& system() { return *system_; }
  const node_actor& node() const { return node_; }
  const std::vector<named_pool>& pools() const { return pools_; }
  const std::shared_ptr<status_board>& board() const { return board_; }
  banyan::codec codec() const;
  const std::shared_ptr<const tokenizer>& vocabulary() const { return vocabulary_; }

  /// Actors that the program itself added; they end before the node does.
  void add(caf::actor guest) { guests_.push_back(std::move(guest)); }

  /// Leaves unfinished trees to the store and ends the node; true if that was done in time.
  bool park(std::chrono::milliseconds patience);

private:
  void add_pool(const pool_source&, const house_options&);
  void watch(std::function<void(const std::string&)> on_loss);
  void end_guests();
  void leave();

  caf::actor_system_config config_;
  std::unique_ptr<caf::actor_system> system_;
  std::shared_ptr<const tokenizer> vocabulary_;
  std::vector<std::int32_t> begin_;
  std::vector<named_pool> pools_;
  tree_store_actor store_;
  node_actor node_;
  std::vector<caf::actor> guests_;
  caf::actor watchman_;
  std::shared_ptr<status_board> board_;
};

} // namespace banyan
