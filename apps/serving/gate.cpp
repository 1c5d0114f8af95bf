#include "apps/serving/gate.hpp"

#include "apps/serving/urls.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

namespace banyan {

namespace {

/// HMAC-SHA256 of `what`, in hexadecimal digits: who knows it does not know the token.
std::string derived_from(const std::string& token, std::string_view what) {
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  ::HMAC(::EVP_sha256(), token.data(), static_cast<int>(token.size()),
         reinterpret_cast<const unsigned char*>(what.data()), what.size(), bytes, &size);
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (unsigned i = 0; i < size; ++i) text += {digits[bytes[i] >> 4], digits[bytes[i] & 15]};
  return text;
}

/// Of an IPv6 address the half that says where it is; of one that stands for IPv4, that one.
std::string network_of(const std::string& address) {
  in6_addr bytes;
  if (::inet_pton(AF_INET6, address.substr(0, address.find('%')).c_str(), &bytes) != 1)
    return address;
  char text[INET6_ADDRSTRLEN];
  if (IN6_IS_ADDR_V4MAPPED(&bytes))
    return ::inet_ntop(AF_INET, bytes.s6_addr + 12, text, sizeof text);
  std::fill(bytes.s6_addr + 8, bytes.s6_addr + 16, 0);
  return std::string(::inet_ntop(AF_INET6, &bytes, text, sizeof text)) + "/64";
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(
      a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

/// "127.0.0.1:8427" and "[::1]:8427" without the port.
std::string_view host_of(std::string_view authority) {
  if (authority.starts_with('[')) return authority.substr(1, authority.find(']') - 1);
  return authority.substr(0, authority.find(':'));
}

bool is_loopback(std::string_view host) {
  return equal_ignoring_case(host, "localhost") || host == "::1"
         || (host.starts_with("127.") && host.find_first_not_of("0123456789.") == host.npos);
}

/// The value of one cookie among all of a `Cookie` header.
std::string_view cookie_of(std::string_view cookies, std::string_view name) {
  while (!cookies.empty()) {
    auto cookie = cookies.substr(0, cookies.find(';'));
    cookies.remove_prefix(std::min(cookie.size() + 1, cookies.size()));
    cookie.remove_prefix(std::min(cookie.find_first_not_of(' '), cookie.size()));
    if (cookie.starts_with(name) && cookie.substr(name.size()).starts_with('='))
      return cookie.substr(name.size() + 1);
  }
  return {};
}

bool changes_state(const http_request& request) {
  return request.method != "GET" && request.method != "HEAD";
}

http_response forbidden(const std::string& message) {
  return error_response(403, "forbidden", message);
}

/// For a person: how to come in.
constexpr auto closed_page = R"(<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Banyan</title>
<h1>This daemon wants its token</h1>
<p>Open this page once as <code>/?token=TOKEN</code>, with what stands in the file that the daemon has
as its <code>--token-file</code>. The browser is then known for as long as that token holds.
</html>
)";

http_response unauthorized() {
  auto response = error_response(
      401, "unauthorized", "Authorization: the token is missing or wrong; send `Bearer TOKEN`");
  response.headers.emplace_back("WWW-Authenticate", "Bearer realm=\"banyan\"");
  return response;
}

http_response at_the_door(const http_request& request) {
  auto response = unauthorized();
  if (request.header("accept").find("text/html") == std::string_view::npos) return response;
  response.type = "text/html; charset=utf-8";
  response.body = closed_page;
  response.headers.emplace_back("Content-Security-Policy", "default-src 'none'");
  return response;
}

} // namespace

bool same_secret(std::string_view given, std::string_view secret) {
  unsigned difference = given.size() == secret.size() ? 0 : 1;
  for (std::size_t i = 0; i < given.size(); ++i)
    difference |= static_cast<unsigned char>(given[i])
                  ^ static_cast<unsigned char>(secret.empty() ? 0 : secret[i % secret.size()]);
  return difference == 0;
}

// ---- rates

double rate_limiter::tokens_at(const bucket& b, time_point now) const {
  const auto passed_s = std::chrono::duration<double>(now - b.filled).count();
  return std::min(capacity_, b.tokens + passed_s * per_s_);
}

rate_limiter::bucket& rate_limiter::bucket_of(const std::string& address, time_point now) {
  if (const auto known = places_.find(address); known != places_.end()) {
    buckets_.splice(buckets_.begin(), buckets_, known->second);
  } else {
    buckets_.push_front({address, capacity_, now});
    places_.emplace(buckets_.front().of, buckets_.begin());
  }
  if (buckets_.size() > most) {
    places_.erase(buckets_.back().of);
    buckets_.pop_back();
  }
  return buckets_.front();
}

double rate_limiter::take(const std::string& address, time_point now) {
  if (per_s_ <= 0) return 0;
  auto& b = bucket_of(network_of(address), now);
  b.tokens = tokens_at(b, now);
  b.filled = now;
  if (b.tokens < 1) return (1 - b.tokens) / per_s_;
  b.tokens -= 1;
  return 0;
}

// ---- the gate

browser_session session_for(const std::string& token) {
  return {"banyan_" + derived_from(token, "name of a browser's session").substr(0, 8),
          derived_from(token, "a browser's session")};
}

gate::gate(const http_options& options) : options_(options), rates_(options.requests_per_s) {}

void gate::take_over_options() {
  rates_.set_rate(options_.requests_per_s);
  if (token_ == options_.token) return;
  token_ = options_.token;
  session_ = session_for(token_);
}

std::optional<http_response> gate::check(const http_request& request,
                                         rate_limiter::time_point now) {
  take_over_options();
  if (auto no = check_size(request)) return no;
  if (request.path == "/healthz") return {};
  if (auto no = check_rate(request, now)) return no;
  if (auto no = check_site(request)) return no;
  return check_token(request);
}

std::optional<http_response> gate::check_rate(const http_request& request,
                                              rate_limiter::time_point now) {
  const auto wait_s = rates_.take(request.remote, now);
  if (wait_s <= 0) return {};
  auto response = error_response(429, "too_many_requests",
                                 request.remote + ": too many requests; wait and try again");
  const auto told_s = std::min(std::ceil(wait_s), 86400.0); // a rate may be as low as it likes
  response.headers.emplace_back("Retry-After", std::to_string(std::lround(told_s)));
  return response;
}

std::optional<http_response> gate::check_size(const http_request& request) const {
  std::size_t bytes = 0;
  for (const auto& [name, value] : request.headers) bytes += name.size() + value.size();
  if (bytes <= options_.max_header_bytes) return {};
  return error_response(431, "too_large", "the headers: they are too long; send less");
}

bool gate::is_ours(std::string_view authority) const {
  const auto host = host_of(authority);
  return is_loopback(host) || equal_ignoring_case(host, options_.address);
}

/// A page of another site can make a browser send requests here, and by its own name for our
/// address it could even read the answers. Such requests name the other site.
std::optional<http_response> gate::check_site(const http_request& request) const {
  const auto host = request.header("host");
  const auto hosts = std::ranges::count(request.headers, "host", &http_headers::value_type::first);
  const bool nameless = hosts == 0 && request.is_1_0; // no browser
  if (hosts != 1 && !nameless)
    return error_response(400, "bad_request", "Host: it is not there once; send it once", "Host");
  if (options_.token.empty() && !nameless && !is_ours(host))
    return forbidden("Host: this is not " + shortened(std::string(host))
                     + "; use the address listened on");
  const auto origin = request.header("origin");
  if (!changes_state(request) || origin.empty()) return {};
  const auto scheme = origin.find("://");
  if (scheme != origin.npos && equal_ignoring_case(origin.substr(scheme + 3), host)) return {};
  return forbidden("Origin: pages of " + shortened(std::string(origin))
                   + " may not change anything here; use the daemon's own page");
}

bool gate::knows_secret(const http_request& request) const {
  const auto header = request.header("authorization");
  constexpr std::string_view scheme = "Bearer ";
  if (equal_ignoring_case(header.substr(0, scheme.size()), scheme)) {
    const auto given =
        header.substr(std::min(header.find_first_not_of(' ', scheme.size()), header.size()));
    if (same_secret(given, options_.token)) return true;
  }
  return same_secret(cookie_of(request.header("cookie"), session_.name), session_.value);
}

std::optional<http_response> gate::check_token(const http_request& request) const {
  if (options_.token.empty() || knows_secret(request)) return {};
  if (request.path != "/" || changes_state(request)) return unauthorized();
  url_query query(request.query);
  const auto given = query.text("token");
  if (!given || !same_secret(*given, options_.token)) return at_the_door(request);
  return http_response{303,
                       "text/plain",
                       {},
                       {{"Location", "/"},
                        {"Set-Cookie", session_.name + "=" + session_.value
                                           + "; HttpOnly; SameSite=Strict; Path=/"}}};
}

} // namespace banyan
