#include "apps/serving/handlers.hpp"
#include "apps/serving/urls.hpp"
#include "apps/serving/views.hpp"

#include <nlohmann/json.hpp>

namespace banyan {

using json = nlohmann::ordered_json;

namespace {

/// Asks for the daemon's status and answers with what `view` makes of it.
template <class View>
void with_status(http_context& c, const reply_ptr& reply, View view) {
  c.trees.status(relay<forest_status>(
      c, reply, [reply, view](const forest_status& s) { reply->send(view(s)); }));
}

http_response plain(int status, std::string text) {
  return {status, "text/plain; charset=utf-8", std::move(text), {}, {}};
}

json page_view(const thread_page& page) {
  json j{{"threads", json::array()}, {"total", page.total}};
  for (const auto& row : page.rows) j["threads"].push_back(thread_row_view(row));
  return j;
}

json model_view(const model_facts& m) {
  return {{"id", m.name},
          {"object", "model"},
          {"created", m.created_s},
          {"owned_by", "banyan"},
          {"root", m.folder},
          {"max_model_len", m.context},
          {"parameters", m.parameters},
          {"vocabulary", m.vocabulary}};
}

} // namespace

void show_status(http_context& c, const reply_ptr& reply) {
  url_query(reply->request().query).end();
  with_status(c, reply, status_view);
}

void list_pools(http_context& c, const reply_ptr& reply) {
  url_query(reply->request().query).end();
  with_status(c, reply, pools_view);
}

void list_nodes(http_context& c, const reply_ptr& reply) {
  url_query(reply->request().query).end();
  with_status(c, reply, nodes_view);
}

void list_threads(http_context& c, const reply_ptr& reply) {
  url_query query(reply->request().query);
  const auto offset = query.number("offset", 0, (std::size_t{1} << 53) - 1, 0);
  const auto limit = query.number("limit", 1, 1000, 100);
  query.end();
  reply->send(page_view(c.trees.threads(offset, limit)));
}

/// Whatever its query says: a scraper may be set up to send one.
void show_metrics(http_context& c, const reply_ptr& reply) {
  with_status(c, reply, [&c](const forest_status& s) {
    return http_response{200,
                         "text/plain; version=0.0.4; charset=utf-8",
                         metrics_text(daemon_metrics(s, c.counters)),
                         {},
                         {}};
  });
}

http_response health() { return plain(200, "ok\n"); }

void show_health(http_context&, const reply_ptr& reply) { reply->send(health()); }

void show_readiness(http_context& c, const reply_ptr& reply) {
  c.trees.status(relay<forest_status>(c, reply, [reply](const forest_status& s) {
    if (s.ready && !s.ending()) return reply->send(plain(200, "ready\n"));
    reply->refuse({refusal::kind::unavailable, s.why_not_ready()});
  }));
}

void list_models(http_context& c, const reply_ptr& reply) {
  url_query(reply->request().query).end();
  json j{{"object", "list"}, {"data", json::array()}};
  j["data"].push_back(model_view(c.trees.model()));
  reply->send(j);
}

void show_model(http_context& c, const reply_ptr& reply) {
  url_query(reply->request().query).end();
  const auto model = c.trees.model();
  if (reply->param(0) != model.name) return reply->send(no_such_model(reply->param(0), model.name));
  reply->send(model_view(model));
}

} // namespace banyan
