#include "apps/serving/speaking_socket.hpp"

#include <string>

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

  /// What the client hears after this head.
  std::string heard(const std::string& head) {
    asio::write(client, asio::buffer(head));
    std::size_t read = 0;
    server.async_read_some(asio::buffer(bytes), [&](const auto&, std::size_t n) { read = n; });
    io.run();
    CHECK(read == head.size());
    server.close();
    std::string all;
    asio::error_code end;
    asio::read(client, asio::dynamic_buffer(all), end);
    return all;
  }
};

const std::string asking = "POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
const std::string go_on = "HTTP/1.1 100 Continue\r\n\r\n";

TEST_CASE("a client is called for its body when its earlier answer turns out to be given",
          "[http]") {
  CHECK(connection(0).heard(asking) == go_on);
  CHECK(connection(1).heard(asking) == go_on);
  CHECK(connection(2).heard(asking) == go_on);
}

TEST_CASE("a client whose earlier answer is still being given is not called into it", "[http]") {
  connection one(3);
  CHECK(one.heard(asking).empty());
  CHECK(one.looks == 0);
}

TEST_CASE("only the whole head of a request that asks for it is answered with a call", "[http]") {
  CHECK(connection(0).heard("POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n").empty());
  CHECK(connection(0).heard(asking + "{}").empty());
  CHECK(connection(0).heard("POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-").empty());
}

} // namespace
} // namespace banyan
