#pragma once

#include "actors/event_hub.hpp"
#include "apps/serving/reply.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>

namespace banyan {

class event_stream;

/// All open streams of events. Used on the loop's OS thread alone.
class event_streams {
public:
  /// `name`: tells this process's events from those of another one.
  explicit event_streams(std::string name) : name_(std::move(name)) {}

  /// Answers with the events of a tree, of all trees where `tree` is empty: those that the client
  /// has missed since its `Last-Event-ID` where all of them are still there, else the tree's story,
  /// then live ones. A reader that does not keep up finds the stream ended, and may come back.
  void open(http_context&, const reply_ptr&, const std::string& tree);

  /// Leaves the hub; nothing is told to the clients.
  void clear();

  const std::string& name() const { return name_; }
  /// The number of a story of a tree that lives: no two have the same.
  std::uint64_t next_telling() { return ++tellings_; }
  void add(http_context&, const std::shared_ptr<event_stream>&);
  void remove(http_context&, const std::shared_ptr<event_stream>&);

  /// A stream of a tree that lives: all that is written after event `since` is told in events. When
  /// the last one leaves, the tree is watched on for a moment, by its `source`.
  void enter(const std::string& tree, std::uint64_t since);
  void leave(http_context&, const std::string& tree,
             std::unique_ptr<event_hub::subscription> source);

  /// From this event on the events tell all that the tree's threads write; UINT64_MAX: they do not.
  std::uint64_t told_since(const std::string& tree) const;

private:
  struct watch {
    std::size_t streams = 0;
    std::uint64_t since = UINT64_MAX;
    std::uint64_t left = 0; ///< the departure after which nobody was there; rises over all trees
    std::unique_ptr<event_hub::subscription> source;
  };
  void keep_alive(http_context&);

  std::string name_;
  std::set<std::shared_ptr<event_stream>> streams_;
  std::map<std::string, watch> watches_;
  std::uint64_t departures_ = 0, tellings_ = 0;
  bool ticking_ = false;
};

} // namespace banyan
