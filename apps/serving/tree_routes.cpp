#include "actors/tree_ids.hpp"
#include "apps/serving/fields.hpp"
#include "apps/serving/handlers.hpp"
#include "apps/serving/tree_body.hpp"
#include "apps/serving/urls.hpp"
#include "apps/serving/views.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace banyan {

using json = nlohmann::ordered_json;

namespace {

constexpr std::size_t most_listed = 1000, threads_in_a_list = 100;

// ---- lists

tree_phase phase_named(std::string_view name) {
  if (const auto phase = tree_phase_from(name)) return *phase;
  refuse_field("state", "there is no such state",
               "give queued, running, paused, done, failed or cancelled");
}

void read_states(std::string_view names, std::vector<tree_phase>& states) {
  for (std::size_t begin = 0; begin <= names.size();) {
    const auto end = std::min(names.find(',', begin), names.size());
    states.push_back(phase_named(names.substr(begin, end - begin)));
    begin = end + 1;
  }
}

void read_label(const std::string& text, tree_filter& filter) {
  const auto equals = text.find('=');
  if (equals == 0 || equals == text.npos)
    refuse_field("label", "it has no name and value", "write it as name=value");
  filter.labels.emplace(text.substr(0, equals), text.substr(equals + 1));
}

std::string read_after(url_query& query) {
  const auto after = query.text("after").value_or("");
  if (!after.empty() && !is_tree_id(after))
    refuse_field("after", "it is not a tree's id", "give the next of the last list");
  return after;
}

tree_filter read_filter(url_query& query) {
  tree_filter filter;
  for (const auto& names : query.texts("state")) read_states(names, filter.states);
  for (const auto& label : query.texts("label")) read_label(label, filter);
  filter.solved = query.flag("solved");
  filter.task = query.text("task").value_or("");
  if (const auto after_ms = query.time_ms("created_after")) filter.created_from_ms = *after_ms + 1;
  filter.created_before_ms = query.time_ms("created_before");
  filter.after = read_after(query);
  filter.limit = query.number("limit", 1, most_listed, 20);
  return filter;
}

json list_view(const tree_page& page, std::size_t limit) {
  const auto& trees = page.trees;
  json j{{"trees", json::array()}, {"next", nullptr}, {"damaged", page.damaged}};
  for (std::size_t i = 0; i < std::min(limit, trees.size()); ++i)
    j["trees"].push_back(tree_view(*trees[i], {.most_threads = threads_in_a_list}));
  if (trees.size() > limit) j["next"] = trees[limit - 1]->id;
  return j;
}

// ---- new trees

/// The client of a tree that it waits for. It may leave before the tree has a name.
struct waiting_client {
  std::string tree;
  bool gone = false;
};

void cancel_unheard(http_context& c, const std::string& id) {
  c.trees.act(tree_action::cancel, id, "/", [](auto&&) {});
}

void wait_for_tree(http_context& c, const reply_ptr& reply, tree_body body) {
  const auto client = std::make_shared<waiting_client>();
  if (!body.stay)
    reply->on_gone([&c, client] {
      client->gone = true;
      if (!client->tree.empty()) cancel_unheard(c, client->tree);
    });
  auto accepted = relay_always<std::string>(c, reply, [&c, reply, client](std::string id) {
    client->tree = id;
    reply->about(id);
    reply->at_end(goes_on_later(id));
    if (client->gone) cancel_unheard(c, id);
  });
  auto finished = relay<tree_ptr>(
      c, reply, [reply](const tree_ptr& t) { reply->send(tree_view(*t, {.texts = true})); });
  c.trees.submit(std::move(body.request), std::move(accepted), std::move(finished));
}

void leave_tree(http_context& c, const reply_ptr& reply, tree_body body) {
  auto accepted = relay<std::string>(c, reply, [reply](const std::string& id) {
    reply->about(id);
    json j;
    j["id"] = id;
    reply->send(
        http_response{202, "application/json", j.dump(), {{"Location", "/v1/trees/" + id}}, {}});
  });
  c.trees.submit(std::move(body.request), std::move(accepted), nullptr);
}

// ---- one tree

void act_on_tree(http_context& c, const reply_ptr& reply, tree_action action) {
  reply->about(reply->param(0));
  const auto thread = parse_action_body(reply->request().body);
  url_query(reply->request().query).end();
  c.trees.act(
      action, reply->param(0), thread,
      relay<tree_ptr>(c, reply, [reply](const tree_ptr& t) { reply->send(tree_view(*t, {})); }));
}

void show_thread(http_context& c, const reply_ptr& reply, const std::string& path) {
  if (!path.starts_with('/'))
    return reply->refuse(refusal_about(refusal::kind::bad_request, path,
                                       "it is not a thread's path; write it as /0/3", "path"));
  c.trees.find_thread(reply->param(0), path,
                      relay<thread_view>(c, reply, [reply](const thread_view& v) {
                        reply->send(thread_detail(v));
                      }));
}

} // namespace

void list_trees(http_context& c, const reply_ptr& reply) {
  url_query query(reply->request().query);
  auto filter = read_filter(query);
  query.end();
  const auto limit = filter.limit++; // one more, to see whether there is one
  c.trees.list(std::move(filter), relay<tree_page>(c, reply, [reply, limit](const tree_page& page) {
                 reply->send(list_view(page, limit));
               }));
}

void submit_tree(http_context& c, const reply_ptr& reply) {
  auto body = parse_tree_body(reply->request().body);
  url_query(reply->request().query).end();
  auto& sampling = body.request.sampling;
  if (!body.seeded && sampling.temperature > 0) sampling.seed = drawn_seed();
  body.wait ? wait_for_tree(c, reply, std::move(body)) : leave_tree(c, reply, std::move(body));
}

void show_tree(http_context& c, const reply_ptr& reply) {
  reply->about(reply->param(0));
  url_query query(reply->request().query);
  const tree_cut cut{.texts = query.flag("texts").value_or(true),
                     .after = query.text("threads_after").value_or("")};
  query.end();
  std::optional<thread_range> texts;
  if (cut.texts) texts = thread_range{cut.after, cut.most_threads};
  c.trees.find(reply->param(0), texts, relay<tree_ptr>(c, reply, [reply, cut](const tree_ptr& t) {
                 reply->send(tree_view(*t, cut));
               }));
}

void list_tree_threads(http_context& c, const reply_ptr& reply) {
  reply->about(reply->param(0));
  url_query query(reply->request().query);
  const auto path = query.text("path");
  const tree_cut cut{.most_threads = query.number("limit", 1, most_listed, 100),
                     .after = query.text("after").value_or(""),
                     .after_field = "after"};
  query.end();
  if (path) return show_thread(c, reply, *path);
  c.trees.find(reply->param(0), {}, relay<tree_ptr>(c, reply, [reply, cut](const tree_ptr& t) {
                 reply->send(threads_view(*t, cut));
               }));
}

void cancel_tree(http_context& c, const reply_ptr& reply) {
  act_on_tree(c, reply, tree_action::cancel);
}

void pause_tree(http_context& c, const reply_ptr& reply) {
  act_on_tree(c, reply, tree_action::pause);
}

void resume_tree(http_context& c, const reply_ptr& reply) {
  act_on_tree(c, reply, tree_action::resume);
}

} // namespace banyan
