#include "apps/banyand/event_text.hpp"

#include "apps/json_parts.hpp"
#include "apps/time_text.hpp"

#include <charconv>

#include <nlohmann/json.hpp>

namespace banyan {

using json = nlohmann::ordered_json;

namespace {

json place(std::int64_t at_ms, const std::string& tree, const std::string& thread,
           const std::string& parent, std::uint64_t position = 0) {
  return {{"tree", tree},
          {"thread", thread},
          {"parent", text_or_null(parent)},
          {"position", position},
          {"at", time_text(at_ms)}};
}

/// Up to when the tree's state is known.
std::int64_t seen_ms(const tree& t, std::int64_t now_ms) {
  return t.finished_ms != 0 ? t.finished_ms : now_ms;
}

json tree_data(const tree& t, std::int64_t now_ms) {
  auto j = place(seen_ms(t, now_ms), t.id, "/", {});
  j["state"] = to_string(t.phase);
  j["prompt"] = t.prompt;
  j["problem"] = problem_parts(t.problem);
  return j;
}

json thread_data(const tree& t, const thread_record& thread) {
  auto j = place(thread.since_ms, t.id, thread.path, thread.parent());
  j["state"] = to_string(thread.phase);
  j["tokens"] = thread.generated_tokens();
  j["failure"] = name_or_null(thread.failure);
  j["depth"] = thread.depth;
  j["pool"] = thread.pool;
  return j;
}

json text_data(const tree& t, const thread_record& thread, std::int64_t now_ms) {
  const auto at_ms = ended(thread.phase) ? thread.since_ms : seen_ms(t, now_ms);
  auto j = place(at_ms, t.id, thread.path, thread.parent());
  j["text"] = thread.text();
  j["tokens"] = thread.generated_tokens();
  return j;
}

} // namespace

std::string event_text(std::string_view name, const std::string& id, const json& data) {
  std::string text = "event: ";
  text += name;
  if (!id.empty()) text += "\nid: " + id;
  return text + "\ndata: " + json_line(data) + "\n\n";
}

json event_data(const tree_event& e) {
  using kind = tree_event::kind;
  auto j = place(e.at_ms, e.tree, e.thread, e.parent, e.position);
  switch (e.what) {
  case kind::done: return done_data(e.at_ms, e.tree, e.state, e.failure, nullptr);
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
  auto j = place(at_ms, tree, "/", {});
  j["state"] = state;
  j["failure"] = name_or_null(failure);
  j["outcome"] = std::move(outcome);
  return j;
}

std::string texts_text(const tree& t, const std::set<std::string>& threads, const std::string& id,
                       std::int64_t now_ms) {
  std::string text;
  std::size_t left = threads.size();
  for (const auto& thread : t.threads)
    if (threads.contains(thread.path))
      text += event_text("text", --left == 0 ? id : "", text_data(t, thread, now_ms));
  return text;
}

std::string snapshot_text(const tree& t, const std::string& id, std::int64_t now_ms) {
  auto text = event_text("tree", {}, tree_data(t, now_ms));
  std::set<std::string> all;
  for (const auto& thread : t.threads) {
    text += event_text("thread", {}, thread_data(t, thread));
    all.insert(thread.path);
  }
  return text + texts_text(t, all, id, now_ms);
}

std::uint64_t event_number(std::string_view last_event_id, std::string_view stream) {
  if (!last_event_id.starts_with(stream)) return 0;
  last_event_id.remove_prefix(stream.size());
  if (!last_event_id.starts_with('-')) return 0;
  last_event_id.remove_prefix(1);
  std::uint64_t n = 0;
  const auto* last = last_event_id.data() + last_event_id.size();
  const auto [end, error] = std::from_chars(last_event_id.data(), last, n);
  return error == std::errc{} && end == last ? n : 0;
}

} // namespace banyan
