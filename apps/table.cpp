#include "apps/table.hpp"

#include "apps/terminal.hpp"
#include "apps/text_width.hpp"

#include <algorithm>
#include <cassert>

namespace banyan {

namespace {

/// What columns take, with two blanks between them.
std::size_t total(const std::vector<std::size_t>& widths) {
  std::size_t sum = 0;
  for (const auto w : widths)
    if (w > 0) sum += w + (sum > 0 ? 2 : 0);
  return sum;
}

/// The text's end, behind a mark where that is not all of it.
std::string last_of(const std::string& text, std::size_t columns) {
  constexpr std::string_view mark = "..";
  if (width_of(text) <= columns) return text;
  return std::string(mark).append(last_columns(text, columns - std::min(columns, mark.size())));
}

} // namespace

void table::add(std::vector<std::string> row) {
  assert(row.size() == columns_.size());
  for (auto& text : row) text = printable(text);
  rows_.push_back(std::move(row));
}

table::widths table::widest() const {
  widths all;
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    all.push_back(width_of(columns_[c].title));
    for (const auto& row : rows_) all[c] = std::max(all[c], width_of(row[c]));
  }
  return all;
}

table::widths table::fitted(widths wanted, std::size_t room) const {
  for (;;) {
    const auto needed = total(wanted);
    if (needed <= room) return wanted;
    auto shorter = wanted;
    if (shorten(shorter, needed - room)) return shorter;
    if (!leave_one_out(wanted)) return shorter;
  }
}

bool table::shorten(widths& all, std::size_t over) const {
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    if (columns_[c].least == 0 || all[c] <= columns_[c].least) continue;
    const auto less = std::min(over, all[c] - columns_[c].least);
    all[c] -= less;
    over -= less;
  }
  return over == 0;
}

bool table::leave_one_out(widths& all) const {
  std::size_t out = columns_.size();
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    if (all[c] == 0 || columns_[c].worth == 0) continue;
    if (out == columns_.size() || columns_[c].worth < columns_[out].worth) out = c;
  }
  if (out == columns_.size()) return false;
  all[out] = 0;
  return true;
}

std::vector<std::string> table::lines(int characters) const {
  const auto all = fitted(widest(), static_cast<std::size_t>(std::max(characters, 0)));
  std::vector<std::vector<std::string>> rows{{}};
  for (const auto& c : columns_) rows[0].push_back(c.title);
  rows.insert(rows.end(), rows_.begin(), rows_.end());
  std::vector<std::string> lines(rows.size());
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    if (all[c] == 0) continue;
    for (std::size_t r = 0; r < rows.size(); ++r) {
      const auto text = last_of(rows[r][c], all[c]);
      const std::string blank(all[c] - width_of(text), ' ');
      lines[r] +=
          (lines[r].empty() ? "" : "  ") + (columns_[c].right ? blank + text : text + blank);
    }
  }
  for (auto& line : lines) line.erase(line.find_last_not_of(' ') + 1);
  return lines;
}

} // namespace banyan
