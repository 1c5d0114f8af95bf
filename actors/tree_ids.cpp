#include "actors/tree_ids.hpp"

#include "solver/chance.hpp"

#include <algorithm>

namespace banyan {

namespace {

constexpr char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

} // namespace

tree_ids::tree_ids(std::uint64_t seed) : state_(seed) {}

std::uint64_t tree_ids::random() { return chance::mix(state_ += chance::golden); }

std::string tree_ids::next(std::int64_t unix_ms) {
  // A clock that was set back must not make an id that sorts before an older one.
  if (unix_ms > last_ms_) {
    last_ms_ = unix_ms;
    high_ = random() & 0x7fff; // half of the range is left to count up in
    low_ = random();
  } else if (++low_ == 0) {
    ++high_;
  }
  std::string id(26, '0');
  auto put = [&](std::size_t begin, std::size_t end, std::uint64_t value) {
    for (auto i = end; i-- > begin; value >>= 5) id[i] = digits[value & 31];
  };
  put(0, 10, static_cast<std::uint64_t>(last_ms_));
  put(10, 14, high_ << 4 | low_ >> 60);
  put(14, 26, low_ & ((std::uint64_t{1} << 60) - 1));
  return id;
}

bool is_tree_id(std::string_view text) {
  return text.size() == 26 && text.find_first_not_of(digits) == text.npos;
}

} // namespace banyan
