#include "actors/thread.hpp"

#include "actors/guarded_promise.hpp"

#include <chrono>
#include <memory>
#include <utility>

namespace banyan {
namespace {

using namespace std::chrono_literals;

constexpr caf::timespan pool_patience = 200ms;

} // namespace

void thread_state::watch(const watch_request& wish) {
  if (!news.watch(wish.on, text ? text->text_size() : 0) || !text) return;
  if (in_flight.open())
    self->send(seat->pool().actor, decode_watch{options.tree->family, record.path, wish.on});
}

/// `fresh` stands in the text from byte `begin` on.
void thread_state::tell_text(std::size_t begin, std::string_view fresh) {
  news.tell_text(record, allowance->spent() + in_flight.heard().size(), begin, fresh);
}

void thread_state::tell(tree_event::kind what, std::size_t position, std::string said,
                        std::vector<std::string> children_of) {
  news.tell(what, record, allowance ? allowance->spent() + in_flight.heard().size() : 0,
            {position, std::move(said), std::move(children_of)});
}

/// With what was sampled for the request that is in flight, as far as that is known.
thread_status thread_state::status(sequence_status at_pool) const {
  thread_status now{record, true, {}, 0, 0, 0};
  if (allowance) {
    now.tokens_left = allowance->tokens_left();
    now.rounds_left = allowance->rounds_left();
    now.seconds_left = std::chrono::duration<double>(time_left()).count();
  }
  if (!text) return now;
  auto& segments = now.record.segments = text->segments();
  const bool known = in_flight.open() && at_pool.prompt_tokens == text->context().size();
  const auto& heard = in_flight.heard();
  const auto& sampled = known && at_pool.sampled.size() > heard.size() ? at_pool.sampled : heard;
  if (!sampled.empty()) {
    if (!segments.back().sampled()) segments.push_back({segment_kind::written, {}, {}, {}, {}});
    segments.back().text += laid_end_to_end(text->ahead().add(sampled));
    segments.back().ids.insert(segments.back().ids.end(), sampled.begin(), sampled.end());
  }
  now.at_pool = std::move(at_pool);
  return now;
}

/// A pool that is in a long step is left out rather than waited for.
caf::result<thread_status> thread_state::show(const thread_request& request) {
  const auto told = [this, left = request.seconds_left](sequence_status at_pool) {
    auto now = status(std::move(at_pool));
    now.seconds_left = left.value_or(now.seconds_left);
    return now;
  };
  if (!seat) return told({});
  auto promise = self->make_response_promise<thread_status>();
  auto asker = std::make_shared<guarded_promise<thread_status>>(promise);
  self->request(seat->pool().actor, pool_patience,
                sequence_request{options.tree->family, record.path})
      .then([told, asker](sequence_status& at_pool) { asker->deliver(told(std::move(at_pool))); },
            [told, asker](caf::error&) { asker->deliver(told({})); });
  return promise;
}

} // namespace banyan
