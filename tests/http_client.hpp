#pragma once

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace banyan {

/// A connection as bytes, so that anything can be sent. Reading fails after ten seconds.
class raw_client {
public:
  explicit raw_client(std::uint16_t port, int receive_buffer = 0)
      : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (socket_ < 0) fail("socket");
    if (receive_buffer > 0)
      ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(socket_, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) fail("connect");
  }
  raw_client(raw_client&& other) noexcept
      : socket_(std::exchange(other.socket_, -1)), read_(std::move(other.read_)) {}
  ~raw_client() { close(); }

  /// Leaves without a goodbye.
  void reset() {
    const linger at_once{1, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close();
  }

  int descriptor() const { return socket_; }

  void close() {
    if (socket_ >= 0) ::close(std::exchange(socket_, -1));
  }

  /// False: the other side has closed.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto n = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }

  /// Reads more into `buffered`. False: the other side has closed.
  bool read() {
    char bytes[16384];
    wait();
    const auto n = ::recv(socket_, bytes, sizeof bytes, 0);
    if (n > 0) read_.append(bytes, static_cast<std::size_t>(n));
    return n > 0;
  }

  /// Something has come, or the other side has closed, within `ms`.
  bool readable(int ms) {
    pollfd p{socket_, POLLIN, 0};
    return !read_.empty() || ::poll(&p, 1, ms) > 0;
  }

  std::string take(std::size_t bytes) {
    while (read_.size() < bytes)
      if (!read()) throw std::runtime_error("closed too early");
    auto taken = read_.substr(0, bytes);
    read_.erase(0, bytes);
    return taken;
  }

  /// All up to and with `end`; nothing if the other side closes before that.
  std::optional<std::string> take_until(std::string_view end) {
    for (std::size_t from = 0;;) {
      const auto found = read_.find(end, from);
      if (found != read_.npos) return take(found + end.size());
      from = read_.size() < end.size() ? 0 : read_.size() - end.size();
      if (!read()) return {};
    }
  }

  /// The other side closes without a further byte.
  bool closed() { return read_.empty() && !read(); }

private:
  [[noreturn]] static void fail(const char* what) {
    throw std::system_error(errno, std::generic_category(), what);
  }
  void wait() {
    pollfd p{socket_, POLLIN, 0};
    if (::poll(&p, 1, 10'000) <= 0) throw std::runtime_error("nothing came in ten seconds");
  }

  int socket_;
  std::string read_;
};

struct http_answer {
  int status = 0;
  std::map<std::string, std::string> headers; ///< names in lower case
  std::string body;

  std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? std::string() : found->second;
  }
};

/// Status and headers.
inline http_answer read_head(raw_client& from) {
  const auto head = from.take_until("\r\n\r\n");
  if (!head) throw std::runtime_error("closed without an answer");
  http_answer answer;
  answer.status = std::stoi(head->substr(head->find(' ') + 1));
  for (auto at = head->find("\r\n") + 2; at + 2 < head->size();) {
    const auto end = head->find("\r\n", at), colon = head->find(": ", at);
    auto name = head->substr(at, colon - at);
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
    answer.headers[name] = head->substr(colon + 2, end - colon - 2);
    at = end + 2;
  }
  return answer;
}

/// One chunk of a chunked body; empty: the last one.
inline std::string read_chunk(raw_client& from) {
  const auto line = from.take_until("\r\n");
  if (!line) throw std::runtime_error("closed in the midst of a body");
  const auto size = std::stoul(*line, nullptr, 16);
  auto chunk = from.take(size);
  from.take(2);
  return chunk;
}

inline http_answer read_answer(raw_client& from, bool with_body = true) {
  auto answer = read_head(from);
  if (!with_body || answer.status == 304) return answer;
  if (answer.header("transfer-encoding") == "chunked") {
    for (auto chunk = read_chunk(from); !chunk.empty(); chunk = read_chunk(from))
      answer.body += chunk;
  } else {
    answer.body = from.take(std::stoul("0" + answer.header("content-length")));
  }
  return answer;
}

/// The bytes of a request; `headers` are whole lines with their ends.
inline std::string request_text(const std::string& method, const std::string& path,
                                const std::string& body = {}, const std::string& headers = {}) {
  auto text = method + ' ' + path + " HTTP/1.1\r\nHost: localhost\r\n" + headers;
  if (!body.empty()) text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  return text + "\r\n" + body;
}

/// A request on a connection of its own.
inline http_answer ask(std::uint16_t port, const std::string& method, const std::string& path,
                       const std::string& body = {}, const std::string& headers = {}) {
  raw_client client(port);
  client.send(request_text(method, path, body, headers));
  return read_answer(client, method != "HEAD");
}

} // namespace banyan
