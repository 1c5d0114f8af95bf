#include "apps/banyand/event_streams.hpp"

#include "actors/config.hpp"
#include "apps/banyand/event_text.hpp"
#include "apps/banyand/handlers.hpp"
#include "apps/banyand/urls.hpp"
#include "apps/json_parts.hpp"

#include <deque>
#include <functional>
#include <utility>

#include <nlohmann/json.hpp>

namespace banyan {

namespace {

constexpr std::size_t most_unsent = 1 << 20, taken_at_once = 256;

// A tree's end is told a moment before its record is everywhere.
constexpr int most_tries = 40;
constexpr double between_tries_s = 0.05;

} // namespace

/// One client's stream. It takes from the hub what its reader has room for; the rest lies with the
/// hub, which breaks the subscription off when it becomes too much.
class event_stream : public std::enable_shared_from_this<event_stream> {
public:
  event_stream(http_context& c, reply_ptr reply, std::string tree)
      : c_(c), reply_(std::move(reply)), tree_(std::move(tree)) {}

  void open();
  void comment() {
    if (reply_->unsent() < most_unsent) reply_->write(":\n\n");
  }

private:
  void look(std::function<void(const tree&)> then);
  bool begin();
  void show(const tree&, bool resumed);
  void replay(const tree&);
  void pump();
  void tell(const tree_event&);
  void end_tree(tree_event);
  void close();
  std::string id(std::uint64_t n) const { return c_.streams.name() + '-' + std::to_string(n); }

