#include "apps/serving/reply.hpp"

#include "actors/tree_ids.hpp"
#include "apps/json_parts.hpp"
#include "model/elapsed.hpp"

#include <algorithm>
#include <cstdio>

#include <nlohmann/json.hpp>

namespace banyan {

namespace {

constexpr int client_gone = 499; // as nginx has it; nobody reads it

bool named(const http_headers& headers, std::string_view name) {
  return std::ranges::find(headers, name, &http_headers::value_type::first) != headers.end();
}

http_response with_common_headers(http_response r) {
  r.headers.emplace_back("X-Content-Type-Options", "nosniff");
  if (!named(r.headers, "Cache-Control")) r.headers.emplace_back("Cache-Control", "no-store");
  return r;
}

} // namespace

http_level level_of(int status, std::string_view route) {
  if (status == 500) return http_level::error;
  return status < 500 || route == "/readyz" ? http_level::debug : http_level::info;
}

reply_ptr http_reply::make(http_context& context, http_request request,
                           std::shared_ptr<http_sink> sink, std::string route) {
  reply_ptr reply(new http_reply(context, std::move(request), std::move(sink), std::move(route)));
  reply->sink_->on_gone([weak = reply->weak_from_this()] {
    if (const auto self = weak.lock()) self->leave();
  });
  reply->sink_->on_farewell([weak = reply->weak_from_this()] {
    const auto self = weak.lock();
    if (self && self->stage_ == stage::asked) self->refuse(self->farewell_);
  });
  return reply;
}

http_reply::http_reply(http_context& context, http_request request, std::shared_ptr<http_sink> sink,
                       std::string route)
    : context_(context),
      loop_(context.loop),
      request_(std::move(request)),
      sink_(std::move(sink)),
      route_(std::move(route)) {}

http_reply::~http_reply() {
  if (stage_ == stage::over) return;
  const bool begun = stage_ == stage::begun;
  loop_->post([begun, sink = std::move(sink_), told = std::move(farewell_),
               with_body = request_.method != "HEAD"] {
    if (begun) return sink->end();
    sink->send(error_response(told), with_body);
  });
}

void http_reply::about(const std::string& tree) {
  if (is_tree_id(tree)) tree_ = tree;
}

void http_reply::tell(int status, const std::string& note) {
  const auto took_s = seconds_since(since_);
  context_.counters.count(request_.method, route_, status, took_s);
  if (!context_.options.log) return;
  char took[32];
  std::snprintf(took, sizeof took, " %d in %.1f ms", status, took_s * 1000);
  const auto line = request_.method + ' ' + request_.path + took + (note.empty() ? "" : ": ");
  context_.options.log(level_of(status, route_), line + note, tree_);
}

void http_reply::answer(http_response response, const std::string& note) {
  if (stage_ != stage::asked) return;
  stage_ = stage::over;
  on_gone_ = nullptr;
  tell(response.status, note);
  if (response.error && speaks_openai()) response.body = openai_error_body(response);
  const bool with_body = request_.method != "HEAD" && response.status != 304;
  sink_->send(with_common_headers(std::move(response)), with_body);
}

void http_reply::send(http_response response) {
  const auto note = response.error ? response.error->message : std::string();
  answer(std::move(response), note);
}

void http_reply::send(const nlohmann::ordered_json& j) {
  http_response response;
  response.body = json_line(j);
  answer(std::move(response), {});
}

void http_reply::refuse(const refusal& why) {
  if (stage_ == stage::begun) return break_off(why.message);
  send(error_response(why));
}

void http_reply::fail(const std::string& why) {
  if (stage_ == stage::asked)
    return answer(
        error_response({refusal::kind::internal, "something went wrong here; see the log"}), why);
  break_off(why);
}

/// Whoever writes it hears as if the client had left; the client may come back.
void http_reply::break_off(const std::string& why) {
  if (stage_ != stage::begun) return;
  if (context_.options.log)
    context_.options.log(http_level::error, request_.path + ": " + why, tree_);
  if (const auto told = std::exchange(on_gone_, nullptr)) told();
  end();
}

bool http_reply::speaks_openai() const {
  return request_.path.starts_with("/v1/completions") || request_.path.starts_with("/v1/models");
}

bool http_reply::begin(http_response head) {
  if (stage_ != stage::asked) return false;
  if (request_.method == "HEAD") {
    send(std::move(head));
    return false;
  }
  stage_ = stage::begun;
  tell(head.status, {});
  sink_->begin(with_common_headers(std::move(head)));
  return true;
}

void http_reply::write(std::string piece) {
  if (stage_ == stage::begun) sink_->write(std::move(piece));
}

void http_reply::end() {
  if (stage_ != stage::begun) return;
  stage_ = stage::over;
  on_gone_ = nullptr;
  sink_->end();
}

void http_reply::leave() {
  if (stage_ == stage::over) return;
  if (stage_ == stage::asked) tell(client_gone, "the client left");
  stage_ = stage::over;
  *wanted_ = false;
  if (const auto told = std::move(on_gone_)) told();
}

} // namespace banyan
