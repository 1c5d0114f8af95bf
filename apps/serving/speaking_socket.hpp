#pragma once

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <chrono>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>

#include <restinio/asio_include.hpp>

#include <sys/socket.h>

namespace banyan {

// RESTinio closes a connection whose request it cannot read, without an answer. These give one.

/// Says goodbye on a connection and reads for a moment what still comes: were it closed at once,
/// the client could lose what it was told.
class parting : public std::enable_shared_from_this<parting> {
public:
  /// `place` is let go with the connection.
  parting(asio::ip::tcp::socket socket, std::string words, std::shared_ptr<void> place)
      : socket_(std::move(socket)),
        timer_(socket_.get_executor()),
        words_(std::move(words)),
        place_(std::move(place)) {}

  void start() {
    timer_.expires_after(std::chrono::seconds(2));
    timer_.async_wait([self = shared_from_this()](auto error) {
      if (!error) self->socket_.close(error);
    });
    asio::async_write(socket_, asio::buffer(words_), [self = shared_from_this()](auto error, auto) {
      self->socket_.shutdown(asio::ip::tcp::socket::shutdown_send, error);
      self->swallow();
    });
  }

private:
  void swallow() {
    socket_.async_read_some(asio::buffer(bytes_), [self = shared_from_this()](auto error, auto) {
      if (!error) return self->swallow();
      self->timer_.cancel();
    });
  }

  asio::ip::tcp::socket socket_;
  asio::steady_timer timer_;
  std::string words_;
  std::shared_ptr<void> place_;
  std::array<char, 4096> bytes_{};
};

/// Hears what one wants for whom there is no room, for a second at most, and says `answer` of it.
class short_visit : public std::enable_shared_from_this<short_visit> {
public:
  using answer_to_head = std::function<std::string(std::string_view head)>;

  /// `place` is let go when the visitor has left.
  short_visit(asio::ip::tcp::socket socket, answer_to_head answer, std::shared_ptr<void> place)
      : socket_(std::move(socket)),
        timer_(socket_.get_executor()),
        answer_(std::move(answer)),
        place_(std::move(place)) {}

  void start() {
    timer_.expires_after(std::chrono::seconds(1));
    timer_.async_wait([self = shared_from_this()](auto error) {
      if (!error) self->socket_.cancel(error);
    });
    asio::async_read_until(socket_, asio::dynamic_buffer(head_, most_heard), "\r\n\r\n",
                           [self = shared_from_this()](auto, auto) { self->send_away(); });
  }

private:
  static constexpr std::size_t most_heard = 16384;

  void send_away() {
    timer_.cancel();
    std::make_shared<parting>(std::move(socket_), answer_(head_), std::move(place_))->start();
  }

  asio::ip::tcp::socket socket_;
  asio::steady_timer timer_;
  answer_to_head answer_;
  std::shared_ptr<void> place_;
  std::string head_;
};

class speaking_socket;

/// What the sockets of one server share: which there are, and what the next one to be closed is to
/// say.
class socket_book : public asio::execution_context::service {
public:
  using key_type = socket_book;
  inline static asio::execution_context::id id;
  static constexpr std::size_t most_partings = 64;

  explicit socket_book(asio::execution_context& owner) : service(owner) {}

  std::unordered_set<speaking_socket*> sockets;
  std::set<asio::ip::tcp::endpoint> of_1_0; ///< clients whose first request was of HTTP/1.0
  /// Whether a client's earlier request is still being answered.
  std::function<bool(const asio::ip::tcp::endpoint&)> is_answering;
  std::string last_words;
  std::size_t partings = 0;

private:
  void shutdown() noexcept override {}
};

/// Finds the version in the first line that is not empty.
class version_reader {
public:
  /// True: there it is, and it is HTTP/1.0.
  bool finds_1_0(std::string_view bytes) {
    for (const char c : bytes) {
      if (over_) break;
      over_ = c == '\n' && !line_end_.empty();
      if (c == '\r' || c == '\n') continue;
      line_end_ += c;
      if (line_end_.size() > wanted.size()) line_end_.erase(0, 1);
    }
    return over_ && line_end_ == wanted;
  }
  bool over() const { return over_; }

private:
  static constexpr std::string_view wanted = "HTTP/1.0";
  std::string line_end_;
  bool over_ = false;
};

/// Finds the heads of requests, which come in one read or in several.
class head_reader {
public:
  /// True: with these bytes a head is whole, nothing has come behind it, and its client sends the
  /// body when it is called for.
  bool waits_after(std::string_view bytes) {
    if (head_.empty()) { // the middle of a body begins otherwise, as a rule
      bytes.remove_prefix(std::min(bytes.find_first_not_of("\r\n"), bytes.size()));
      if (bytes.empty() || !std::isupper(static_cast<unsigned char>(bytes.front()))) return false;
    }
    const auto looked_at = head_.size() < end.size() ? 0 : head_.size() - end.size();
    std::ranges::transform(bytes, std::back_inserter(head_),
                           [](unsigned char c) { return std::tolower(c); });
    const auto found = head_.find(end, looked_at);
    if (found == head_.npos && head_.size() < most_kept) return false;
    const bool waits = found != head_.npos && found + end.size() == head_.size() && asks();
    head_.clear();
    return waits;
  }

private:
  static constexpr std::string_view end = "\r\n\r\n", name = "\r\nexpect:";
  static constexpr std::size_t most_kept = 32768;

