#pragma once

#include "actors/config.hpp"
#include "actors/messages.hpp"

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <caf/actor_system.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

namespace banyan {

/// One byte is one token, but for `phrases`, each of which is one too. No text: begin and end of
/// sequence.
inline constexpr std::int32_t toy_eos = 256, toy_bos = 257, first_phrase = 300;

inline codec toy_codec(std::vector<std::string> phrases = {}) {
  const auto encode = [phrases](std::string_view text) {
    std::vector<std::int32_t> ids;
    while (!text.empty()) {
      const auto phrase =
          std::ranges::find_if(phrases, [&](auto& p) { return text.starts_with(p); });
      const bool found = phrase != phrases.end();
      ids.push_back(found ? first_phrase + static_cast<std::int32_t>(phrase - phrases.begin())
                          : static_cast<unsigned char>(text.front()));
      text.remove_prefix(found ? phrase->size() : 1);
    }
    return ids;
  };
  const auto decode = [phrases](std::span<const std::int32_t> ids) {
    std::string text;
    for (const auto id : ids)
      if (id >= first_phrase)
        text += phrases.at(static_cast<std::size_t>(id - first_phrase));
      else if (id < toy_eos)
        text += static_cast<char>(id);
    return text;
  };
  const auto piece = [decode](std::int32_t id) { return decode({&id, 1}); };
  return {encode, encode, decode, piece, {toy_bos}};
}

/// What a scripted pool says and does, and what it was told. A test may change it at any time.
struct pool_script {
  banyan::codec codec = toy_codec();
  std::int32_t eos = toy_eos;
  /// Path of a thread: what it writes from its prompt to its first stop, from its first join to its
  /// second, …
  std::map<std::string, std::vector<std::string>> lines;
  std::set<std::string> silent; ///< threads that never get an answer
  std::set<std::string> barren; ///< threads whose logits allow no token
  bool lost = false;            ///< answers as a pool does that dies with a request in its queue
  int times_full = 0;           ///< so many requests are refused with `pool_full`
  std::size_t max_context = 1 << 20;
  std::uint32_t epoch = 7;                ///< of the only weights that it has
  std::size_t sampled = 0;                ///< tokens of each silent request, so far
  std::size_t sampled_when_cancelled = 0; ///< tokens of a silent request that is broken off
  std::set<std::string> slow_to_cancel;   ///< silent threads that stay so when broken off

  std::vector<decode_request> requests;
  std::map<std::string, caf::actor_addr> askers; ///< the actor of each thread that asked
  std::vector<std::string> cancelled, released;  ///< threads
  std::vector<std::pair<std::string, bool>> watched;
};

/// The text of the script's stage that the context is in, from where the context ends. Stateless,
/// as a real pool is: another one can go on with the same context.
inline std::string continuation(const pool_script& script, const decode_request& request) {
  const auto context = script.codec.decode(request.ids);
  std::size_t joins = 0;
  for (auto at = context.find("<End Sub Searches>"); at != std::string::npos;
       at = context.find("<End Sub Searches>", at + 1))
    ++joins;
  const auto lines = script.lines.find(request.thread);
  if (lines == script.lines.end() || joins >= lines->second.size()) return "No solution found.\n";
  const auto& stage = lines->second[joins];
  auto written = stage.size();
  while (!context.ends_with(std::string_view(stage).substr(0, written))) --written;
  return stage.substr(written);
}

inline decode_reply answer(const pool_script& script, const decode_request& request) {
  decode_reply reply;
  std::string text;
  auto push = [&](std::int32_t id) {
    reply.ids.push_back(id);
    reply.logprobs.push_back(-0.25f * static_cast<float>(reply.ids.size()));
    reply.epochs.push_back(script.epoch);
  };
  reply.prompt_tokens = static_cast<std::uint32_t>(request.ids.size());
  for (const auto id : script.codec.encode(continuation(script, request))) {
    if (request.ids.size() + reply.ids.size() >= script.max_context)
      return reply.finish = finish_reason::context, reply;
    if (request.max_tokens > 0 && reply.ids.size() == request.max_tokens)
      return reply.finish = finish_reason::length, reply;
    push(id);
    text += script.codec.decode({&id, 1});
    for (const auto& stop : request.stop)
      if (text.find(stop) != std::string::npos) {
        reply.matched_stop = stop;
        return reply.finish = finish_reason::stop, reply;
      }
  }
  if (request.max_tokens > 0 && reply.ids.size() == request.max_tokens)
    return reply.finish = finish_reason::length, reply;
  push(script.eos);
  return reply;
}

struct scripted_pool_state {
  static inline const char* name = "banyan.scripted_pool";

