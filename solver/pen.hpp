#pragma once

#include <array>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>

namespace banyan {

/// Writes text into one growing buffer, as fast as text can be written: room is asked for once per
/// line, numbers below 1000 come from a table.
class pen {
public:
  /// No line that is written between two calls of `line` may be longer than this.
  static constexpr std::size_t max_line = 2048;

  explicit pen(std::size_t capacity) { grow(capacity + max_line); }

  /// Makes room for one more line.
  void line() { room(max_line); }

  void room(std::size_t bytes) {
    if (static_cast<std::size_t>(end_ - at_) < bytes) grow(2 * capacity() + bytes);
  }

  template <std::size_t N>
  void put(const char (&phrase)[N]) {
    std::memcpy(at_, phrase, N - 1);
    at_ += N - 1;
  }

  void put(char c) { *at_++ = c; }

  void put(std::string_view text) {
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }

  void put(std::int64_t number) {
    if (number < 0 || number >= 1000) {
      at_ = std::to_chars(at_, end_, number).ptr;
      return;
    }
    auto& digits = small_numbers[static_cast<std::size_t>(number)];
    std::memcpy(at_, digits.data(), 3);
    at_ += digits[3];
  }

  std::size_t size() const { return static_cast<std::size_t>(at_ - buffer_.get()); }

  /// What was written between two values of `size`; valid until something more is written.
  std::string_view between(std::size_t begin, std::size_t end) const {
    return {buffer_.get() + begin, end - begin};
  }
  std::string_view since(std::size_t begin) const { return between(begin, size()); }

private:
  /// Three digits, left-aligned, and how many of them count.
  using small_number = std::array<char, 4>;

  static constexpr std::array<small_number, 1000> make_small_numbers() {
    std::array<small_number, 1000> table{};
    for (int n = 0; n < 1000; ++n) {
      char size = n < 10 ? 1 : n < 100 ? 2 : 3;
      for (int rest = n, i = size; i-- > 0; rest /= 10)
        table[n][i] = static_cast<char>('0' + rest % 10);
      table[n][3] = size;
    }
    return table;
  }
  static const std::array<small_number, 1000> small_numbers;

  std::size_t capacity() const { return static_cast<std::size_t>(end_ - buffer_.get()); }

  void grow(std::size_t capacity) {
    auto used = buffer_ ? size() : 0;
    auto larger = std::make_unique_for_overwrite<char[]>(capacity);
    if (used > 0) std::memcpy(larger.get(), buffer_.get(), used);
    buffer_ = std::move(larger);
    at_ = buffer_.get() + used;
    end_ = buffer_.get() + capacity;
  }

  std::unique_ptr<char[]> buffer_;
  char* at_ = nullptr;
  char* end_ = nullptr;
};

inline constexpr std::array<pen::small_number, 1000> pen::small_numbers = make_small_numbers();

} // namespace banyan
