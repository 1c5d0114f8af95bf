#include "apps/serving/listen_address.hpp"

#include "apps/failure.hpp"
#include "apps/serving/http_options.hpp"

#include <algorithm>
#include <charconv>

#include <arpa/inet.h>
#include <sys/resource.h>

namespace banyan {

namespace {

/// Open beside the connections: goodbyes to clients, the store, the model, devices.
constexpr std::size_t files_of_others = 192;

} // namespace

bool is_loopback_address(const std::string& address) {
  if (address == "localhost") return true;
  in_addr v4{};
  in6_addr v6{};
  if (::inet_pton(AF_INET, address.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  if (::inet_pton(AF_INET6, address.c_str(), &v6) == 1) return IN6_IS_ADDR_LOOPBACK(&v6) != 0;
  throw bad_usage(address, "it is no IP address", "listen on 127.0.0.1, ::1 or 0.0.0.0");
}

void read_address(const std::string& text, http_options& o) {
  const auto colon = text.rfind(':');
  auto host = colon == std::string::npos ? "127.0.0.1" : text.substr(0, colon);
  const auto port = colon == std::string::npos ? text : text.substr(colon + 1);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  std::uint16_t number = 0;
  const auto [end, wrong] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (host.empty() || wrong != std::errc{} || end != port.data() + port.size())
    throw bad_usage("--listen " + text, "it is not an address and a port",
                    "give HOST:PORT, such as 127.0.0.1:8427");
  o.address = host;
  o.port = number;
}

std::string address_text(const std::string& address, std::uint16_t port) {
  const bool v6 = address.find(':') != address.npos;
  return (v6 ? '[' + address + ']' : address) + ':' + std::to_string(port);
}

std::size_t room_for_connections(std::size_t most) {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  if (files.rlim_cur < most + files_of_others) {
    files.rlim_cur = std::min<rlim_t>(files.rlim_max, most + files_of_others);
    ::setrlimit(RLIMIT_NOFILE, &files);
    ::getrlimit(RLIMIT_NOFILE, &files);
  }
  const auto room = std::max<rlim_t>(files.rlim_cur, files_of_others + 1) - files_of_others;
  return std::min<std::size_t>(most, room);
}

} // namespace banyan
