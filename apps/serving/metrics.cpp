#include "apps/serving/metrics.hpp"

#include <limits>
#include <utility>

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

namespace banyan {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using labels = std::vector<ClientMetric::Label>;

/// The families in the order in which they are first mentioned.
class metric_page {
public:
  void gauge(const char* name, const char* help, double value, labels l = {}) {
    add(name, help, MetricType::Gauge, std::move(l)).gauge.value = value;
  }
  void count(const char* name, const char* help, double value, labels l = {}) {
    add(name, help, MetricType::Counter, std::move(l)).counter.value = value;
  }
  void spread(const char* name, const char* help, const histogram& h, labels l = {}) {
    auto& drawn = add(name, help, MetricType::Histogram, std::move(l)).histogram;
    std::uint64_t total = 0;
    for (std::size_t i = 0; i < h.counts.size(); ++i) {
      total += h.counts[i];
      const bool last = i >= h.bounds.size();
      drawn.bucket.push_back({total, last ? std::numeric_limits<double>::infinity() : h.bounds[i]});
    }
    drawn.sample_count = total;
    drawn.sample_sum = h.sum;
  }

  std::vector<MetricFamily> families;

private:
  ClientMetric& add(const char* name, const char* help, MetricType type, labels l) {
    MetricFamily* family = nullptr;
    for (auto& known : families)
      if (known.name == name) family = &known;
    if (!family) family = &families.emplace_back(MetricFamily{name, help, type, {}});
    family->metric.emplace_back().label = std::move(l);
    return family->metric.back();
  }
};

std::string text(std::string_view view) { return std::string(view); }

/// Every kind that a thread or a tree can have, from the start on: a rate needs the 0 in front of
/// the first one.
std::map<errc, std::uint64_t> with_all_kinds(std::map<errc, std::uint64_t> failures) {
  for (auto kind = int(errc::no_solution); kind <= int(errc::pool_lost); ++kind)
    failures.try_emplace(static_cast<errc>(kind), 0);
  return failures;
}

void draw_trees(metric_page& page, const forest_status& s) {
  const auto& n = s.node;
  const auto state = [](const char* name) { return labels{{"state", name}}; };
  page.gauge("banyan_trees", "Unfinished trees by state.", double(s.queued()), state("queued"));
  page.gauge("banyan_trees", "", double(s.running()), state("running"));
  page.gauge("banyan_trees", "", double(n.paused), state("paused"));
  page.count("banyan_trees_accepted_total", "Trees taken.", double(n.accepted));
  page.count("banyan_trees_finished_total", "Trees that ended, however.", double(n.finished));
  page.count("banyan_trees_solved_total", "Trees with a verified solution.", double(n.solved));
  page.count("banyan_trees_failed_total", "Trees that failed.", double(n.failed));
  page.count("banyan_trees_cancelled_total", "Trees that were cancelled.", double(n.cancelled));
  for (const auto& [why, count] : with_all_kinds(n.failures))
    page.count("banyan_tree_failures_total", "Finished trees by failure.", double(count),
               {{"failure", text(to_string(why))}});
  for (const auto phase : {thread_phase::queued, thread_phase::decoding, thread_phase::waiting,
                           thread_phase::paused}) {
    const auto found = s.threads.find(phase);
    page.gauge("banyan_threads",
               "Live threads by state; trees that wait, also since an earlier start, have none.",
               found == s.threads.end() ? 0 : double(found->second),
               {{"state", text(to_string(phase))}});
  }
  page.count("banyan_threads_finished_total", "Threads of finished trees.", double(n.threads));
  for (const auto& [why, count] : with_all_kinds(n.thread_failures))
    page.count("banyan_thread_failures_total", "Threads of finished trees by failure.",
               double(count), {{"failure", text(to_string(why))}});
  page.count("banyan_generated_tokens_total", "Tokens sampled in finished trees.",
             double(n.generated_tokens));
}

void draw_work(metric_page& page, const pool_status& p, const labels& pool) {
  page.gauge("banyan_pool_queued", "Requests that wait.", double(p.queued), pool);
  page.gauge("banyan_pool_running", "Sequences in the batch.", double(p.running), pool);
  page.count("banyan_pool_finished_total", "Requests answered.", double(p.finished), pool);
  page.count("banyan_pool_failed_total", "Requests that failed.", double(p.failed), pool);
  page.count("banyan_pool_cancelled_total", "Requests broken off: paused, cancelled, not awaited.",
             double(p.cancelled), pool);
  page.count("banyan_pool_steps_total", "Steps.", double(p.steps), pool);
  page.count("banyan_pool_prompt_tokens_total", "Tokens given to the model, found ones included.",
             double(p.prompt_tokens), pool);
  page.count("banyan_pool_cached_tokens_total", "Of these, found in the cache.",
             double(p.cached_tokens), pool);
  page.count("banyan_pool_generated_tokens_total", "Tokens sampled.", double(p.generated_tokens),
             pool);
  page.count("banyan_pool_busy_seconds_total", "Time in steps.", p.busy_s, pool);
  page.count("banyan_pool_forward_seconds_total", "Time in the model's forward pass.", p.forward_s,
             pool);
  page.gauge("banyan_pool_weights_epoch", "The weights that it decodes with.",
             double(p.weights_epoch), pool);
  page.spread("banyan_pool_batch_size", "Sequences in a step.", p.batch_sizes, pool);
  page.spread("banyan_pool_step_seconds", "Length of a step.", p.step_s, pool);
  page.spread("banyan_pool_queue_seconds", "Wait of a request for its first step.", p.queued_s,
              pool);
}

void draw_cache(metric_page& page, const pool_status& p, const labels& pool) {
  const auto blocks = [&](const char* state, std::uint64_t count) {
    auto l = pool;
    l.push_back({"state", state});
    page.gauge("banyan_pool_blocks", "Cache blocks by state.", double(count), std::move(l));
  };
  blocks("free", p.blocks_free);
  blocks("leased", p.blocks_leased);
  blocks("cached", p.blocks_cached);
  page.gauge("banyan_pool_block_capacity", "Cache blocks there are.", double(p.blocks_total), pool);
  const auto asked = double(p.prompt_tokens);
  page.gauge("banyan_pool_cache_hit_ratio", "Share of the prompt tokens found in the cache.",
             asked > 0 ? double(p.cached_tokens) / asked : 0, pool);
}

void draw_daemon(metric_page& page, const forest_status& s) {
  page.gauge("banyan_info", "Always 1; the version is a label.", 1, {{"version", s.version}});
  page.gauge("banyan_ready", "1: takes work.", s.ready && !s.ending() ? 1 : 0);
  page.gauge("banyan_uptime_seconds", "Since the daemon began.", s.uptime_s);
  page.gauge("banyan_store_trees", "Trees in the store.", double(s.store.finished),
             {{"state", "finished"}});
  page.gauge("banyan_store_trees", "", double(s.store.unfinished), {{"state", "unfinished"}});
  page.gauge("banyan_store_damaged_trees", "Trees met in the store that cannot be read.",
             double(s.damaged_trees));
  page.gauge("banyan_store_writable", "1: what is given to the store can be written.",
             s.store_trouble.empty() ? 1 : 0);
  page.gauge("banyan_store_bytes", "Size of the store's files.", double(s.store.bytes));
}

void draw_http(metric_page& page, const http_counters& http) {
  for (const auto& [key, count] : http.requests) {
    const auto& [method, path, status] = key;
    page.count("banyan_http_requests_total", "Requests by method, path and status.", double(count),
               {{"method", method}, {"path", path}, {"status", std::to_string(status)}});
  }
  for (const auto& [path, seconds] : http.seconds)
    page.spread("banyan_http_request_seconds", "Time until the response began.", seconds,
                {{"path", path}});
  page.gauge("banyan_event_streams", "Open streams of events.", double(http.event_streams));
}

const std::vector<double> second_bounds{0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 30, 120, 600};

} // namespace

void http_counters::count(const std::string& method, const std::string& path, int status,
                          double took_s) {
  ++requests[{method, path, status}];
  seconds.try_emplace(path, second_bounds).first->second.add(took_s);
}

std::vector<MetricFamily> daemon_metrics::Collect() const {
  metric_page page;
  draw_daemon(page, s_);
  draw_trees(page, s_);
  for (const auto& pool : s_.node.pools) {
    const labels name{{"pool", pool.name}};
    draw_work(page, pool, name);
    draw_cache(page, pool, name);
  }
  draw_http(page, http_);
  return std::move(page.families);
}

std::string metrics_text(const prometheus::Collectable& source) {
  return prometheus::TextSerializer().Serializer::Serialize(source.Collect());
}

} // namespace banyan
