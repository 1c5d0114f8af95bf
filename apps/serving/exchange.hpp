#pragma once

#include "apps/serving/http.hpp"

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include <restinio/all.hpp>

namespace banyan {

/// A response that says nothing of its length: it has no body, or the connection ends with it.
struct bare_output {};

} // namespace banyan

template <>
class restinio::response_builder_t<banyan::bare_output> final
    : public base_response_builder_t<response_builder_t<banyan::bare_output>> {
  using base = base_response_builder_t<response_builder_t<banyan::bare_output>>;

public:
  using base::base;

  void append_body(std::string piece) {
    if (!piece.empty()) pieces_.emplace_back(std::move(piece));
  }
  void flush(write_status_cb_t told) {
    send(m_connection, response_parts_attr_t::not_final_parts, std::move(told));
  }
  void done(write_status_cb_t told) {
    send(std::exchange(m_connection, nullptr), response_parts_attr_t::final_parts, std::move(told));
  }

private:
  void send(const impl::connection_handle_t& connection, response_parts_attr_t parts,
            write_status_cb_t told) {
    using impl::content_length_field_presence_t;
    std::size_t status_line = 0;
    if (!std::exchange(head_sent_, true)) {
      pieces_.insert(pieces_.begin(),
                     writable_item_t(impl::create_header_string(
                         m_header, content_length_field_presence_t::skip_content_length)));
      status_line = calculate_status_line_size();
    }
    write_group_t group(std::exchange(pieces_, {}));
    group.status_line_size(status_line);
    group.after_write_notificator(std::move(told));
    const response_output_flags_t flags(parts,
                                        response_connection_attr(m_header.should_keep_alive()));
    connection->write_response_parts(m_request_id, flags, std::move(group));
  }

  bool head_sent_ = false;
  writable_items_container_t pieces_;
};

namespace banyan {

using whole_builder = restinio::response_builder_t<restinio::user_controlled_output_t>;
using chunk_builder = restinio::response_builder_t<restinio::chunked_output_t>;
using bare_builder = restinio::response_builder_t<bare_output>;

inline void append(whole_builder& builder, std::string piece) {
  builder.append_body(std::move(piece));
}
inline void append(chunk_builder& builder, std::string piece) {
  builder.append_chunk(std::move(piece));
}
inline void append(bare_builder& builder, std::string piece) {
  builder.append_body(std::move(piece));
}

/// A request, and what is written for it, piece by piece.
struct exchange {
  restinio::request_handle_t request; ///< until the response begins
  restinio::endpoint_t client;
  std::optional<std::variant<whole_builder, chunk_builder, bare_builder>> builder;
  std::deque<std::string> pending;
  std::size_t sent = 0;   ///< bytes of the first one
  std::size_t unsent = 0; ///< bytes of them all
  bool head_sent = false, writing = false, ending = false;
  std::function<void()> on_gone, on_drained, on_farewell;

  void add(std::string bytes) {
    if (bytes.empty()) return;
    unsent += bytes.size();
    pending.push_back(std::move(bytes));
  }

  std::string take_piece(std::size_t most) {
    std::string piece;
    while (!pending.empty() && piece.size() < most) {
      const auto taken = std::min(pending.front().size() - sent, most - piece.size());
      piece.append(pending.front(), sent, taken);
      sent += taken;
      if (sent < pending.front().size()) break;
      pending.pop_front();
      sent = 0;
    }
    unsent -= piece.size();
    return piece;
  }
};

// ---- requests

/// Path and query of a request target, which may be a whole URL.
inline std::string_view local_target(std::string_view target) {
  if (target.starts_with("http://") || target.starts_with("https://")) {
    const auto slash = target.find('/', target.find("://") + 3);
    target = slash == target.npos ? std::string_view("/") : target.substr(slash);
  }
  return target.substr(0, target.find('#'));
}

/// Without the white space that may stand around a header's value (RFC 9110 §5.5).
inline std::string trimmed(std::string_view text) {
  constexpr std::string_view space = " \t";
  const auto begin = std::min(text.find_first_not_of(space), text.size());
  return std::string(text.substr(begin, text.find_last_not_of(space) + 1 - begin));
}

inline http_request read_request(const restinio::request_t& from, bool is_1_0) {
  const auto& head = from.header();
  http_request request;
  request.method = head.method().c_str();
  request.is_1_0 = is_1_0;
  const auto target = local_target(head.request_target());
  const auto question = std::min(target.find('?'), target.size());
  request.path = target.substr(0, question);
  request.query = target.substr(std::min(question + 1, target.size()));
  head.for_each_field([&request](const auto& field) {
    std::string name(field.name());
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
    request.headers.emplace_back(std::move(name), trimmed(field.value()));
  });
  request.body = from.body();
  request.remote = from.remote_endpoint().address().to_string();
  return request;
}

// ---- responses

/// A status that says itself that there is no body.
inline bool has_no_body(int status) { return status == 204 || status == 304; }

template <class Builder>
Builder make_builder(exchange& e, const http_response& r) {
  using output =
      std::conditional_t<std::is_same_v<Builder, whole_builder>, restinio::user_controlled_output_t,
                         std::conditional_t<std::is_same_v<Builder, bare_builder>, bare_output,
                                            restinio::chunked_output_t>>;
  const restinio::http_status_line_t line(
      restinio::http_status_code_t(static_cast<std::uint16_t>(r.status)),
      std::string(reason_phrase(r.status)));
  auto builder = e.request->create_response<output>(line);
  builder.append_header_date_field();
  if (!has_no_body(r.status)) builder.append_header(restinio::http_field::content_type, r.type);
  for (const auto& [name, value] : r.headers) builder.append_header(name, value);
  return builder;
}

/// For a response whose body follows in pieces. HTTP/1.0 has no chunks: there the body ends with
/// the connection.
inline void begin_pieces(exchange& e, const http_response& head, bool is_1_0) {
  if (!is_1_0) {
    e.builder.emplace(make_builder<chunk_builder>(e, head));
  } else {
    auto builder = make_builder<bare_builder>(e, head);
    builder.connection_close();
    e.builder.emplace(std::move(builder));
  }
}

inline void begin_whole(exchange& e, const http_response& r) {
  if (has_no_body(r.status)) return void(e.builder.emplace(make_builder<bare_builder>(e, r)));
  auto builder = make_builder<whole_builder>(e, r);
  builder.set_content_length(r.body.size());
  e.builder.emplace(std::move(builder));
}

/// A whole response as bytes, for a connection that RESTinio does not have.
inline std::string bytes_of(const http_response& r, bool with_body = true) {
  auto text = "HTTP/1.1 " + std::to_string(r.status) + ' ' + std::string(reason_phrase(r.status))
              + "\r\nContent-Type: " + r.type + "\r\nConnection: close\r\n";
  for (const auto& [name, value] : r.headers) text += name + ": " + value + "\r\n";
  return text + "Content-Length: " + std::to_string(r.body.size()) + "\r\n\r\n"
         + (with_body ? r.body : "");
}

} // namespace banyan
