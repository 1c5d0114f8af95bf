#pragma once

#include "apps/banyand/reply.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace banyan {

class event_stream;

/// All open streams of events. Used on the loop's OS thread alone.
class event_streams {
public:
  /// `name`: tells this process's events from those of another one.
  explicit event_streams(std::string name) : name_(std::move(name)) {}

  /// Answers with the events of a tree, of all trees where `tree` is empty: those that the client
  /// has missed since its `Last-Event-ID`, else a snapshot of the tree, then live ones. A reader
  /// that does not keep up finds the stream ended, and may come back.
  void open(http_context&, const reply_ptr&, const std::string& tree);

  /// Leaves the hub; nothing is told to the clients.
  void clear();

  const std::string& name() const { return name_; }
  void add(http_context&, const std::shared_ptr<event_stream>&);
  void remove(http_context&, const std::shared_ptr<event_stream>&);

  /// What became of a tree that has just ended; nothing where nobody knows. Many streams that ask
  /// at a time are one question.
  using told_outcome = std::function<void(const std::optional<outcome>&)>;
  void outcome_of(http_context&, const std::string& tree, told_outcome);

private:
  void ask(http_context&, const std::string& tree, int tries);
  void answer(http_context&, const std::string& tree, const tree_ptr&, int tries);
  void keep_alive(http_context&);

  std::string name_;
  std::set<std::shared_ptr<event_stream>> streams_;
  std::map<std::string, std::vector<told_outcome>> asked_;
  bool ticking_ = false;
};

} // namespace banyan
