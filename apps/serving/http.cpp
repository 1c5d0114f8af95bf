#include "apps/serving/http.hpp"

#include "apps/json_parts.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace banyan {

using json = nlohmann::ordered_json;

namespace {

json parts_of(const http_error& e) {
  return {{"code", e.code}, {"message", e.message}, {"field", text_or_null(e.field)}};
}

json wrapped(json parts) {
  json whole;
  whole["error"] = std::move(parts);
  return whole;
}

std::pair<int, const char*> status_of(refusal::kind why) {
  switch (why) {
  case refusal::kind::bad_request: return {400, "bad_request"};
  case refusal::kind::not_found: return {404, "not_found"};
  case refusal::kind::conflict: return {409, "conflict"};
  case refusal::kind::full: return {429, "full"};
  case refusal::kind::unavailable: return {503, "unavailable"};
  case refusal::kind::damaged: return {500, "damaged_tree"};
  case refusal::kind::internal: break;
  }
  return {500, "internal"};
}

} // namespace

std::string_view http_request::header(std::string_view name) const {
  const auto found = std::ranges::find(headers, name, [](const auto& h) { return h.first; });
  return found == headers.end() ? std::string_view{} : found->second;
}

std::string_view reason_phrase(int status) {
  switch (status) {
  case 200: return "OK";
  case 202: return "Accepted";
  case 204: return "No Content";
  case 303: return "See Other";
  case 304: return "Not Modified";
  case 400: return "Bad Request";
  case 401: return "Unauthorized";
  case 403: return "Forbidden";
  case 404: return "Not Found";
  case 405: return "Method Not Allowed";
  case 409: return "Conflict";
  case 413: return "Content Too Large";
  case 414: return "URI Too Long";
  case 415: return "Unsupported Media Type";
  case 429: return "Too Many Requests";
  case 431: return "Request Header Fields Too Large";
  case 500: return "Internal Server Error";
  case 501: return "Not Implemented";
  case 503: return "Service Unavailable";
  default: return "Unknown";
  }
}

std::string shortened(std::string text) {
  constexpr std::size_t most = 80;
  if (text.size() <= most) return text;
  auto end = most;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80)
    --end; // whole characters
  return text.substr(0, end) + "…";
}

refusal refusal_about(refusal::kind why, const std::string& words, const std::string& wrong,
                      std::string field) {
  return {why, shortened(words) + ": " + wrong, std::move(field)};
}

void refuse_field(const std::string& field, const std::string& wrong, const std::string& remedy) {
  throw request_error{
      refusal_about(refusal::kind::bad_request, field, wrong + "; " + remedy, shortened(field))};
}

http_response error_response(int status, std::string code, std::string message, std::string field) {
  http_response response;
  response.status = status;
  response.error = {std::move(code), std::move(message), std::move(field)};
  response.body = json_line(wrapped(parts_of(*response.error)));
  return response;
}

refusal goes_on_later(const std::string& tree) {
  return {refusal::kind::unavailable,
          "the daemon is about to end; tree " + tree + " is kept and goes on when it starts again"};
}

refusal stored_later(const std::string& tree) {
  return {refusal::kind::unavailable, "store: it could not be written; tree " + tree
                                          + " is kept and ends when there is room for it"};
}

http_response no_such_model(const std::string& name, const std::string& served) {
  return error_response(
      404, "model_not_found",
      "model: there is no " + shortened(name) + "; give " + served + " or leave it out", "model");
}

std::string openai_error_body(const http_response& response) {
  auto parts = parts_of(*response.error);
  parts["type"] = response.status < 500 ? "invalid_request_error" : "server_error";
  parts["param"] = parts["field"];
  return json_line(wrapped(std::move(parts)));
}

http_response error_response(const refusal& r) {
  const auto [status, code] = status_of(r.why);
  auto response = error_response(status, code, r.message, r.field);
  if (status == 429 || status == 503)
    response.headers.emplace_back("Retry-After", std::to_string(std::max(r.retry_s, 1)));
  return response;
}

} // namespace banyan
