#include "actors/narration.hpp"

#include <algorithm>
#include <utility>

namespace banyan {

void narration::open(audience to, bool watched) {
  to_ = std::move(to);
  watched_ = watched;
}

bool narration::watch(bool on, std::size_t text_size) {
  if (std::exchange(watched_, on) == on) return false;
  told_ = text_size;
  return true;
}

tree_event narration::event(tree_event::kind what, const thread_record& thread,
                            std::uint64_t tokens, happening news) const {
  tree_event e;
  e.what = what;
  e.tree = to_.tree;
  e.thread = thread.path;
  e.parent = thread.parent();
  e.position = news.position;
  e.at_ms = what == tree_event::kind::thread || !to_.unix_ms ? thread.since_ms : to_.unix_ms();
  e.state = to_string(thread.phase);
  e.text = std::move(news.text);
  e.children = std::move(news.children);
  e.failure = thread.failure;
  e.tokens = tokens;
  return e;
}

void narration::tell(tree_event::kind what, const thread_record& thread, std::uint64_t tokens,
                     happening news) const {
  if (to_.events) to_.events->publish(event(what, thread, tokens, std::move(news)));
}

void narration::tell_text(const thread_record& thread, std::uint64_t tokens, std::size_t begin,
                          std::string_view fresh) {
  if (!watched_) return;
  const auto known = std::max(told_, begin) - begin;
  if (known >= fresh.size()) return;
  tell(tree_event::kind::text, thread, tokens,
       {begin + known, std::string(fresh.substr(known)), {}});
  told_ = begin + fresh.size();
}

} // namespace banyan
