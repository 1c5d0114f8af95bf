#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace banyan {

struct http_options;

/// Only this machine reaches it. Throws `bad_usage` for what is neither an IP address nor
/// "localhost".
bool is_loopback_address(const std::string& address);

/// Reads "HOST:PORT", "[::1]:PORT", or a port alone. Throws `bad_usage`.
void read_address(const std::string& text, http_options&);

/// "127.0.0.1:8427", "[::1]:8427"
std::string address_text(const std::string& address, std::uint16_t port);

/// How many connections there can be, so many at most. Raises the number of files that this process
/// may have open where that is allowed.
std::size_t room_for_connections(std::size_t most);

} // namespace banyan
