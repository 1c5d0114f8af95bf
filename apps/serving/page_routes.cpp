#include "apps/serving/embedded.hpp"
#include "apps/serving/handlers.hpp"
#include "solver/fnv.hpp"

#include <cstdint>
#include <cstdio>

namespace banyan {

namespace {

std::string_view type_of(std::string_view name) {
  const auto ending = name.substr(std::min(name.rfind('.'), name.size()));
  if (ending == ".html") return "text/html; charset=utf-8";
  if (ending == ".css") return "text/css; charset=utf-8";
  if (ending == ".js" || ending == ".mjs") return "text/javascript; charset=utf-8";
  if (ending == ".json") return "application/json";
  if (ending == ".svg") return "image/svg+xml";
  if (ending == ".png") return "image/png";
  if (ending == ".ico") return "image/x-icon";
  if (ending == ".woff2") return "font/woff2";
  return "application/octet-stream";
}

/// It tells versions of a file apart, and no more is asked of it.
std::string tag_of(std::string_view bytes) {
  char text[24];
  std::snprintf(text, sizeof text, "\"%016llx\"", static_cast<unsigned long long>(fnv1a(bytes)));
  return text;
}

constexpr auto policy = "default-src 'self'; base-uri 'none'; form-action 'none'; "
                        "frame-ancestors 'none'; object-src 'none'";

void send_file(const reply_ptr& reply, const std::string& name) {
  const auto* file = find_embedded(name);
  if (!file)
    return reply->refuse(refusal_about(refusal::kind::not_found, reply->request().path,
                                       "there is no such file; see /", {}));
  const auto tag = tag_of(file->bytes);
  http_response response{200,
                         std::string(type_of(name)),
                         std::string(file->bytes),
                         {{"ETag", tag},
                          {"Cache-Control", "no-cache"},
                          {"Content-Security-Policy", policy},
                          {"Referrer-Policy", "no-referrer"}},
                         {}};
  const auto known = reply->request().header("if-none-match");
  if (known == "*" || known.find(tag) != known.npos) response.status = 304;
  reply->send(std::move(response));
}

} // namespace

void show_page(http_context&, const reply_ptr& reply) { send_file(reply, "page/index.html"); }

void show_page_file(http_context&, const reply_ptr& reply) {
  send_file(reply, "page/" + reply->param(0));
}

void show_description(http_context&, const reply_ptr& reply) { send_file(reply, "openapi.json"); }

} // namespace banyan
