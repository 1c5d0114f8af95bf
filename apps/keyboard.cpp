#include "apps/keyboard.hpp"

#include "apps/interrupt.hpp"
#include "apps/terminal.hpp"

#include <array>
#include <csignal>
#include <thread>
#include <utility>

#include <poll.h>
#include <termios.h>
#include <unistd.h>

namespace banyan {

namespace {

constexpr std::string_view take_screen = "\033[?1049h\033[?25l\033[H\033[2J";
constexpr std::string_view leave_screen = "\033[?25h\033[?1049l";
constexpr char ctrl_z = 0x1a;

/// Signals that end a program without asking it; SIGINT and SIGTERM ask (apps/interrupt.hpp).
constexpr std::array deadly{SIGHUP, SIGQUIT, SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};

termios before;                           // how keys were read
volatile std::sig_atomic_t keys_ours = 0; // `before` is to be restored
volatile std::sig_atomic_t screen_ours = 0;

void take_terminal() {
  if (::isatty(STDIN_FILENO) == 1 && ::tcgetattr(STDIN_FILENO, &before) == 0) {
    auto raw = before;
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    raw.c_cc[VSUSP] = _POSIX_VDISABLE;
    keys_ours = 1;
    ::tcsetattr(STDIN_FILENO, TCSANOW, &raw);
  }
  screen_ours = 1;
  print(take_screen);
}

/// Called in signal handlers too.
void leave_terminal() {
  if (screen_ours) {
    [[maybe_unused]] const auto n =
        ::write(STDOUT_FILENO, leave_screen.data(), leave_screen.size());
  }
  if (keys_ours) ::tcsetattr(STDIN_FILENO, TCSANOW, &before);
  keys_ours = 0;
  screen_ours = 0;
}

void on_deadly(int number) {
  leave_terminal();
  ::raise(number); // the handler is gone: what would have happened without us
}

std::array<struct sigaction, deadly.size()> earlier; // who handled them

void handle_deadly() {
  for (std::size_t i = 0; i < deadly.size(); ++i) {
    struct sigaction action {};
    action.sa_handler = on_deadly;
    action.sa_flags = SA_RESETHAND;
    ::sigemptyset(&action.sa_mask);
    ::sigaction(deadly[i], &action, &earlier[i]);
  }
}

void handle_deadly_as_before() {
  for (std::size_t i = 0; i < deadly.size(); ++i) ::sigaction(deadly[i], &earlier[i], nullptr);
}

struct sequence {
  std::string_view bytes;
  key what;
};
constexpr std::array sequences{
    sequence{"\033[A", key::up},       sequence{"\033OA", key::up},
    sequence{"\033[B", key::down},     sequence{"\033OB", key::down},
    sequence{"\033[5~", key::page_up}, sequence{"\033[6~", key::page_down},
    sequence{"\033[H", key::home},     sequence{"\033OH", key::home},
    sequence{"\033[1~", key::home},    sequence{"\033[F", key::end},
    sequence{"\033OF", key::end},      sequence{"\033[4~", key::end},
    sequence{"\r", key::enter},        sequence{"\n", key::enter}};

/// Bytes of the escape sequence that a text begins with, whatever it means; 0: not all of it is
/// there.
std::size_t length_of_sequence(std::string_view text) {
  if (text.size() < 2) return 0;
  if (text[1] == 'O') return text.size() < 3 ? 0 : 3;
  if (text[1] != '[') return 1;
  for (std::size_t i = 2; i < text.size(); ++i)
    if (text[i] >= 0x40 && text[i] <= 0x7e) return i + 1;
  return 0;
}

} // namespace

std::optional<keystroke> key_reader::next(bool at_rest) {
  if (bytes_.empty()) return {};
  std::size_t size = 1;
  if (bytes_[0] == '\033') {
    size = length_of_sequence(bytes_);
    if (size == 0 && !at_rest) return {};
    if (size < 2) {
      bytes_.erase(0, 1);
      return keystroke{key::escape};
    }
  }
  const auto pressed = bytes_.substr(0, size);
  bytes_.erase(0, size);
  for (const auto& s : sequences)
    if (s.bytes == pressed) return keystroke{s.what};
  return keystroke{key::other, size == 1 ? pressed[0] : '\0'};
}

full_screen::full_screen() : has_keys_(::isatty(STDIN_FILENO) == 1) {
  handle_deadly();
  before_ending_at_once(leave_terminal);
  take_terminal();
}

full_screen::~full_screen() {
  leave_terminal();
  before_ending_at_once(nullptr);
  handle_deadly_as_before();
}

void full_screen::suspend() {
  leave_terminal();
  ::raise(SIGTSTP); // returns when the shell brings us back
  take_terminal();
}

std::optional<keystroke> full_screen::next_key(std::chrono::milliseconds patience) {
  if (!has_keys_) {
    std::this_thread::sleep_for(patience);
    return {};
  }
  if (const auto waiting = keys_.next(false)) return waiting;
  pollfd input{STDIN_FILENO, POLLIN, 0};
  const bool came = ::poll(&input, 1, static_cast<int>(patience.count())) > 0;
  std::array<char, 256> bytes;
  const auto n = came ? ::read(STDIN_FILENO, bytes.data(), bytes.size()) : 0;
  if (n > 0) keys_.feed({bytes.data(), static_cast<std::size_t>(n)});
  if (came && n <= 0) has_keys_ = false; // the terminal is gone
  const auto pressed = keys_.next(n <= 0);
  if (!pressed || pressed->letter != ctrl_z) return pressed;
  suspend();
  return keystroke{};
}

} // namespace banyan
