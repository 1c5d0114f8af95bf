#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace banyan {

/// How much a line of the HTTP side's log matters.
enum class http_level : std::uint8_t { error, warning, info, debug };

/// Takes a line about a request; `tree` is the tree it was about, or empty.
using http_log = std::function<void(http_level, const std::string& text, const std::string& tree)>;

/// Where and how the daemon listens, and what it takes from whom.
struct http_options {
  std::string address = "127.0.0.1"; ///< an IP address or "localhost"
  std::uint16_t port = 8427;         ///< 0: any free one
  std::string token;                 ///< asked of every request; empty: none, on loopback alone

  std::uint64_t max_body_bytes = 1 << 20;
  std::size_t max_url_bytes = 8192;
  std::size_t max_header_bytes = 32768; ///< all headers of a request
  std::size_t max_connections = 2048;
  double requests_per_s = 0; ///< by one remote address; 0: any number

  double read_timeout_s = 60;  ///< for a request to arrive, and between two of a connection
  double write_timeout_s = 30; ///< for a reader to take the next 256 KiB
  double keep_alive_s = 15;    ///< between the comments that keep a stream of events open
  double watch_on_s = 30;      ///< that a tree's texts are told after its last watcher has left

  http_log log; ///< may be empty
};

} // namespace banyan
