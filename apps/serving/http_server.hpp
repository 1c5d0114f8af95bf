#pragma once

#include "apps/serving/forest.hpp"
#include "apps/serving/http_options.hpp"

#include <cstdint>
#include <memory>
#include <string>

namespace banyan {

/// Serves a forest over HTTP/1.1, on one OS thread of its own (docs/interfaces.md).
class http_server {
public:
  /// Listens when it returns. Throws `bad_usage` for an address that is none, or that others can
  /// reach while there is no token; `bad_environment` where it cannot listen. Lets this process
  /// have as many open files as its connections need, where the system allows it; otherwise there
  /// are fewer connections. The forest must outlive the server.
  http_server(forest&, http_options);
  ~http_server();

  /// Takes over token and requests_per_s; the rest stays as it was.
  void reload(const http_options&);

  std::uint16_t port() const;
  std::string url() const; ///< "http://127.0.0.1:8427"

  /// Takes no more requests, answers the open ones with 503, ends the streams, and waits a moment
  /// until that is sent. Trees whose clients wait go on.
  void stop();

private:
  struct core;
  std::shared_ptr<core> core_;
};

} // namespace banyan
