#pragma once

#include "solver/tree.hpp"

#include <cstdint>
#include <memory>
#include <string_view>

#include <nlohmann/json.hpp>

namespace banyan {

/// An event as it is sent.
struct told_event {
  std::string_view name;
  nlohmann::ordered_json data;
};

class storyteller;

/// What a tree's records tell, live or finished, in the order in which it grew: the tree, and of
/// each thread how it is now, its text up to a spawn, the spawn, the children, the join, and so on;
/// `done` last where the tree has ended. Put together as live events are, they are the texts. Times
/// are those of the records; what has none is from `now_ms`, in Unix time, or from the end. Of a
/// finished tree it is the same whenever it is told.
/// It is told event by event, so that nobody holds it whole.
class tree_story {
public:
  tree_story(std::shared_ptr<const tree>, std::int64_t now_ms);
  tree_story(tree_story&&) noexcept;
  ~tree_story();

  /// Nothing is left.
  bool over();
  /// The next event, while there is one.
  told_event next();

private:
  std::unique_ptr<storyteller> teller_;
};

} // namespace banyan
