#include "apps/serving/http_server.hpp"

#include "apps/failure.hpp"
#include "apps/serving/doorkeeper.hpp"
#include "apps/serving/exchange.hpp"
#include "apps/serving/io_loop.hpp"
#include "apps/serving/listen_address.hpp"
#include "apps/serving/routes.hpp"
#include "apps/serving/speaking_socket.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <thread>
#include <variant>

#include <restinio/all.hpp>

namespace banyan {

namespace {

constexpr std::size_t piece_bytes = 256 * 1024; ///< written at a time, each with its own time limit
constexpr std::size_t most_pipelined = 4;
constexpr std::size_t most_headers = 128;
constexpr auto patience_at_end = std::chrono::seconds(1);

// ---- what RESTinio is made of here

class connection_watch {
public:
  using told = std::function<void(restinio::connection_id_t)>;
  explicit connection_watch(told gone) : gone_(std::move(gone)) {}
  void state_changed(const restinio::connection_state::notice_t& notice) noexcept {
    if (std::holds_alternative<restinio::connection_state::closed_t>(notice.cause()))
      gone_(notice.connection_id());
  }

private:
  told gone_;
};

struct traits : restinio::single_thread_traits_t<restinio::asio_timer_manager_t, parser_log> {
  using stream_socket_t = speaking_socket;
  using connection_state_listener_t = connection_watch;
  static constexpr bool use_connection_count_limiter = true;
};

} // namespace
} // namespace banyan

template <>
struct restinio::connection_count_limit_types<banyan::traits> {
  using limiter_t = banyan::doorkeeper;
  using lifetime_monitor_t = connection_count_limits::connection_lifetime_monitor_t<limiter_t>;
};

namespace banyan {
namespace {

using exchange_key = std::pair<restinio::connection_id_t, restinio::request_id_t>;

} // namespace

// ---- the server

/// Once its OS thread runs, all of it but the loop is that thread's.
struct http_server::core : std::enable_shared_from_this<core> {
  core(forest& trees, http_options o) : options(std::move(o)), routes(trees, options, loop) {}

  void listen();
  void run();
  void close();
  void clear();

  restinio::request_handling_status_t take(const restinio::request_handle_t&);
  void serve(exchange_key);
  void begin(exchange_key, const http_response&, bool with_body);
  void begin_stream(exchange_key, const http_response&);
  void write(exchange_key);
  void written(exchange_key, bool last);
  void leave(restinio::connection_id_t);
  void refuse_unread(restinio::connection_id_t, int status);
  std::string turn_away(std::string_view head);
  bool is_1_0(const restinio::request_t&);
  bool is_answering(const asio::ip::tcp::endpoint& client) const;

  struct sink;

  http_options options; // changed on the loop's OS thread alone
  asio::io_context io{1};
  std::shared_ptr<io_loop> loop = std::make_shared<io_loop>(io);
  http_routes routes;
  std::unique_ptr<restinio::http_server_t<traits>> server;
  std::map<exchange_key, exchange> exchanges;
  doorkeeper* door = nullptr; // the server's
  std::uint16_t port = 0;
  bool closing = false;
  std::thread os_thread;
};

/// An exchange from the routes' side. The exchange may be over: then nothing happens.
struct http_server::core::sink : http_sink {
  std::weak_ptr<core> owner;
  exchange_key key;

  sink(std::weak_ptr<core> c, exchange_key k) : owner(std::move(c)), key(k) {}

  template <class Work>
  void with_exchange(Work work) const {
    const auto c = owner.lock();
    if (!c) return;
    if (const auto found = c->exchanges.find(key); found != c->exchanges.end())
      work(*c, found->second);
  }

