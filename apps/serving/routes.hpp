#pragma once

#include "apps/serving/event_streams.hpp"
#include "apps/serving/gate.hpp"
#include "apps/serving/reply.hpp"

#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace banyan {

/// One thing that can be asked for. GET stands for HEAD, too.
struct http_route {
  std::string_view method, path; ///< "/v1/trees/{id}"
  void (*serve)(http_context&, const reply_ptr&);
};
std::span<const http_route> http_route_table();

/// All requests come through here: the gate, the table, the handlers. Used on the loop's OS thread.
class http_routes {
public:
  http_routes(forest&, const http_options&, std::shared_ptr<http_loop>);

  void serve(http_request, std::shared_ptr<http_sink>);

  /// A request that could not be read, and what its client is told.
  http_response refuse_unread(int status);

  /// A client for whom there is no room, by the head of its request. What only asks whether this
  /// process is well is told so.
  http_response turn_away(std::string_view head);

  /// Ends the streams of a loop that has stopped.
  void clear() { streams_.clear(); }

private:
  http_response unread(http_response);

  event_streams streams_;
  http_context context_;
  gate gate_;
  std::shared_ptr<void> stream_places_ =
      std::make_shared<char>(); ///< each stream of events has one
};

} // namespace banyan
