#include "apps/serving/event_streams.hpp"

#include "actors/config.hpp"
#include "apps/json_parts.hpp"
#include "apps/serving/event_text.hpp"
#include "apps/serving/handlers.hpp"
#include "apps/serving/tree_story.hpp"
#include "apps/serving/urls.hpp"

#include <algorithm>
#include <deque>
#include <functional>
#include <span>
#include <utility>

#include <nlohmann/json.hpp>

namespace banyan {

namespace {

constexpr std::size_t most_unsent = 1 << 20, taken_at_once = 256, trees_at_once = 100;

// Every event has an id of its own: event n of the hub its number, a part of a story that of the
// newest event in it, and which telling it is, for the next one may tell something else. From the
// last part a client goes on; who has not seen all of a story hears another one. The story of a
// finished tree is always the same: its ids count its parts, in the tree's name.

} // namespace

/// One client's stream. It takes from the hub what its reader has room for; the rest lies with the
/// hub, which breaks the subscription off when it becomes too much.
class event_stream : public std::enable_shared_from_this<event_stream> {
public:
  event_stream(http_context& c, reply_ptr reply, std::string tree)
      : c_(c), reply_(std::move(reply)), tree_(std::move(tree)) {}

  void open();
  void comment() {
    if (reply_->unsent() < most_unsent) reply_->write(":\n");
  }

private:
  bool may_go_on(std::uint64_t n) const;
  void look(std::function<void(const tree_ptr&)> then);
  bool begin();
  void go_on(const tree&);
  void show(const tree_ptr&);
  void show_finished(const tree_ptr&);
  std::string next_id();
  void tell_story();
  void tell_nothing_left();
  void look_around();
  void tell_forest(const tree_page&);
  void enter(std::uint64_t since);
  void pump();
  void tell(const tree_event&);
  void close();

