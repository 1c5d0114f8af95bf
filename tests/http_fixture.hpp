#pragma once

#include "apps/serving/http_server.hpp"
#include "tests/fake_forest.hpp"
#include "tests/http_client.hpp"

#include <optional>
#include <string>

#include <nlohmann/json.hpp>

namespace banyan {

using json = nlohmann::ordered_json;

inline http_options on_any_port() {
  http_options options;
  options.port = 0;
  return options;
}

/// A server over a fake forest, and a client for it.
struct served {
  fake_forest trees;
  http_server server;

  explicit served(http_options options = on_any_port()) : server(trees, std::move(options)) {}
  explicit served(event_hub::limits l, http_options options = on_any_port())
      : trees(l), server(trees, std::move(options)) {}

  http_answer get(const std::string& path, const std::string& headers = {}) const {
    return ask(server.port(), "GET", path, {}, headers);
  }
  http_answer post(const std::string& path, const std::string& body = {},
                   const std::string& headers = {}) const {
    return ask(server.port(), "POST", path, body, headers);
  }
  json get_json(const std::string& path) const { return json::parse(get(path).body); }
  json post_json(const std::string& path, const json& body) const {
    return json::parse(post(path, body.dump()).body);
  }
  raw_client connect() const { return raw_client(server.port()); }
};

/// What an error says: "400 bad_request problem.target".
inline std::string told_error(const http_answer& a) {
  const auto e = json::parse(a.body).at("error");
  return std::to_string(a.status) + ' ' + e.at("code").get<std::string>()
         + (e.at("field").is_null() ? "" : ' ' + e.at("field").get<std::string>());
}

/// What comes back for these bytes, and then the connection is closed.
inline http_answer last_answer(const served& s, const std::string& bytes) {
  auto client = s.connect();
  client.send(bytes);
  auto answer = read_answer(client);
  if (!client.closed()) throw std::runtime_error("the connection stays open");
  return answer;
}

inline const std::string health = request_text("GET", "/healthz");

/// One event of a stream.
struct sent_event {
  std::string name, id;
  json data;
};

/// Reads a stream of events.
class event_reader {
public:
  event_reader(const served& s, const std::string& path, const std::string& headers = {},
               int receive_buffer = 0)
      : client_(s.server.port(), receive_buffer) {
    client_.send(request_text("GET", path, {}, headers));
    head = read_head(client_);
  }

  http_answer head;
  raw_client& client() { return client_; }

  /// Nothing: the stream has ended in order.
  std::optional<sent_event> next() {
    for (;;) {
      const auto end = text_.find("\n\n");
      if (end != text_.npos) {
        const auto block = text_.substr(0, end + 1);
        text_.erase(0, end + 2);
        return parse(block);
      }
      const auto chunk = read_chunk(client_);
      if (chunk.empty()) return {};
      text_ += chunk;
    }
  }

  sent_event event() {
    auto e = next();
    if (!e) throw std::runtime_error("the stream has ended");
    return *e;
  }

private:
  static sent_event parse(const std::string& block) {
    sent_event e;
    for (std::size_t at = 0; at < block.size();) {
      const auto end = block.find('\n', at);
      const auto line = block.substr(at, end - at);
      const auto value = line.substr(std::min(line.find(": ") + 2, line.size()));
      if (line.starts_with("event: ")) e.name = value;
      if (line.starts_with("id: ")) e.id = value;
      if (line.starts_with("data: ")) e.data = json::parse(value);
      at = end + 1;
    }
    return e;
  }

  raw_client client_;
  std::string text_;
};

inline tree_event event_of(tree_event::kind what, const std::string& tree,
                           const std::string& thread = "/") {
  tree_event e;
  e.what = what;
  e.tree = tree;
  e.thread = thread;
  if (thread != "/") e.parent = "/";
  return e;
}

} // namespace banyan