  http_context& c_;
  reply_ptr reply_;
  std::string tree_;
  std::unique_ptr<event_hub::subscription> source_;
  std::deque<tree_event> queue_;
  std::uint64_t mark_ = 0; ///< events up to here are in the snapshot
  bool live_ = false;      ///< the snapshot is told, and no outcome is waited for
};

// ---- beginning

void event_stream::open() {
  auto& hub = c_.trees.events();
  auto after = event_number(reply_->request().header("last-event-id"), c_.streams.name());
  if (after > hub.newest() || !hub.keeps(after)) after = 0;
  const auto weak = weak_from_this();
  source_ = hub.subscribe(tree_, after, [loop = c_.loop, weak] {
    loop->post([weak] {
      if (const auto self = weak.lock()) self->pump();
    });
  });
  reply_->on_gone([weak] {
    if (const auto self = weak.lock()) self->close();
  });
  if (tree_.empty()) {
    live_ = begin();
    return pump();
  }
  look([self = shared_from_this(), resumed = after > 0](const tree& t) {
    if (t.finished_ms != 0) return self->show(t, resumed);
    // Now every thread knows that it is watched: from here on, its events tell all of its text.
    self->look([self, resumed](const tree& now) { self->show(now, resumed); });
  });
}

/// The tree as it is now, and everything up to the mark in it.
void event_stream::look(std::function<void(const tree&)> then) {
  mark_ = c_.trees.events().newest();
  c_.trees.find(tree_, thread_range{},
                relay<tree_ptr>(c_, reply_, [then](const tree_ptr& t) { then(*t); }));
}

bool event_stream::begin() {
  if (!reply_->begin(
          {200, "text/event-stream; charset=utf-8", {}, {{"X-Accel-Buffering", "no"}}, {}}))
    return false;
  c_.streams.add(c_, shared_from_this());
  reply_->on_drained([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->pump();
  });
  reply_->write("retry: 1000\n\n");
  return true;
}

void event_stream::show(const tree& t, bool resumed) {
  if (!begin()) return;
  if (resumed)
    replay(t);
  else
    reply_->write(snapshot_text(t, id(mark_), unix_ms_now()));
  if (t.finished_ms != 0) {
    const auto data =
        done_data(t.finished_ms, t.id, to_string(t.phase), t.failure, outcome_parts(t.outcome));
    reply_->write(event_text("done", id(mark_), data));
    return close();
  }
  live_ = true;
  pump();
}

/// What was missed, and the texts that were written meanwhile: nobody told them. Until the last of
/// these nobody can go on from here.
void event_stream::replay(const tree& t) {
  std::set<std::string> threads;
  for (const auto& thread : t.threads)
    if (!ended(thread.phase)) threads.insert(thread.path);
  for (auto& e : source_->take()) {
    if (t.find(e.thread)) threads.insert(e.thread);
    if (e.id > mark_)
      queue_.push_back(std::move(e));
    else if (e.what != tree_event::kind::done)
      reply_->write(event_text(to_string(e.what), {}, event_data(e)));
  }
  reply_->write(texts_text(t, threads, id(mark_), unix_ms_now()));
}

// ---- live

void event_stream::pump() {
  while (live_ && reply_->unsent() < most_unsent) {
    if (queue_.empty())
      for (auto& e : source_->take(taken_at_once)) queue_.push_back(std::move(e));
    if (queue_.empty()) break;
    auto e = std::move(queue_.front());
    queue_.pop_front();
    if (e.id <= mark_) continue;
    if (e.what == tree_event::kind::done) return end_tree(std::move(e));
    tell(e);
  }
  if (live_ && queue_.empty() && source_->lost()) close();
}

void event_stream::tell(const tree_event& e) {
  reply_->write(event_text(to_string(e.what), id(e.id), event_data(e)));
}

void event_stream::end_tree(tree_event e) {
  live_ = false;
  c_.streams.outcome_of(c_, e.tree, [self = shared_from_this(), e](const auto& known) {
    const auto outcome = known ? outcome_parts(*known) : nlohmann::ordered_json();
    self->reply_->write(event_text("done", self->id(e.id),
                                   done_data(e.at_ms, e.tree, e.state, e.failure, outcome)));
    if (!self->tree_.empty()) return self->close();
    self->live_ = self->reply_->open();
    self->pump();
  });
}

void event_stream::close() {
  const auto self = shared_from_this(); // the list may hold the last other one
  live_ = false;
  source_.reset();
  reply_->end();
  c_.streams.remove(c_, self);
}

// ---- all streams

void event_streams::open(http_context& c, const reply_ptr& reply, const std::string& tree) {
  std::make_shared<event_stream>(c, reply, tree)->open();
}

void event_streams::clear() {
  streams_.clear();
  asked_.clear();
}

void event_streams::add(http_context& c, const std::shared_ptr<event_stream>& stream) {
  streams_.insert(stream);
  c.counters.event_streams = streams_.size();
  if (!std::exchange(ticking_, true))
    c.loop->after(c.options.keep_alive_s, [this, &c] { keep_alive(c); });
}

void event_streams::remove(http_context& c, const std::shared_ptr<event_stream>& stream) {
  streams_.erase(stream);
  c.counters.event_streams = streams_.size();
}

void event_streams::keep_alive(http_context& c) {
  for (const auto& stream : streams_) stream->comment();
  ticking_ = !streams_.empty();
  if (ticking_) c.loop->after(c.options.keep_alive_s, [this, &c] { keep_alive(c); });
}

// ---- outcomes

void event_streams::outcome_of(http_context& c, const std::string& tree, told_outcome told) {
  auto& waiting = asked_[tree];
  waiting.push_back(std::move(told));
  if (waiting.size() == 1) ask(c, tree, 0);
}

void event_streams::ask(http_context& c, const std::string& tree, int tries) {
  c.trees.find(tree, {}, [this, &c, tree, tries, loop = c.loop](const auto& answered) {
    const auto* t = std::get_if<tree_ptr>(&answered);
    loop->post([this, &c, tree, tries, t = t ? *t : nullptr] { answer(c, tree, t, tries); });
  });
}

void event_streams::answer(http_context& c, const std::string& tree, const tree_ptr& t, int tries) {
  if (t && t->finished_ms == 0 && tries < most_tries)
    return c.loop->after(between_tries_s, [this, &c, tree, tries] { ask(c, tree, tries + 1); });
  const auto waiting = std::move(asked_[tree]);
  asked_.erase(tree);
  std::optional<outcome> known;
  if (t && t->finished_ms != 0) known = t->outcome;
  for (const auto& told : waiting) told(known);
}

// ---- routes

void stream_tree(http_context& c, const reply_ptr& reply) {
  url_query(reply->request().query).end();
  reply->about(reply->param(0));
  c.streams.open(c, reply, reply->param(0));
}

void stream_forest(http_context& c, const reply_ptr& reply) {
  url_query(reply->request().query).end();
  c.streams.open(c, reply, {});
}

} // namespace banyan