  void send(const http_response& r, bool with_body) override {
    with_exchange([&](core& c, exchange&) { c.begin(key, r, with_body); });
  }
  void begin(const http_response& head) override {
    with_exchange([&](core& c, exchange&) { c.begin_stream(key, head); });
  }
  void write(std::string piece) override {
    with_exchange([&](core& c, exchange& e) {
      e.add(std::move(piece));
      c.write(key);
    });
  }
  void end() override {
    with_exchange([&](core& c, exchange& e) {
      e.ending = true;
      c.write(key);
    });
  }
  std::size_t unsent() const override {
    std::size_t bytes = 0;
    with_exchange([&](core&, exchange& e) { bytes = e.unsent; });
    return bytes;
  }
  void on_gone(std::function<void()> told) override {
    with_exchange([&](core&, exchange& e) { e.on_gone = std::move(told); });
  }
  void on_drained(std::function<void()> told) override {
    with_exchange([&](core&, exchange& e) { e.on_drained = std::move(told); });
  }
  void on_farewell(std::function<void()> told) override {
    with_exchange([&](core&, exchange& e) { e.on_farewell = std::move(told); });
  }
};

/// Serving begins a little later: RESTinio reads on wrongly where an answer comes before it knows
/// that there will be one.
restinio::request_handling_status_t
http_server::core::take(const restinio::request_handle_t& request) {
  const exchange_key key{request->connection_id(), request->request_id()};
  auto& e = exchanges[key];
  e.request = request;
  e.client = request->remote_endpoint();
  asio::post(io, [this, key] { serve(key); });
  return restinio::request_accepted();
}

void http_server::core::serve(exchange_key key) {
  const auto found = exchanges.find(key);
  if (found == exchanges.end() || !found->second.request) return;
  const auto& request = *found->second.request;
  routes.serve(read_request(request, is_1_0(request)),
               std::make_shared<sink>(weak_from_this(), key));
}

void http_server::core::begin(exchange_key key, const http_response& r, bool with_body) {
  auto& e = exchanges.at(key);
  if (!e.request) return;
  begin_whole(e, r);
  e.request.reset();
  if (with_body && !has_no_body(r.status)) e.add(r.body);
  e.ending = true;
  write(key);
}

void http_server::core::begin_stream(exchange_key key, const http_response& head) {
  auto& e = exchanges.at(key);
  if (!e.request) return;
  begin_pieces(e, head, is_1_0(*e.request));
  e.request.reset();
  write(key);
}

void http_server::core::write(exchange_key key) {
  auto& e = exchanges.at(key);
  if (!e.builder || e.writing || (e.head_sent && e.unsent == 0 && !e.ending)) return;
  auto piece = e.take_piece(piece_bytes);
  const bool last = e.ending && e.unsent == 0;
  e.writing = e.head_sent = true;
  // RESTinio is in the midst of its own work when it tells this.
  const auto told = [this, key, last](const auto& error) {
    if (!error) asio::post(io, [this, key, last] { written(key, last); });
  };
  std::visit(
      [&](auto& builder) {
        append(builder, std::move(piece));
        last ? void(builder.done(told)) : void(builder.flush(told));
      },
      *e.builder);
}

void http_server::core::written(exchange_key key, bool last) {
  const auto found = exchanges.find(key);
  if (found == exchanges.end()) return;
  if (last) {
    exchanges.erase(found);
    if (closing && exchanges.empty()) io.stop();
    return;
  }
  found->second.writing = false;
  write(key);
  if (found->second.unsent > 0 || !found->second.on_drained) return;
  const auto told = found->second.on_drained; // it may end the exchange
  told();
}

void http_server::core::leave(restinio::connection_id_t connection) {
  std::vector<std::function<void()>> told;
  auto i = exchanges.lower_bound({connection, 0});
  while (i != exchanges.end() && i->first.first == connection) {
    if (i->second.on_gone) told.push_back(std::move(i->second.on_gone));
    i = exchanges.erase(i);
  }
  for (const auto& tell : told) tell();
  if (closing && exchanges.empty()) io.stop();
}

/// RESTinio is about to close the connection. While an earlier request of it is open, an answer now
/// would be taken for that one's.
void http_server::core::refuse_unread(restinio::connection_id_t connection, int status) {
  const auto response = routes.refuse_unread(status);
  const auto open = exchanges.lower_bound({connection, 0});
  if (open != exchanges.end() && open->first.first == connection) return;
  asio::use_service<socket_book>(io).last_words = bytes_of(response);
}

bool http_server::core::is_1_0(const restinio::request_t& request) {
  return asio::use_service<socket_book>(io).of_1_0.contains(request.remote_endpoint());
}

std::string http_server::core::turn_away(std::string_view head) {
  return bytes_of(routes.turn_away(head), !head.starts_with("HEAD "));
}

bool http_server::core::is_answering(const asio::ip::tcp::endpoint& client) const {
  return std::ranges::any_of(exchanges, [&](const auto& e) { return e.second.client == client; });
}

void http_server::core::listen() {
  asio::use_service<socket_book>(io).is_answering = [this](const auto& client) {
    return is_answering(client);
  };
  const auto configure = [this](auto& settings) {
    options.max_connections = room_for_connections(options.max_connections);
    const auto limit_s = std::min(options.read_timeout_s, options.write_timeout_s);
    settings.address(options.address)
        .port(options.port)
        .acceptor_post_bind_hook([this](auto& acceptor) {
          port = acceptor.local_endpoint().port();
          door->stand_at(acceptor, [this](std::string_view head) { return turn_away(head); });
        })
        .socket_options_setter([](auto& o) { o.set_option(asio::ip::tcp::no_delay(true)); })
        .logger([this](auto connection, int status) { refuse_unread(connection, status); })
        .connection_state_listener(std::make_shared<connection_watch>(
            [this](auto id) { asio::post(io, [this, id] { leave(id); }); }))
        .request_handler([this](const auto& request) { return take(request); })
        .max_pipelined_requests(most_pipelined)
        .max_parallel_connections(options.max_connections)
        .timer_manager(milliseconds_of(std::clamp(limit_s / 4, 0.02, 1.0)))
        .read_next_http_message_timelimit(milliseconds_of(options.read_timeout_s))
        .write_http_response_timelimit(milliseconds_of(options.write_timeout_s))
        .handle_request_timeout(std::chrono::hours(24))
        .incoming_http_msg_limits(restinio::incoming_http_msg_limits_t{}
                                      .max_url_size(options.max_url_bytes)
                                      .max_field_name_size(options.max_header_bytes)
                                      .max_field_value_size(options.max_header_bytes)
                                      .max_field_count(most_headers)
                                      .max_body_size(options.max_body_bytes));
  };
  server = std::make_unique<restinio::http_server_t<traits>>(restinio::external_io_context(io),
                                                             configure);
  door = doorkeeper::latest;
  try {
    server->open_sync();
  } catch (const std::system_error& e) {
    throw bad_environment(address_text(options.address, options.port),
                          "cannot listen: " + e.code().message(), "choose another address");
  }
  os_thread = std::thread([this] { run(); });
}

void http_server::core::run() {
  const auto busy = asio::make_work_guard(io);
  while (!io.stopped()) try {
      io.run();
    } catch (const std::exception& e) {
      if (options.log) options.log(http_level::error, e.what(), {});
    }
}

void http_server::core::close() {
  closing = true;
  server->close_sync();
  const auto farewell =
      error_response({refusal::kind::unavailable, "the daemon is about to end; try again"});
  std::vector<exchange_key> open;
  for (auto& [key, e] : exchanges) {
    e.on_gone = e.on_drained = nullptr; // nobody left: trees go on
    open.push_back(key);
  }
  for (const auto& key : open) {
    exchanges.at(key).ending = true;
    if (const auto tell = exchanges.at(key).on_farewell; tell && exchanges.at(key).request) tell();
    exchanges.at(key).request ? begin(key, farewell, true) : write(key);
  }
  if (exchanges.empty()) return io.stop();
  loop->after(std::chrono::duration<double>(patience_at_end).count(), [this] { io.stop(); });
}

/// Connections know the server: they must go first.
void http_server::core::clear() {
  loop->close();
  routes.clear();
  exchanges.clear();
  asio::error_code ignored;
  for (auto* socket : asio::use_service<socket_book>(io).sockets) socket->close(ignored);
  do io.restart(); // what goes may stop the loop
  while (io.poll() > 0);
  server.reset();
}

http_server::http_server(forest& trees, http_options options)
    : core_(std::make_shared<core>(trees, std::move(options))) {
  const auto& o = core_->options;
  if (!is_loopback_address(o.address) && o.token.empty())
    throw bad_usage(o.address, "others can reach it, and there is no token",
                    "set a token, or listen on 127.0.0.1");
  core_->listen();
}

http_server::~http_server() { stop(); }

void http_server::reload(const http_options& fresh) {
  asio::post(core_->io, [c = core_.get(), token = fresh.token, rate = fresh.requests_per_s] {
    if (!token.empty() || is_loopback_address(c->options.address)) c->options.token = token;
    c->options.requests_per_s = rate;
  });
}

std::uint16_t http_server::port() const { return core_->port; }

std::string http_server::url() const {
  return "http://" + address_text(core_->options.address, core_->port);
}

void http_server::stop() {
  if (!core_->os_thread.joinable()) return;
  asio::post(core_->io, [c = core_.get()] { c->close(); });
  core_->os_thread.join();
  core_->clear();
}

} // namespace banyan
