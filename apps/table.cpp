#include "apps/table.hpp"

#include "apps/terminal.hpp"

#include <algorithm>
#include <cassert>

namespace banyan {

namespace {

/// In characters of UTF-8.
std::size_t width(const std::string& text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

} // namespace

void table::add(std::vector<std::string> row) {
  assert(row.size() == columns_.size());
  for (auto& text : row) text = printable(text);
  rows_.push_back(std::move(row));
}

std::vector<std::string> table::lines() const {
  std::vector<std::vector<std::string>> rows{{}};
  for (const auto& c : columns_) rows[0].push_back(c.title);
  rows.insert(rows.end(), rows_.begin(), rows_.end());
  std::vector<std::string> lines(rows.size());
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    std::size_t widest = 0;
    for (const auto& row : rows) widest = std::max(widest, width(row[c]));
    for (std::size_t r = 0; r < rows.size(); ++r) {
      const std::string blank(widest - width(rows[r][c]), ' ');
      lines[r] +=
          (c > 0 ? "  " : "") + (columns_[c].right ? blank + rows[r][c] : rows[r][c] + blank);
    }
  }
  for (auto& line : lines) line.erase(line.find_last_not_of(' ') + 1);
  return lines;
}

} // namespace banyan
