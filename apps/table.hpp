#pragma once

#include <string>
#include <vector>

namespace banyan {

/// Columns as wide as their widest entry, for people to read.
class table {
public:
  struct column {
    std::string title;
    bool right = false; ///< numbers end at the same place
  };
  explicit table(std::vector<column> columns) : columns_(std::move(columns)) {}

  /// One text per column; control characters do no harm.
  void add(std::vector<std::string> row);

  /// The titles and the rows, without blanks at their ends.
  std::vector<std::string> lines() const;

private:
  std::vector<column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

} // namespace banyan
