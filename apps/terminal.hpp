#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace banyan {

/// Writes to standard output at once. Throws `reader_left` where nobody reads it any more, and
/// `bad_environment` where it cannot be written for another reason (no space).
void print(std::string_view text);

/// For the begin of `main`: a standard descriptor that the program was started without is opened,
/// so that no file or socket takes its place. Input is at its end then, writing to standard output
/// fails, and what goes to standard error is lost.
void hold_standard_descriptors();

/// Writes to standard error at once; failures are not told, for there is nobody left to tell.
void print_error(std::string_view text);

/// One line on standard error; a progress line that stands there makes room first.
void note(std::string_view text);

/// "banyan: <text>" on standard error.
void complain(std::string_view text);

bool stdout_is_terminal();
/// Whether that is a terminal on which lines can be drawn anew: not one that calls itself dumb.
bool can_draw_on(int descriptor);
/// Colours are for terminals that want them (no-color.org).
bool colours(bool is_terminal);
/// Columns and rows of the terminal; 80 by 24 where there is none.
struct terminal_size {
  int columns = 80, rows = 24;
};
terminal_size size_of_terminal(int descriptor);

/// The text cut to so many columns, between two words where there are any, with "..." at its end;
/// UTF-8 stays whole.
std::string fit(std::string_view text, int columns);
/// The text with something harmless for control characters: what others wrote does not steer the
/// terminal.
std::string printable(std::string_view text);
/// The same of each line of a text.
std::string printable_lines(std::string_view text);

/// The text as one word of a POSIX shell: in single quotes where it needs them.
std::string shell_word(std::string_view text);

/// Lines on a terminal that are drawn anew in their place.
class live_lines {
public:
  explicit live_lines(int descriptor) : descriptor_(descriptor) {}
  ~live_lines() { erase(); }
  live_lines(const live_lines&) = delete;
  live_lines& operator=(const live_lines&) = delete;
  void show(const std::vector<std::string>& lines);
  void erase();
  /// What stands there stays.
  void leave() { drawn_ = 0; }

private:
  int descriptor_;
  std::size_t drawn_ = 0;
};

/// What a long command is doing, on standard error: a line that is redrawn on a terminal, a line
/// now and then elsewhere, nothing when quiet.
class progress_line {
public:
  /// `at_once`: false says nothing of what takes a moment.
  explicit progress_line(bool quiet, std::chrono::seconds every = std::chrono::seconds(10),
                         bool at_once = true);
  ~progress_line();
  void show(const std::string& text);
  /// How far it came in the end; on a terminal the line goes.
  void finish(const std::string& text);
  void clear();

private:
  using clock = std::chrono::steady_clock;
  bool quiet_, terminal_, shown_ = false;
  clock::duration every_;
  clock::time_point next_{};
  std::string noted_;
};

/// "[#####.....]" of so many columns.
std::string bar(double share, int columns);
/// "1:02:03", "2:03".
std::string duration_text(double seconds);
/// "950", "12.3k", "4.56M".
std::string short_number(double value);
/// "1 thread", "2 threads".
std::string counted(std::uint64_t n, const char* noun);

} // namespace banyan
