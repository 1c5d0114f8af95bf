#pragma once

#include <string>
#include <vector>

namespace banyan {

struct tree;

/// A tree on standard error: drawn live on a terminal, one line per thread; plain lines when it has
/// finished elsewhere.
class tree_view {
public:
  explicit tree_view(bool quiet);
  ~tree_view();

  /// Draws the tree as it is now; on a terminal only.
  void show(const tree&);

  /// Leaves the finished tree standing.
  void finish(const tree&);

private:
  void erase();
  void draw(const std::vector<std::string>& lines);

  bool quiet_, terminal_, colours_;
  std::size_t drawn_ = 0; ///< lines that stand on the terminal
};

/// One line per thread: path, state, tokens, and what it found or where it is.
std::vector<std::string> tree_lines(const tree&, bool colours, int columns);

} // namespace banyan
