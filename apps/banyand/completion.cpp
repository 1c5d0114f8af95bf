#include "apps/banyand/completion.hpp"

#include "model/tokenizer.hpp"

#include <chrono>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/stateful_actor.hpp>

namespace banyan {
namespace {

/// No completion takes longer.
constexpr caf::timespan patience = std::chrono::minutes(30);

struct completion_state {
  static inline const char* name = "banyan.completion";

  explicit completion_state(caf::stateful_actor<completion_state>* self) : self(self) {}

  /// Throws std::invalid_argument where the prompt cannot be written in the vocabulary, or there is
  /// none.
  std::vector<std::int32_t> prompt() const {
    const auto& given = options.request.ids;
    if (!given) return options.codec.encode(options.request.prompt);
    const auto size = options.vocabulary->vocab_size();
    for (const auto id : *given)
      if (id < 0 || id >= size)
        throw std::invalid_argument("there is no token " + std::to_string(id) + " among the "
                                    + std::to_string(size));
    return *given;
  }

  decode_request request(const std::vector<std::int32_t>& of_prompt) const {
    const auto& wish = options.request;
    decode_request r;
    r.family = options.family;
    r.thread = "/";
    if (!wish.ids) r.ids = options.codec.begin;
    r.ids.insert(r.ids.end(), of_prompt.begin(), of_prompt.end());
    if (r.ids.empty()) throw std::invalid_argument("it is empty");
    r.sampling = wish.sampling;
    r.max_tokens = wish.max_tokens;
    r.stop = wish.stop;
    r.keep_lease = false;
    r.watched = wish.stream && options.on_piece;
    return r;
  }

  void start() {
    const auto of_prompt = prompt();
    asked = request(of_prompt);
    if (options.request.echo && options.on_piece) echo(of_prompt);
    if (options.request.max_tokens > 0) return ask();
    completion_end end;
    end.finish = "length";
    end.prompt_tokens = static_cast<std::uint32_t>(asked.ids.size());
    leave(std::move(end));
  }

  void echo(std::span<const std::int32_t> of_prompt) const {
    completion_piece piece;
    piece.of_prompt = true;
    piece.text = options.request.ids ? options.codec.decode(of_prompt) : options.request.prompt;
    for (const auto id : of_prompt) piece.tokens.push_back(options.vocabulary->piece(id));
    options.on_piece(std::move(piece));
  }

  /// The text of these tokens behind those that were told before.
  completion_piece piece_of(std::span<const std::int32_t> fresh, std::span<const float> logprobs) {
    completion_piece piece;
    ids.insert(ids.end(), fresh.begin(), fresh.end());
    const auto whole = options.codec.decode(ids);
    piece.text = whole.substr(std::min(told, whole.size()));
    told = whole.size();
    for (std::size_t i = 0; i < fresh.size(); ++i) {
      if (fresh[i] == options.vocabulary->eos_id()) continue;
      piece.tokens.push_back(options.vocabulary->piece(fresh[i]));
      piece.logprobs.push_back(logprobs[i]);
    }
    return piece;
  }

  void hear(const decode_progress& news) { options.on_piece(piece_of(news.ids, news.logprobs)); }

  void finish(const decode_reply& reply) {
    completion_end end;
    const auto known = std::min(ids.size(), reply.ids.size());
    end.rest =
        piece_of(std::span(reply.ids).subspan(known), std::span(reply.logprobs).subspan(known));
    const bool stopped = reply.finish == finish_reason::eos || reply.finish == finish_reason::stop;
    end.finish = stopped ? "stop" : "length";
    end.matched_stop = reply.matched_stop;
    end.prompt_tokens = reply.prompt_tokens;
    end.cached_tokens = reply.cached_tokens;
    end.generated_tokens = static_cast<std::uint32_t>(reply.ids.size());
    leave(std::move(end));
  }

  void ask() {
    self->request(options.pools[next_pool].actor, patience, asked)
        .then([this](const decode_reply& reply) { finish(reply); },
              [this](const caf::error& why) { recover(errc_of(why, errc::pool_lost)); });
  }

  /// The request says everything: another pool can, as long as nobody has heard of the first one's.
  void recover(errc why) {
    if (why != errc::pool_lost || !ids.empty() || ++next_pool == options.pools.size())
      return fail(why);
    ask();
  }

  void fail(errc why) {
    using kind = refusal::kind;
    switch (why) {
    case errc::context_full:
      return leave(refusal{kind::bad_request,
                           "prompt: it leaves no room in the model's context; shorten it",
                           "prompt"});
    case errc::bad_request:
      return leave(
          refusal{kind::bad_request, "the pool refused the request; check its values", ""});
    case errc::pool_full:
      return leave(refusal{kind::full, "the pool's queue is full; try again later", ""});
    default: return leave(refusal{kind::unavailable, "the pool was lost; try again", ""});
    }
  }

  void leave(std::variant<completion_end, refusal> answer) {
    options.on_end(std::move(answer));
    self->quit();
  }

  caf::stateful_actor<completion_state>* self;
  completion_options options;
  decode_request asked;
  std::size_t next_pool = 0;
  std::vector<std::int32_t> ids; ///< told so far
  std::size_t told = 0;          ///< bytes of their text
};

caf::behavior completion(caf::stateful_actor<completion_state>* self, completion_options given) {
  auto& state = self->state;
  state.options = std::move(given);
  self->set_default_handler(caf::drop);
  try {
    state.start();
  } catch (const std::invalid_argument& why) {
    state.leave(refusal{
        refusal::kind::bad_request,
        std::string("prompt: ") + why.what() + "; write it in the model's vocabulary", "prompt"});
  }
  return {[&state](const decode_progress& news) { state.hear(news); }};
}

} // namespace

caf::actor spawn_completion(caf::actor_system& system, completion_options options) {
  return system.spawn(completion, std::move(options));
}

} // namespace banyan
