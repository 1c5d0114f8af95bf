#pragma once

#include "apps/banyand/daemon_options.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace banyan {

struct tree_news;

/// The daemon's log: lines on standard error, as text for people or as JSON for programs, each with
/// the tree that it is about, where there is one. Called from any OS thread. Whatever is said is
/// one line without control characters: others wrote much of it. Nobody waits for who reads the
/// log: lines that are not read in time are dropped, the oldest first, and in their place stands
/// how many they were.
///
///   2026-11-22T09:30:00.123Z info  [01J9…] accepted
///   {"time":"2026-11-22T09:30:00.123Z","level":"info","tree":"01J9…","message":"accepted"}
class daemon_log {
public:
  using level = common_options::level;

  static void begin(daemon_options::format, level);
  static void set_level(level);

  /// Nothing is written after this but what was, and then `last` as it is. Waits for who reads, but
  /// not for one who does not. False: the log had not begun, and `last` is not written.
  static bool end(std::string_view last = {});

  static void write(level, std::string_view message, std::string_view tree = {});

  /// What `write` writes.
  static std::string line(daemon_options::format, std::int64_t unix_ms, level,
                          std::string_view message, std::string_view tree);

  /// A tree that is taken is a line for who looks closely; how it ended is one for everybody.
  static void write(const tree_news&);
};

} // namespace banyan