  bool asks() const {
    const auto at = head_.find(name);
    if (at == head_.npos) return false;
    const auto value = head_.find_first_not_of(' ', at + name.size());
    return head_.compare(std::min(value, head_.size()), 14, "100-continue\r\n") == 0;
  }

  std::string head_; ///< what there is of it, in lower case
};

/// A socket that says its last words when it is shut down, and knows what RESTinio does not tell:
/// which clients speak HTTP/1.0.
class speaking_socket : public asio::ip::tcp::socket {
  using base = asio::ip::tcp::socket;

public:
  explicit speaking_socket(asio::io_context& io)
      : base(io), book_(&asio::use_service<socket_book>(io)) {
    book_->sockets.insert(this);
  }
  speaking_socket(speaking_socket&& other) noexcept : base(std::move(other)), book_(other.book_) {
    book_->sockets.insert(this);
  }
  ~speaking_socket() {
    book_->sockets.erase(this);
    if (of_1_0_) book_->of_1_0.erase(*of_1_0_);
  }

  /// RESTinio's way to read; its handler keeps the connection, and so this, alive.
  template <class Handler>
  void async_read_some(const asio::mutable_buffer& into, Handler handler) {
    const auto executor = asio::get_associated_executor(handler, get_executor());
    base::async_read_some(
        into, asio::bind_executor(executor, [this, into, handler = std::move(handler)](
                                                const auto& error, std::size_t count) mutable {
          const std::string_view bytes(static_cast<const char*>(into.data()), count);
          if (!version_.over()) look(bytes);
          ++reads_;
          if (head_.waits_after(bytes)) later(most_looks);
          handler(error, count); // it may refuse the head, and with it this
        }));
  }

  void shutdown(shutdown_type what, asio::error_code& error) {
    const auto words = std::exchange(book_->last_words, {});
    if (words.empty() || book_->partings >= socket_book::most_partings)
      return void(base::shutdown(what, error));
    const std::shared_ptr<std::size_t> place(&++book_->partings, [](auto* open) { --*open; });
    std::make_shared<parting>(std::move(static_cast<base&>(*this)), words, place)->start();
  }

private:
  void look(std::string_view bytes) {
    if (!version_.finds_1_0(bytes)) return;
    asio::error_code gone;
    const auto client = remote_endpoint(gone);
    if (!gone) of_1_0_ = *book_->of_1_0.insert(client).first;
  }

  /// Calls for the body unless the head was refused or the body is there by then.
  void later(int looks) {
    asio::post(get_executor(), [this, book = book_, read = reads_, looks] {
      if (book->sockets.contains(this) && reads_ == read) invite(looks);
    });
  }

  /// The body is welcome (RFC 9110 section 10.1.1): RESTinio calls for it in no way. Amid an
  /// answer to an earlier request it would be taken for a part of that; one that has been given
  /// is known as such a little later.
  void invite(int looks) {
    constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    asio::error_code gone;
    const auto client = remote_endpoint(gone);
    if (gone || of_1_0_) return;
    if (book_->is_answering && book_->is_answering(client)) {
      if (looks > 0) later(looks - 1);
      return;
    }
    (void)!::send(native_handle(), go_on.data(), go_on.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  }

  static constexpr int most_looks = 2; // an answer to this request takes longer
  socket_book* book_;
  std::size_t reads_ = 0;
  version_reader version_;
  head_reader head_;
  std::optional<asio::ip::tcp::endpoint> of_1_0_;
};

/// RESTinio's log tells why it closes a connection: "[connection:7] parser error HPE_CB_url: …".
/// Here that becomes the status of an answer.
class parser_log {
public:
  using told = std::function<void(std::uint64_t connection, int status)>;
  explicit parser_log(told tell) : tell_(std::move(tell)) {}

  template <class Text>
  void trace(Text&&) noexcept {}
  template <class Text>
  void info(Text&&) noexcept {}
  template <class Text>
  void warn(Text&&) noexcept {}
  template <class Text>
  void error(Text&& make) {
    read(make());
  }

private:
  void read(const std::string& line) const {
    constexpr std::string_view begin = "[connection:", middle = "] parser error ";
    const auto found = line.find(middle);
    if (!line.starts_with(begin) || found == line.npos) return;
    std::uint64_t connection = 0;
    std::from_chars(line.data() + begin.size(), line.data() + found, connection);
    tell_(connection, status_of(std::string_view(line).substr(found + middle.size())));
  }

  static int status_of(std::string_view fault) {
    const auto one_of = [fault](auto... names) { return (fault.starts_with(names) || ...); };
    if (one_of("HPE_CB_url:")) return 414;
    if (one_of("HPE_CB_header_field:", "HPE_CB_header_value:", "HPE_HEADER_OVERFLOW:")) return 431;
    if (one_of("HPE_CB_headers_complete:", "HPE_CB_body:")) return 413;
    return one_of("HPE_INVALID_METHOD:") ? 501 : 400;
  }

  told tell_;
};

} // namespace banyan
