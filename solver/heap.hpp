#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace banyan {

/// A binary min-heap that hands out equal scores in exactly the order in which CPython's `heapq`
/// does, so that searches visit their nodes as the published procedure visits them.
/// (`std::pop_heap` orders ties in another way, and each library in its own.)
template <class Value>
class score_heap {
public:
  bool empty() const { return items_.empty(); }

  void push(double score, Value value) {
    items_.push_back({score, value});
    rise(0, items_.size() - 1);
  }

  Value pop() {
    auto last = items_.back();
    items_.pop_back();
    if (items_.empty()) return last.value;
    auto result = std::exchange(items_.front(), last).value;
    sink_and_rise();
    return result;
  }

private:
  struct item {
    double score;
    Value value;
  };

  /// Moves the item at `position` towards `start` past everything larger.
  void rise(std::size_t start, std::size_t position) {
    auto moving = items_[position];
    while (position > start) {
      auto parent = (position - 1) / 2;
      if (!(moving.score < items_[parent].score)) break;
      items_[position] = items_[parent];
      position = parent;
    }
    items_[position] = moving;
  }

  /// The hole at the top follows the smaller child (the right one of equals) down to a leaf,
  /// whatever the moving item's own score, and the item rises from there: this is what decides
  /// ties.
  void sink_and_rise() {
    auto moving = items_.front();
    std::size_t hole = 0;
    for (std::size_t child = 1; child < items_.size(); child = 2 * hole + 1) {
      auto right = child + 1;
      if (right < items_.size() && !(items_[child].score < items_[right].score)) child = right;
      items_[hole] = items_[child];
      hole = child;
    }
    items_[hole] = moving;
    rise(0, hole);
  }

  std::vector<item> items_;
};

} // namespace banyan
