#pragma once

#include "actors/tree_event.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace banyan {

/// Passes events from the actors to whoever watches, and keeps the last ones for those who come
/// back. Publishing never waits for a reader: one who does not take its events in time loses its
/// subscription. All functions may be called from any OS thread.
class event_hub {
public:
  struct limits {
    std::size_t kept = 16384;   ///< events for those who come back
    std::size_t pending = 4096; ///< events that one subscriber may leave lying
    std::size_t kept_bytes = 32 << 20, pending_bytes = 32 << 20; ///< and their memory
  };

  class subscription {
  public:
    virtual ~subscription() = default; ///< ends it; `wake` is not called any more afterwards
    /// Takes what has come, oldest first, at most `most` events.
    virtual std::vector<tree_event> take(std::size_t most = SIZE_MAX) = 0;
    /// Events were lost because nobody took them; there come no more.
    virtual bool lost() const = 0;
  };

  event_hub();
  explicit event_hub(limits);

  void publish(tree_event);

  /// Events of one tree, `text` included; of all trees, without `text`, where `tree` is empty.
  /// Those after `after` that are still kept come first; with `after` 0 only what is new. `wake` is
  /// called after an event has come to an empty queue, on the publisher's OS thread: it must be
  /// quick and must not call the hub.
  std::unique_ptr<subscription> subscribe(std::string tree, std::uint64_t after,
                                          std::function<void()> wake);

  /// All events after this one are still kept.
  bool keeps(std::uint64_t after) const;

  /// The newest event's id; 0 before the first.
  std::uint64_t newest() const;

  /// Somebody subscribed to this tree: its threads should tell what they write.
  bool watched(std::string_view tree) const;

  /// Called when the first subscriber of a tree comes (true) and when the last one leaves (false).
  void on_watch(std::function<void(const std::string& tree, bool)>);

  std::size_t num_subscribers() const;

private:
  struct core;
  std::shared_ptr<core> core_; // subscriptions keep it: they may outlive the hub
};

} // namespace banyan
