#include "apps/serving/routes.hpp"

#include "apps/drawn.hpp"
#include "apps/serving/handlers.hpp"
#include "apps/serving/urls.hpp"

#include <algorithm>
#include <cstdio>

namespace banyan {

namespace {

constexpr http_route table[] = {
    {"GET", "/", show_page},
    {"GET", "/page/{file}", show_page_file},
    {"GET", "/healthz", show_health},
    {"GET", "/readyz", show_readiness},
    {"GET", "/metrics", show_metrics},
    {"GET", "/openapi.json", show_description},
    {"GET", "/v1/status", show_status},
    {"GET", "/v1/pools", list_pools},
    {"GET", "/v1/nodes", list_nodes},
    {"GET", "/v1/threads", list_threads},
    {"GET", "/v1/events", stream_forest},
    {"GET", "/v1/trees", list_trees},
    {"POST", "/v1/trees", submit_tree},
    {"GET", "/v1/trees/{id}", show_tree},
    {"GET", "/v1/trees/{id}/threads", list_tree_threads},
    {"GET", "/v1/trees/{id}/events", stream_tree},
    {"POST", "/v1/trees/{id}/cancel", cancel_tree},
    {"POST", "/v1/trees/{id}/pause", pause_tree},
    {"POST", "/v1/trees/{id}/resume", resume_tree},
    {"GET", "/v1/models", list_models},
    {"GET", "/v1/models/{model}", show_model},
    {"POST", "/v1/completions", complete},
};

using segments = std::vector<std::string>;

/// What stands for the {…} of a path template; nothing where it does not fit.
std::optional<segments> fit(std::string_view path, const segments& given) {
  const auto wanted = *path_segments(path);
  if (wanted.size() != given.size()) return {};
  segments params;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i].starts_with('{')) {
      if (given[i].empty()) return {};
      params.push_back(given[i]);
    } else if (wanted[i] != given[i]) {
      return {};
    }
  }
  return params;
}

struct found_route {
  const http_route* route = nullptr;
  std::string path = "other"; ///< template of the path, also where its methods are others
  std::string allowed;        ///< methods of the path
  segments params;
};

found_route find_route(std::string_view method, std::string_view path) {
  found_route found;
  const auto given = path_segments(path);
  if (!given) return found;
  for (const auto& route : table) {
    auto params = fit(route.path, *given);
    if (!params) continue;
    found.path = route.path;
    found.allowed += (found.allowed.empty() ? "" : ", ") + std::string(route.method);
    if (route.method == "GET") found.allowed += ", HEAD";
    if (route.method != method && !(route.method == "GET" && method == "HEAD")) continue;
    found.route = &route;
    found.params = std::move(*params);
  }
  return found;
}

http_response no_route(const found_route& found, const http_request& request) {
  if (found.allowed.empty())
    return error_response(404, "not_found",
                          shortened(request.path) + ": there is no such path; see /openapi.json");
  auto response = error_response(405, "method_not_allowed",
                                 request.method + ": not for this path; use " + found.allowed);
  response.headers.emplace_back("Allow", found.allowed);
  return response;
}

bool is_encoded(const http_request& request) {
  const auto encoding = request.header("content-encoding");
  return !encoding.empty() && encoding != "identity";
}

http_response refused_encoding() {
  return error_response(415, "unsupported_encoding",
                        "Content-Encoding: the body cannot be decoded here; send it as it is",
                        "Content-Encoding");
}

http_response no_room(const char* what) {
  return error_response(
      {refusal::kind::unavailable,
       std::string(what) + ": there are as many as there may be; try again later"});
}

bool is_stream(const http_route& route) {
  return route.serve == stream_tree || route.serve == stream_forest;
}

/// So many connections may be streams of events, which stay for long: an eighth is for all else.
long most_streams(std::size_t connections) {
  return static_cast<long>(connections - std::min(connections - 1, std::max(connections / 8, 1UL)));
}

} // namespace

std::span<const http_route> http_route_table() { return table; }

http_routes::http_routes(forest& trees, const http_options& options,
                         std::shared_ptr<http_loop> loop)
    : streams_(drawn_name(16)),
      context_{trees, options, std::move(loop), streams_, {}},
      gate_(options) {}

void http_routes::serve(http_request request, std::shared_ptr<http_sink> sink) {
  auto found = find_route(request.method, request.path);
  request.params = std::move(found.params);
  const auto reply =
      http_reply::make(context_, std::move(request), std::move(sink), std::move(found.path));
  reply->guarded([&] {
    if (auto no = gate_.check(reply->request(), std::chrono::steady_clock::now()))
      return reply->send(std::move(*no));
    if (!found.route) return reply->send(no_route(found, reply->request()));
    if (is_encoded(reply->request())) return reply->send(refused_encoding());
    if (is_stream(*found.route)) {
      if (stream_places_.use_count() > most_streams(context_.options.max_connections))
        return reply->send(no_room("streams of events"));
      reply->hold(stream_places_);
    }
    found.route->serve(context_, reply);
  });
}

http_response http_routes::turn_away(std::string_view head) {
  const auto line = head.substr(0, head.find("\r\n"));
  const bool asks_health = line.starts_with("GET /healthz ") || line.starts_with("HEAD /healthz ");
  return unread(asks_health ? health() : no_room("connections"));
}

http_response http_routes::refuse_unread(int status) {
  return unread([status] {
    switch (status) {
    case 413:
      return error_response(413, "too_large", "the body: it is too long; send a shorter one");
    case 414:
      return error_response(414, "too_large", "the URL: it is too long; send a shorter one");
    case 431:
      return error_response(431, "too_large", "the headers: too many or too long; send less");
    case 501:
      return error_response(
          501, "not_implemented",
          "the request: it does not begin with a method that is known here; see /openapi.json");
    default:
      return error_response(400, "bad_request", "the request: it is not HTTP; send HTTP/1.1");
    }
  }());
}

/// What is answered before it is known what it is: it may be OpenAI's.
http_response http_routes::unread(http_response r) {
  context_.counters.count("other", "other", r.status, 0);
  if (!r.error) return r;
  if (context_.options.log) context_.options.log(level_of(r.status, "other"), r.error->message, {});
  r.body = openai_error_body(r);
  return r;
}

} // namespace banyan
