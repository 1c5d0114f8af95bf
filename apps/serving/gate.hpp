#pragma once

#include "apps/serving/http.hpp"
#include "apps/serving/http_options.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace banyan {

/// Whether two texts are the same, in a time that does not tell where they differ.
bool same_secret(std::string_view given, std::string_view secret);

/// A cookie in place of the token, which it does not give away. It is good as long as the token
/// stays the same, over restarts too, and by its name keeps out of the way of daemons with another
/// token: browsers do not tell the ports of a host apart (RFC 6265 section 8.5).
struct browser_session {
  std::string name, value;
};
browser_session session_for(const std::string& token);

/// How many requests each remote address may still make: a bucket of tokens each, filled with
/// `per_s` tokens a second up to a second's worth. Of more than `most` addresses those that have
/// not asked for longest are forgotten, at no cost to the others.
class rate_limiter {
public:
  using time_point = std::chrono::steady_clock::time_point;
  static constexpr std::size_t most = 4096;

  explicit rate_limiter(double per_s) : per_s_(per_s), capacity_(std::max(per_s, 1.0)) {}

  /// From now on; what an address has taken stays taken.
  void set_rate(double per_s) {
    per_s_ = per_s;
    capacity_ = std::max(per_s, 1.0);
  }

  /// Seconds to wait; 0: go ahead. All of a /64 of IPv6 are one address: one machine has them.
  double take(const std::string& address, time_point now);

  std::size_t size() const { return buckets_.size(); }

private:
  struct bucket {
    std::string of;
    double tokens = 0;
    time_point filled;
  };
  bucket& bucket_of(const std::string& address, time_point now);
  double tokens_at(const bucket&, time_point now) const;

  double per_s_, capacity_;
  std::list<bucket> buckets_; ///< who asked last comes first
  std::unordered_map<std::string_view, std::list<bucket>::iterator> places_; ///< by `of`
};

/// Decides who is let in: not too often, not with too much, with the token where there is one, and
/// no browser that acts for another site.
class gate {
public:
  /// The options may change between two requests.
  explicit gate(const http_options&);

  /// What is answered in place of serving the request; nothing: it is served.
  std::optional<http_response> check(const http_request&, rate_limiter::time_point now);

private:
  std::optional<http_response> check_rate(const http_request&, rate_limiter::time_point);
  std::optional<http_response> check_size(const http_request&) const;
  std::optional<http_response> check_site(const http_request&) const;
  std::optional<http_response> check_token(const http_request&) const;
  bool knows_secret(const http_request&) const;
  bool is_ours(std::string_view authority) const;

  void take_over_options();

  const http_options& options_;
  std::string token_; ///< that the session stands for
  browser_session session_;
  rate_limiter rates_;
};

} // namespace banyan
