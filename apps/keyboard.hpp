#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace banyan {

enum class key : std::uint8_t { other, up, down, page_up, page_down, home, end, enter, escape };

/// A key that was pressed; `letter` where it stands for a character.
struct keystroke {
  key what = key::other;
  char letter = 0;
};

/// Cuts what a terminal sends into keys.
class key_reader {
public:
  void feed(std::string_view bytes) { bytes_ += bytes; }
  /// The next key. A lone escape byte is a key once nothing more comes (`at_rest`).
  std::optional<keystroke> next(bool at_rest);

private:
  std::string bytes_;
};

/// The whole terminal for a program that draws on it and reads keys, until this object or the
/// program ends: the screen, the cursor and the way keys are read are then as they were, also where
/// a signal ends the program. Ctrl-Z stops it as usual. There is one at a time.
class full_screen {
public:
  full_screen();
  ~full_screen();
  full_screen(const full_screen&) = delete;
  full_screen& operator=(const full_screen&) = delete;

  /// The next key; nothing if none is pressed in that time. Without a terminal to read from it only
  /// waits.
  std::optional<keystroke> next_key(std::chrono::milliseconds patience);

private:
  void suspend();
  key_reader keys_;
  bool has_keys_ = false;
};

} // namespace banyan
