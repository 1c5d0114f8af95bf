#include "apps/terminal.hpp"

#include "apps/failure.hpp"
#include "apps/safe_text.hpp"
#include "apps/text_width.hpp"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace banyan {

namespace {

/// There is nobody left to tell that it failed.
void write_quietly(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const auto n = ::write(descriptor, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

bool line_stands = false; // a progress line on standard error, without a newline after it

void wipe() {
  if (std::exchange(line_stands, false)) print_error("\r\x1b[K");
}

} // namespace

void hold_standard_descriptors() {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (::fcntl(descriptor, F_GETFD) < 0) // the lowest that is free: it is what `open` gives
      (void)::open("/dev/null", descriptor == STDERR_FILENO ? O_WRONLY : O_RDONLY);
}

void print_error(std::string_view text) { write_quietly(STDERR_FILENO, text); }

void print(std::string_view text) {
  while (!text.empty()) {
    const auto n = ::write(STDOUT_FILENO, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EPIPE) throw reader_left();
    if (n < 0)
      throw output_failed("standard output", std::strerror(errno), "make room or write elsewhere");
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

void note(std::string_view text) {
  wipe();
  print_error(std::string(text) + "\n");
}

std::string printable_lines(std::string_view text) {
  std::string shown;
  for (std::size_t begin = 0; begin < text.size();) {
    const auto end = std::min(text.find('\n', begin), text.size());
    shown += printable(text.substr(begin, end - begin));
    if (end < text.size()) shown += '\n';
    begin = end + 1;
  }
  return shown;
}

void complain(std::string_view text) {
  wipe();
  // An error is one line, whatever it quotes.
  print_error("banyan: " + printable(text) + "\n");
}

bool stdout_is_terminal() { return ::isatty(STDOUT_FILENO) == 1; }

namespace {

bool is_dumb() {
  const auto* term = std::getenv("TERM");
  return term && std::string_view(term) == "dumb";
}

} // namespace

bool can_draw_on(int descriptor) { return ::isatty(descriptor) == 1 && !is_dumb(); }

bool colours(bool is_terminal) {
  const auto* no = std::getenv("NO_COLOR");
  return is_terminal && !(no && *no) && !is_dumb();
}

terminal_size size_of_terminal(int descriptor) {
  winsize size{};
  if (::ioctl(descriptor, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return {};
  return {size.ws_col, size.ws_row};
}

std::string fit(std::string_view text, int columns) {
  constexpr std::string_view mark = "...";
  constexpr int longest_word = 16; // that is left out rather than cut
  const auto all = first_columns(text, static_cast<std::size_t>(std::max(columns, 0)));
  if (all.size() == text.size() || columns <= static_cast<int>(mark.size()))
    return std::string(all);
  auto head = first_columns(text, static_cast<std::size_t>(columns) - mark.size());
  const auto blank = head.rfind(' ');
  if (blank != head.npos && head.size() - blank <= longest_word) head = head.substr(0, blank + 1);
  return std::string(head) += mark;
}

std::string printable(std::string_view text) {
  std::string clean;
  while (!text.empty()) {
    const auto [bytes, unsafe] = first_of(text);
    if (!unsafe)
      clean += text.substr(0, bytes);
    else
      clean += *unsafe == '\n' || *unsafe == '\t' ? ' ' : '?';
    text.remove_prefix(bytes);
  }
  return clean;
}

std::string shell_word(std::string_view text) {
  constexpr std::string_view plain =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
      "_-+=:,./@%";
  if (!text.empty() && text.find_first_not_of(plain) == text.npos) return std::string(text);
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? "'\\''" : std::string(1, c);
  return quoted + "'";
}

// ---- lines drawn anew

void live_lines::show(const std::vector<std::string>& lines) {
  // One write a frame: no flicker.
  std::string frame = drawn_ > 0 ? "\r\033[" + std::to_string(drawn_) + "A" : "";
  for (const auto& line : lines) frame += line + "\033[K\n";
  drawn_ = lines.size();
  write_quietly(descriptor_, frame + "\033[J");
}

void live_lines::erase() {
  if (const auto lines = std::exchange(drawn_, 0); lines > 0)
    write_quietly(descriptor_, "\r\033[" + std::to_string(lines) + "A\033[J");
}

// ---- progress

progress_line::progress_line(bool quiet, std::chrono::seconds every, bool at_once)
    : quiet_(quiet), terminal_(can_draw_on(STDERR_FILENO)), every_(every) {
  if (terminal_) every_ = std::chrono::milliseconds(100);
  if (!at_once) next_ = clock::now() + every_;
}

progress_line::~progress_line() { clear(); }

void progress_line::show(const std::string& text) {
  if (quiet_ || clock::now() < next_) return;
  next_ = clock::now() + every_;
  if (!terminal_) return note(noted_ = text);
  print_error("\r" + fit(text, size_of_terminal(STDERR_FILENO).columns - 1) + "\x1b[K");
  line_stands = shown_ = true;
}

void progress_line::finish(const std::string& text) {
  clear();
  if (!quiet_ && !terminal_ && !text.empty() && text != noted_) note(noted_ = text);
}

void progress_line::clear() {
  if (std::exchange(shown_, false)) wipe();
}

std::string bar(double share, int columns) {
  const auto full = std::clamp(static_cast<int>(std::lround(share * columns)), 0, columns);
  return "[" + std::string(std::size_t(full), '#') + std::string(std::size_t(columns - full), '.')
         + "]";
}

std::string counted(std::uint64_t n, const char* noun) {
  return std::to_string(n) + " " + noun + (n == 1 ? "" : "s");
}

std::string duration_text(double seconds) {
  const auto s = static_cast<long long>(std::max(0.0, std::isfinite(seconds) ? seconds : 0.0));
  char text[32];
  if (s >= 3600)
    std::snprintf(text, sizeof text, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
  else
    std::snprintf(text, sizeof text, "%lld:%02lld", s / 60, s % 60);
  return text;
}

std::string short_number(double value) {
  char text[32];
  if (std::abs(value) < 1000)
    std::snprintf(text, sizeof text, "%.0f", value);
  else if (std::abs(value) < 1e6)
    std::snprintf(text, sizeof text, "%.1fk", value / 1e3);
  else
    std::snprintf(text, sizeof text, "%.2fM", value / 1e6);
  return text;
}

} // namespace banyan
