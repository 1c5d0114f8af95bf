#pragma once

#include "apps/banyand/http.hpp"
#include "apps/banyand/http_options.hpp"

#include <algorithm>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>

namespace banyan {

/// Whether two texts are the same, in a time that does not tell where they differ.
bool same_secret(std::string_view given, std::string_view secret);

/// How many requests each remote address may still make: a bucket of tokens each, filled with
/// `per_s` tokens a second up to a second's worth.
class rate_limiter {
public:
  using time_point = std::chrono::steady_clock::time_point;

  explicit rate_limiter(double per_s) : per_s_(per_s), capacity_(std::max(per_s, 1.0)) {}

  /// From now on; what an address has taken stays taken.
  void set_rate(double per_s) {
    per_s_ = per_s;
    capacity_ = std::max(per_s, 1.0);
  }

  /// Seconds to wait; 0: go ahead.
  double take(const std::string& address, time_point now);

private:
  struct bucket {
    double tokens = 0;
    time_point filled;
  };
  double tokens_at(const bucket&, time_point now) const;

  double per_s_, capacity_;
  std::unordered_map<std::string, bucket> buckets_;
};

/// Decides who is let in: not too often, not with too much, with the token where there is one, and
/// no browser that acts for another site.
class gate {
public:
  /// `new_session` makes what a browser's cookie holds in place of the token: a secret that is good
  /// as long as the token stays the same. The options may change between two requests.
  gate(const http_options&, std::function<std::string()> new_session);

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
  std::function<std::string()> new_session_;
  std::string token_, session_; ///< the token that the session stands for
  rate_limiter rates_;
};

} // namespace banyan