  explicit scripted_pool_state(pool_actor::stateful_pointer<scripted_pool_state> self)
      : self(self) {}

  caf::result<decode_reply> decode(const decode_request& request) {
    script->requests.push_back(request);
    script->askers[request.thread] = caf::actor_cast<caf::actor_addr>(self->current_sender());
    if (script->times_full > 0) return --script->times_full, errc::pool_full;
    if (request.weights_epoch.value_or(script->epoch) != script->epoch) return errc::no_weights;
    if (script->barren.contains(request.thread)) return errc::bad_weights;
    if (!script->silent.contains(request.thread)) return answer(*script, request);
    held.emplace_back(request, self->make_response_promise<decode_reply>());
    return held.back().second;
  }

  /// Breaks off what it is silent about: it had sampled `script->sampled_when_cancelled` tokens.
  void cancel(const decode_cancel& c) {
    script->cancelled.push_back(c.thread);
    if (script->slow_to_cancel.contains(c.thread)) return;
    const auto below = [&](const std::string& thread) {
      return c.thread == "/" || thread == c.thread || thread.starts_with(c.thread + "/");
    };
    for (auto& [request, promise] : held) {
      if (!promise.pending() || request.family != c.family || !below(request.thread)) continue;
      auto reply = answer(*script, request);
      const auto count = std::min(reply.ids.size(), script->sampled_when_cancelled);
      reply.ids.resize(count);
      reply.logprobs.resize(count);
      reply.epochs.resize(count);
      reply.finish = finish_reason::cancelled;
      promise.deliver(std::move(reply));
    }
  }

  sequence_status look(const sequence_request& wish) const {
    for (const auto& [request, promise] : held) {
      if (!promise.pending() || request.thread != wish.thread) continue;
      auto ids = answer(*script, request).ids;
      ids.resize(std::min(ids.size(), script->sampled));
      return {3, false, static_cast<std::uint32_t>(request.ids.size()), std::move(ids)};
    }
    return {3, true, 0, {}};
  }

  /// Answers threads that are not silent any more.
  void speak() {
    for (auto& [request, promise] : held) {
      if (script->silent.contains(request.thread) || !promise.pending()) continue;
      if (script->lost)
        promise.deliver(caf::make_error(caf::sec::request_receiver_down));
      else
        promise.deliver(answer(*script, request));
    }
  }

  pool_actor::stateful_pointer<scripted_pool_state> self;
  std::shared_ptr<pool_script> script;
  std::vector<std::pair<decode_request, caf::typed_response_promise<decode_reply>>> held;
};

inline pool_actor::behavior_type
scripted_pool(pool_actor::stateful_pointer<scripted_pool_state> self,
              std::shared_ptr<pool_script> script) {
  auto& state = self->state;
  state.script = std::move(script);
  return {
      [&state](const decode_request& request) { return state.decode(request); },
      [&state](const decode_cancel& c) { state.cancel(c); },
      [&state](const decode_watch& w) { state.script->watched.emplace_back(w.thread, w.on); },
      [&state](const sequence_request& s) { return state.look(s); },
      [&state](const lease_release& r) { state.script->released.push_back(r.thread); },
      [](const weights_ready& news) {
        return weights_taken{news.epoch, 0};
      },
      [&state](atom::status) {
        pool_status status;
        status.name = "scripted";
        status.finished = state.script->requests.size();
        return status;
      },
      [&state](atom::step) { state.speak(); },
  };
}

} // namespace banyan
