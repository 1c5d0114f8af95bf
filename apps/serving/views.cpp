#include "apps/serving/views.hpp"

#include "apps/json_parts.hpp"
#include "apps/serving/http.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include <nlohmann/json.hpp>

namespace banyan {

using json = nlohmann::ordered_json;

namespace {

/// The threads that a cut shows, and whether there are more.
std::pair<std::span<const thread_record>, bool> shown(const tree& t, const tree_cut& cut) {
  std::span<const thread_record> rest(t.threads);
  if (!cut.after.empty()) {
    const auto found = std::ranges::find(rest, cut.after, &thread_record::path);
    if (found == rest.end())
      refuse_field(cut.after_field, "the tree has no thread " + shortened(cut.after),
                   "give the path of one");
    rest = rest.subspan(static_cast<std::size_t>(found - rest.begin()) + 1);
  }
  const bool more = rest.size() > cut.most_threads;
  return {rest.first(std::min(rest.size(), cut.most_threads)), more};
}

template <class Number>
json unless_unlimited(Number value) {
  if (value == std::numeric_limits<Number>::max()) return {};
  return value;
}

/// Nothing of a thread that has not begun, or lives no more.
json budget_left(const thread_view& v) {
  const bool begun = v.tokens_left > 0 || v.rounds_left > 0 || v.seconds_left > 0;
  if (!v.live || (!begun && v.record.phase == thread_phase::queued)) return {};
  return {{"tokens", unless_unlimited(v.tokens_left)},
          {"rounds", unless_unlimited(v.rounds_left)},
          {"seconds", std::isfinite(v.seconds_left) ? json(v.seconds_left) : json()}};
}

json pool_view(const pool_status& p) {
  return {{"name", p.name},
          {"node", "local"},
          {"weights_epoch", p.weights_epoch},
          {"queued", p.queued},
          {"running", p.running},
          {"finished", p.finished},
          {"failed", p.failed},
          {"cancelled", p.cancelled},
          {"steps", p.steps},
          {"blocks",
           {{"total", p.blocks_total},
            {"free", p.blocks_free},
            {"leased", p.blocks_leased},
            {"cached", p.blocks_cached}}},
          {"prompt_tokens", p.prompt_tokens},
          {"cached_tokens", p.cached_tokens},
          {"generated_tokens", p.generated_tokens},
          {"busy_s", p.busy_s},
          {"forward_s", p.forward_s}};
}

json pool_list(const forest_status& s) {
  auto pools = json::array();
  for (const auto& p : s.node.pools) pools.push_back(pool_view(p));
  return pools;
}

template <class Key, class... Keys>
json counts(const std::map<Key, std::uint64_t>& counted, Keys... always) {
  auto j = json::object();
  ((j[std::string(to_string(always))] = 0), ...);
  for (const auto& [key, count] : counted) j[std::string(to_string(key))] = count;
  return j;
}

json tree_counts(const forest_status& s) {
  const auto& n = s.node;
  return {{"accepted", n.accepted}, {"queued", s.queued()},    {"running", s.running()},
          {"paused", n.paused},     {"finished", n.finished},  {"solved", n.solved},
          {"failed", n.failed},     {"cancelled", n.cancelled}};
}

json failure_counts(const std::map<errc, std::uint64_t>& counted) {
  return counts(counted, errc::no_solution, errc::cancelled, errc::deadline, errc::budget_spent,
                errc::context_full, errc::malformed_spawn, errc::child_lost, errc::pool_lost);
}

} // namespace

std::string forest_status::why_not_ready() const {
  if (ending()) return "the daemon is about to end; ask another one";
  if (ready) return {};
  if (node.pools_alive == 0) return "no device is left; see the log and start the daemon again";
  if (!store_trouble.empty()) return "the store cannot be written: " + store_trouble;
  return "the daemon has just begun; try again";
}

json tree_view(const tree& t, const tree_cut& cut) {
  const auto [threads, more] = shown(t, cut);
  auto j = tree_parts(t);
  j["threads"] = json::array();
  for (const auto& thread : threads) j["threads"].push_back(thread_parts(thread, cut.texts));
  j["threads_next"] = more ? json(threads.back().path) : json();
  return j;
}

json threads_view(const tree& t, const tree_cut& cut) {
  const auto [threads, more] = shown(t, cut);
  json j{{"threads", json::array()}, {"next", more ? json(threads.back().path) : json()}};
  for (const auto& thread : threads) j["threads"].push_back(thread_parts(thread, cut.texts));
  return j;
}

json thread_detail(const thread_view& v) {
  auto j = thread_parts(v.record, true);
  j["live"] = v.live;
  j["cache"] = {{"blocks", v.cache_blocks}, {"leased", v.leased}};
  j["budget_left"] = budget_left(v);
  return j;
}

json thread_row_view(const thread_row& row) {
  return {{"tree", row.tree},
          {"path", row.thread},
          {"state", to_string(row.phase)},
          {"generated_tokens", row.tokens},
          {"waiting_for", row.waiting_for},
          {"since", time_or_null(row.since_ms)}};
}

json pools_view(const forest_status& s) {
  auto j = json::object();
  j["pools"] = pool_list(s);
  return j;
}

json nodes_view(const forest_status& s) {
  auto names = json::array();
  for (const auto& p : s.node.pools) names.push_back(p.name);
  const json local{{"name", "local"},
                   {"state", s.ending() ? "draining" : "up"},
                   {"pools", std::move(names)},
                   {"uptime_s", s.uptime_s}};
  auto j = json::object();
  j["nodes"].push_back(local);
  return j;
}

json status_view(const forest_status& s) {
  json j{{"version", s.version},
         {"ready", s.ready},
         {"not_ready", text_or_null(s.why_not_ready())},
         {"draining", s.ending()},
         {"uptime_s", s.uptime_s},
         {"trees", tree_counts(s)},
         {"threads", counts(s.threads, thread_phase::queued, thread_phase::decoding,
                            thread_phase::waiting, thread_phase::paused)},
         {"failures", failure_counts(s.node.failures)},
         {"store",
          {{"finished", s.store.finished},
           {"unfinished", s.store.unfinished},
           {"bytes", s.store.bytes},
           {"damaged", s.damaged_trees},
           {"trouble", text_or_null(s.store_trouble)}}},
         {"pools", pool_list(s)}};
  j["tokens"]["generated"] = s.node.generated_tokens;
  return j;
}

} // namespace banyan
