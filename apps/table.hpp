#pragma once

#include <climits>
#include <cstddef>
#include <string>
#include <vector>

namespace banyan {

/// Columns as wide as their widest entry, for people to read.
class table {
public:
  struct column {
    std::string title;
    bool right = false;    ///< numbers end at the same place
    int worth = 0;         ///< columns worth less go first where there is no room; 0: it stays
    std::size_t least = 0; ///< it may lose its begin, down to so many characters; 0: it may not
  };
  explicit table(std::vector<column> columns) : columns_(std::move(columns)) {}

  /// One text per column; control characters do no harm.
  void add(std::vector<std::string> row);

  /// The titles and the rows, without blanks at their ends. Where they are wider than so many
  /// characters, columns are left out and shortened as far as they may be.
  std::vector<std::string> lines(int characters = INT_MAX) const;

private:
  using widths = std::vector<std::size_t>; ///< by column; 0: it is left out

  widths widest() const;
  widths fitted(widths, std::size_t room) const;
  /// False: that does not do.
  bool shorten(widths&, std::size_t over) const;
  /// False: those that are left stay.
  bool leave_one_out(widths&) const;

  std::vector<column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

} // namespace banyan