  http_context& c_;
  reply_ptr reply_;
  std::string tree_;
  std::unique_ptr<event_hub::subscription> source_;
  std::optional<tree_story> story_;   ///< what is left of it
  std::uint64_t told_ = 0;            ///< parts of the story
  std::uint64_t telling_ = 0;         ///< of all stories of trees that live
  std::optional<std::string> around_; ///< the trees that live are to be told from behind this one
  bool looking_around_ = false;       ///< some of them have been asked for
  std::deque<tree_event> queue_;
  std::uint64_t mark_ = 0;  ///< events up to here are in what was told
  std::uint64_t since_ = 0; ///< the events told everything already, when it began
  bool live_ = false;       ///< events follow, once the story is told
  bool entered_ = false;    ///< among the streams of a tree that lives
  bool over_ = false;       ///< the tree is: nothing comes behind what is there
};

// ---- beginning

void event_stream::open() {
  auto& hub = c_.trees.events();
  const auto known = event_number(reply_->request().header("last-event-id"), c_.streams.name());
  auto after = may_go_on(known) ? known : 0;
  since_ = c_.streams.told_since(tree_);
  const auto weak = weak_from_this();
  const auto wake = [loop = c_.loop, weak] {
    loop->post([weak] {
      if (const auto self = weak.lock()) self->pump();
    });
  };
  source_ = hub.subscribe(tree_, after, wake);
  // What the client left behind may have been dropped in this moment.
  if (after > 0 && !hub.keeps(after)) source_ = hub.subscribe(tree_, after = 0, wake);
  reply_->on_gone([weak] {
    if (const auto self = weak.lock()) self->close();
  });
  if (tree_.empty()) {
    if (!begin()) return;
    if (after == 0 && !reply_->request().header("last-event-id").empty()) {
      mark_ = hub.newest();
      telling_ = c_.streams.next_telling();
      around_.emplace();
      return pump();
    }
    live_ = true;
    return pump();
  }
  look([self = shared_from_this(), after](const tree_ptr& t) {
    if (after > 0) return self->go_on(*t);
    if (t->finished_ms != 0) return self->show_finished(t);
    // Now every thread knows that it is watched: from here on, its events tell all of its text.
    self->look([self](const tree_ptr& now) { self->show(now); });
  });
}

/// All events behind this one are there, and they tell everything.
bool event_stream::may_go_on(std::uint64_t n) const {
  const auto& hub = c_.trees.events();
  return n > 0 && n <= hub.newest() && hub.keeps(n)
         && (tree_.empty() || c_.streams.told_since(tree_) <= n);
}

/// The tree as it is now, and everything up to the mark in it.
void event_stream::look(std::function<void(const tree_ptr&)> then) {
  mark_ = c_.trees.events().newest();
  c_.trees.find(tree_, thread_range{}, relay<tree_ptr>(c_, reply_, std::move(then)));
}

bool event_stream::begin() {
  if (!reply_->begin(
          {200, "text/event-stream; charset=utf-8", {}, {{"X-Accel-Buffering", "no"}}, {}}))
    return false;
  c_.streams.add(c_, shared_from_this());
  reply_->on_drained([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->pump();
  });
  // A line of the first event's block: some clients take a block of its own for an event.
  reply_->write("retry: 1000\n");
  return true;
}

/// Exactly what was missed, from where the client left.
void event_stream::go_on(const tree& t) {
  if (!reply_->open()) return;
  mark_ = 0;
  over_ = t.finished_ms != 0;
  for (auto& e : source_->take()) queue_.push_back(std::move(e));
  if (over_ && queue_.empty()) return tell_nothing_left();
  if (!begin()) return;
  enter(since_);
  live_ = true;
  pump();
}

void event_stream::show(const tree_ptr& t) {
  if (t->finished_ms != 0) return show_finished(t);
  if (!begin()) return;
  story_.emplace(t, unix_ms_now());
  telling_ = c_.streams.next_telling();
  enter(mark_);
  live_ = true;
  pump();
}

/// What the client has not seen of it.
void event_stream::show_finished(const tree_ptr& t) {
  over_ = true;
  source_.reset();
  story_.emplace(t, unix_ms_now());
  const auto seen = event_number(reply_->request().header("last-event-id"), t->id);
  for (; told_ < seen && !story_->over(); ++told_) story_->next();
  if (story_->over()) return tell_nothing_left();
  if (begin()) pump();
}

/// The status that ends a browser's coming back.
void event_stream::tell_nothing_left() {
  reply_->send(http_response{204, "text/event-stream; charset=utf-8", {}, {}, {}});
  close();
}

/// What a client that has missed events needs to go on: each tree that lives, as it is now; as many
/// of them as its reader has room for.
void event_stream::look_around() {
  if (looking_around_ || reply_->unsent() >= most_unsent) return;
  looking_around_ = true;
  tree_filter filter;
  filter.states = {tree_phase::queued, tree_phase::running, tree_phase::paused};
  filter.after = *around_;
  filter.limit = trees_at_once + 1; // is there another one?
  c_.trees.list(std::move(filter),
                relay<tree_page>(c_, reply_, [self = shared_from_this()](const tree_page& page) {
                  self->tell_forest(page);
                }));
}

void event_stream::tell_forest(const tree_page& page) {
  looking_around_ = false;
  if (!reply_->open()) return;
  const auto now = unix_ms_now();
  const auto& name = c_.streams.name();
  const bool more = page.trees.size() > trees_at_once;
  const auto shown = std::span(page.trees).first(std::min(page.trees.size(), trees_at_once));
  for (const auto& t : shown) {
    ++told_;
    const bool last = !more && t == shown.back();
    const auto part = tree_story(t, now).next();
    reply_->write(event_text(
        part.name, last ? told_id(name, mark_, telling_) : part_id(name, mark_, telling_, told_),
        part.data));
  }
  if (more)
    around_ = shown.back()->id;
  else
    around_.reset();
  live_ = !more;
  pump();
}

void event_stream::enter(std::uint64_t since) {
  entered_ = true;
  c_.streams.enter(tree_, since);
}

// ---- the story

std::string event_stream::next_id() {
  ++told_;
  if (over_) return event_id(tree_, told_);
  const auto& name = c_.streams.name();
  return story_->over() ? told_id(name, mark_, telling_) : part_id(name, mark_, telling_, told_);
}

/// As much as its reader has room for.
void event_stream::tell_story() {
  while (!story_->over() && reply_->unsent() < most_unsent) {
    const auto part = story_->next();
    reply_->write(event_text(part.name, next_id(), part.data));
  }
  if (story_->over()) story_.reset();
}

// ---- live

void event_stream::pump() {
  if (story_) tell_story();
  if (story_) return;
  if (around_) return look_around();
  while (live_ && reply_->unsent() < most_unsent) {
    if (queue_.empty())
      for (auto& e : source_->take(taken_at_once)) queue_.push_back(std::move(e));
    if (queue_.empty()) break;
    const auto e = std::move(queue_.front());
    queue_.pop_front();
    if (e.id > mark_) tell(e);
  }
  if (queue_.empty() && (over_ || (live_ && source_->lost()))) close();
}

void event_stream::tell(const tree_event& e) {
  reply_->write(event_text(to_string(e.what), event_id(c_.streams.name(), e.id), event_data(e)));
  if (e.what != tree_event::kind::done || tree_.empty()) return;
  over_ = true; // nothing is told behind an end
  live_ = false;
  queue_.clear();
}

void event_stream::close() {
  const auto self = shared_from_this(); // the list may hold the last other one
  live_ = false;
  story_.reset();
  around_.reset();
  if (std::exchange(entered_, false)) {
    if (over_) source_.reset();
    c_.streams.leave(c_, tree_, std::move(source_));
  }
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
  watches_.clear();
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

void event_streams::enter(const std::string& tree, std::uint64_t since) {
  auto& w = watches_[tree];
  ++w.streams;
  w.since = std::min(w.since, since);
  w.source.reset(); // the stream has its own
}

void event_streams::leave(http_context& c, const std::string& tree,
                          std::unique_ptr<event_hub::subscription> source) {
  auto& w = watches_.at(tree);
  if (--w.streams > 0) return;
  w.source = std::move(source);
  w.left = ++departures_;
  c.loop->after(c.options.watch_on_s, [this, tree, left = w.left] {
    const auto found = watches_.find(tree);
    if (found != watches_.end() && found->second.streams == 0 && found->second.left == left)
      watches_.erase(found);
  });
}

std::uint64_t event_streams::told_since(const std::string& tree) const {
  const auto found = watches_.find(tree);
  return found == watches_.end() ? UINT64_MAX : found->second.since;
}

void event_streams::keep_alive(http_context& c) {
  for (const auto& stream : streams_) stream->comment();
  ticking_ = !streams_.empty();
  if (ticking_) c.loop->after(c.options.keep_alive_s, [this, &c] { keep_alive(c); });
}

// ---- routes

void stream_tree(http_context& c, const reply_ptr& reply) {
  reply->about(reply->param(0));
  url_query(reply->request().query).end();
  c.streams.open(c, reply, reply->param(0));
}

void stream_forest(http_context& c, const reply_ptr& reply) {
  url_query(reply->request().query).end();
  c.streams.open(c, reply, {});
}

} // namespace banyan
