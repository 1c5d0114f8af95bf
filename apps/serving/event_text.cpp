#include "apps/serving/event_text.hpp"

#include "apps/json_parts.hpp"
#include "apps/time_text.hpp"

#include <charconv>

#include <nlohmann/json.hpp>

namespace banyan {

using json = nlohmann::ordered_json;

namespace {

/// 0 for what is none.
std::uint64_t whole_number(std::string_view text) {
  std::uint64_t n = 0;
  const auto* last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, n);
  return error == std::errc{} && end == last ? n : 0;
}

} // namespace

json event_place(std::int64_t at_ms, const std::string& tree, const std::string& thread,
                 const std::string& parent, std::uint64_t position) {
  return {{"tree", tree},
          {"thread", thread},
          {"parent", text_or_null(parent)},
          {"position", position},
          {"at", time_text(at_ms)}};
}

std::string event_text(std::string_view name, const std::string& id, const json& data) {
  std::string text = "event: ";
  text += name;
  return text + "\nid: " + id + "\ndata: " + json_line(data) + "\n\n";
}

std::string event_id(std::string_view stream, std::uint64_t n) {
  return std::string(stream) + '-' + std::to_string(n);
}

std::string told_id(std::string_view stream, std::uint64_t n, std::uint64_t telling) {
  return event_id(stream, n) + '.' + std::to_string(telling);
}

std::string part_id(std::string_view stream, std::uint64_t n, std::uint64_t telling,
                    std::uint64_t part) {
  return told_id(stream, n, telling) + '.' + std::to_string(part);
}

json event_data(const tree_event& e) {
  using kind = tree_event::kind;
  auto j = event_place(e.at_ms, e.tree, e.thread, e.parent, e.position);
  switch (e.what) {
  case kind::done:
    return done_data(e.at_ms, e.tree, e.state, e.failure,
                     e.outcome ? outcome_parts(*e.outcome) : json());
  case kind::tree: j["state"] = e.state; return j;
  case kind::thread:
    j["state"] = e.state;
    j["failure"] = name_or_null(e.failure);
    break;
  case kind::spawn: j["children"] = e.children; [[fallthrough]];
  case kind::text:
  case kind::join: j["text"] = e.text; break;
  }
  j["tokens"] = e.tokens;
  return j;
}

json done_data(std::int64_t at_ms, const std::string& tree, std::string_view state, errc failure,
               json outcome) {
  auto j = event_place(at_ms, tree, "/", {}, 0);
  j["state"] = state;
  j["failure"] = name_or_null(failure);
  j["outcome"] = std::move(outcome);
  return j;
}

std::uint64_t event_number(std::string_view last_event_id, std::string_view stream) {
  if (!last_event_id.starts_with(stream)) return 0;
  last_event_id.remove_prefix(stream.size());
  if (!last_event_id.starts_with('-')) return 0;
  last_event_id.remove_prefix(1);
  const auto dot = last_event_id.find('.');
  const auto n = whole_number(last_event_id.substr(0, dot));
  const bool whole = dot == last_event_id.npos || whole_number(last_event_id.substr(dot + 1)) > 0;
  return whole ? n : 0;
}

} // namespace banyan
