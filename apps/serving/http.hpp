#pragma once

#include "apps/serving/forest.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace banyan {

using http_headers = std::vector<std::pair<std::string, std::string>>;

/// A request as it came.
struct http_request {
  std::string method, path, query; ///< "GET", "/v1/trees", "limit=3": still percent-encoded
  http_headers headers;            ///< names in lower case
  std::string body;
  std::string remote;              ///< the address it came from, without port
  std::vector<std::string> params; ///< what stands for the {…} of its route, decoded
  bool is_1_0 = false;             ///< HTTP/1.0

  std::string_view header(std::string_view name) const; ///< the first one; empty: none
};

struct http_error {
  std::string code, message, field;
};

struct http_response {
  int status = 200;
  std::string type = "application/json";
  std::string body;
  http_headers headers;
  std::optional<http_error> error; ///< what the body tells, where it tells one
};
std::string_view reason_phrase(int status);

/// The connection's side of one request. Used on the OS thread of the loop alone; may be destroyed
/// on any.
class http_sink {
public:
  virtual ~http_sink() = default;

  /// The whole response; without its body for a HEAD request and where nothing has changed.
  virtual void send(const http_response&, bool with_body) = 0;

  /// The head of a response whose body follows in pieces; nothing waits for a slow reader.
  virtual void begin(const http_response& head) = 0;
  virtual void write(std::string) = 0;
  virtual void end() = 0;
  virtual std::size_t unsent() const = 0; ///< bytes that the reader did not take yet

  /// Called when the client has gone before the response's end.
  virtual void on_gone(std::function<void()>) = 0;
  /// Called whenever all that was written is sent.
  virtual void on_drained(std::function<void()>) = 0;
  /// Called when the server ends and nothing is answered yet: the last moment to do so.
  virtual void on_farewell(std::function<void()>) = 0;
};

/// The one OS thread on which requests are handled.
class http_loop {
public:
  virtual ~http_loop() = default;
  /// Calls `work` soon, from the loop's OS thread; never, once the server has stopped. May itself
  /// be called from any OS thread.
  virtual void post(std::function<void()> work) = 0;
  virtual void after(double seconds, std::function<void()> work) = 0;
};

/// A request that is not served: thrown by whoever finds out.
struct request_error {
  refusal why;
};

/// A client's own words as they are told back to it: not too many.
std::string shortened(std::string);

/// "WORDS: what is wrong; what to do", where the words are a client's own.
refusal refusal_about(refusal::kind, const std::string& words, const std::string& wrong,
                      std::string field);

/// The same for a field of a request.
[[noreturn]] void refuse_field(const std::string& field, const std::string& wrong,
                               const std::string& remedy);

/// The error object and its status.
http_response error_response(const refusal&);
http_response error_response(int status, std::string code, std::string message,
                             std::string field = {});

/// What the one who waits for a tree is told where the daemon ends first.
refusal goes_on_later(const std::string& tree);
/// And where its end cannot be stored.
refusal stored_later(const std::string& tree);

/// As OpenAI refuses a model that is not `served`.
http_response no_such_model(const std::string& name, const std::string& served);

/// The same with the fields that OpenAI's clients look for, too.
std::string openai_error_body(const http_response&);

} // namespace banyan
