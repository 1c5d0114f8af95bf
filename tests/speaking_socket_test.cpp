#include "apps/serving/speaking_socket.hpp"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

namespace banyan {
namespace {

namespace net = asio::ip;

/// A connection whose server's side is a speaking socket that reads one request's head; its earlier
/// request is being answered for the first `looks` times that one looks.
struct connection {
  asio::io_context io{1};
  socket_book& book = asio::use_service<socket_book>(io);
  net::tcp::socket client{io};
  speaking_socket server{io};
  std::string bytes = std::string(4096, '\0');
  int looks;

  explicit connection(int looks_while_answering) : looks(looks_while_answering) {
    net::tcp::acceptor door(io, {net::address_v4::loopback(), 0});
    client.connect(door.local_endpoint());
    door.accept(server);
    book.is_answering = [this](const auto& whose) {
      CHECK(whose == client.local_endpoint());
      return looks-- > 0;
    };
  }

  /// What the client hears that sends these, one after the other.
  std::string heard(const std::vector<std::string>& parts) {
    for (const auto& part : parts) {
      asio::write(client, asio::buffer(part));
      for (std::size_t left = part.size(); left > 0; io.restart()) {
        server.async_read_some(asio::buffer(bytes), [&](const auto&, std::size_t n) { left -= n; });
        io.run();
      }
    }
    server.close();
    std::string all;
    asio::error_code end;
    asio::read(client, asio::dynamic_buffer(all), end);
    return all;
  }
};

const std::string asking = "POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
const std::string go_on = "HTTP/1.1 100 Continue\r\n\r\n";

std::string after(const std::vector<std::string>& parts, int looks = 0) {
  return connection(looks).heard(parts);
}

TEST_CASE("a client is called for its body when its earlier answer turns out to be given",
          "[http]") {
  for (const int looks : {0, 1, 2}) CHECK(after({asking}, looks) == go_on);
}

TEST_CASE("a client whose earlier answer is still being given is not called into it", "[http]") {
  connection one(3);
  CHECK(one.heard({asking}).empty());
  CHECK(one.looks == 0);
}

TEST_CASE("only the whole head of a request that asks for it is answered with a call", "[http]") {
  CHECK(after({"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n"}).empty());
  CHECK(after({asking + "{}"}).empty());
  CHECK(after({"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-"}).empty());
  CHECK(after({"POST / HTTP/1.0" + asking.substr(15)}).empty());
}

TEST_CASE("a head may come in several parts", "[http]") {
  for (std::size_t at = 1; at < asking.size(); ++at) {
    INFO(asking.substr(0, at));
    CHECK(after({asking.substr(0, at), asking.substr(at)}) == go_on);
  }
  const auto more = "X-Long: " + std::string(10000, 'x') + "\r\n\r\n"; // more than is read at once
  CHECK(after({asking.substr(0, asking.size() - 2) + more}) == go_on);
}

TEST_CASE("every request of a connection is called for by itself", "[http]") {
  CHECK(after({asking, "{}", asking, "{", "}", asking}) == go_on + go_on + go_on);
  CHECK(after({asking, R"({"text": "HTTP"})", "GET / HTTP/1.1\r\n\r\n", asking}) == go_on + go_on);
}

} // namespace
} // namespace banyan
