#include "apps/serving/completion.hpp"

#include "actors/detokenizer.hpp"
#include "actors/placement.hpp"
#include "apps/serving/refusals.hpp"
#include "model/tokenizer.hpp"

#include <algorithm>
#include <chrono>
#include <deque>
#include <iterator>
#include <optional>
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

  decode_request request() const {
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
    r.likeliest = wish.logprobs.value_or(0);
    return r;
  }

  void start() {
    of_prompt = prompt();
    asked = request();
    decoding.emplace(options.codec, !laid_end_to_end(texts_of_prompt()).empty());
    if (asked.ids.size() >= options.context) return fail(errc::context_full);
    const auto& wish = options.request;
    if (wish.echo && wish.logprobs) return score();
    if (wish.echo) echo({});
    go_on();
  }

  /// The prompt's chances come before anything is decoded; the pool then knows the prompt.
  void score() {
    auto scoring = asked;
    scoring.scores_prompt = true;
    scoring.watched = false;
    scoring.max_tokens = 1;
    ask(std::move(scoring), [this](const decode_reply& reply) {
      echo(reply);
      go_on();
    });
  }

  void go_on() {
    if (asked.max_tokens > 0) return ask(asked, [this](const decode_reply& r) { finish(r); });
    completion_end end;
    end.finish = "length";
    end.prompt_tokens = static_cast<std::uint32_t>(asked.ids.size());
    leave(std::move(end));
  }

  /// Tells the prompt, with what is known of its tokens.
  void echo(const decode_reply& scored) const {
    completion_piece piece;
    piece.of_prompt = true;
    const auto texts = texts_of_prompt();
    piece.text = options.request.ids ? laid_end_to_end(texts) : options.request.prompt;
    // The model was given `before` more tokens in front; nothing is known of its very first one.
    const auto before = asked.ids.size() - of_prompt.size();
    const chances known{scored.prompt_logprobs, scored.prompt_likeliest};
    for (std::size_t i = 0; i < of_prompt.size(); ++i) {
      const bool first = before + i == 0;
      piece.tokens.push_back(first ? completion_token{} : token(known, before + i - 1));
      piece.tokens.back().text = texts[i];
    }
    options.on_piece(std::move(piece));
  }

  std::vector<std::string> texts_of_prompt() const {
    detokenizer from_begin(options.codec, false);
    auto texts = from_begin.add(of_prompt);
    std::ranges::move(from_begin.finish(), std::back_inserter(texts));
    return texts;
  }

  /// How likely tokens were, and which were the likeliest at their places: [logprobs, any number].
  struct chances {
    std::span<const float> logprobs;
    std::span<const token_chance> likeliest;
  };

  /// What is known of the token at a place, but for its text.
  completion_token token(const chances& known, std::size_t place) const {
    completion_token told;
    if (place >= known.logprobs.size()) return told;
    told.logprob = known.logprobs[place];
    const auto each = known.likeliest.size() / known.logprobs.size();
    for (const auto& [other, logprob] : known.likeliest.subspan(place * each, each))
      told.likeliest.emplace_back(options.vocabulary->piece(other), logprob);
    return told;
  }

  /// The tokens whose texts are whole by now; the others are told with later ones.
  completion_piece piece_of(std::span<const std::int32_t> fresh, const chances& known) {
    ids.insert(ids.end(), fresh.begin(), fresh.end());
    for (std::size_t i = 0; i < fresh.size(); ++i) untold.push_back(token(known, i));
    completion_piece piece;
    tell(decoding->add(fresh), piece);
    return piece;
  }

  void tell(std::vector<std::string> texts, completion_piece& piece) {
    for (auto& text : texts) {
      piece.text += text;
      auto told = std::move(untold.front());
      untold.pop_front();
      told.text = std::move(text);
      if (ids[num_told++] != options.vocabulary->eos_id()) piece.tokens.push_back(std::move(told));
    }
  }

  void hear(const decode_progress& news) {
    options.on_piece(piece_of(news.ids, {news.logprobs, news.likeliest}));
  }

  void finish(const decode_reply& reply) {
    completion_end end;
    const auto known = std::min(ids.size(), reply.ids.size());
    const auto each = reply.likeliest.size() / std::max<std::size_t>(1, reply.ids.size());
    end.rest = piece_of(std::span(reply.ids).subspan(known),
                        {std::span(reply.logprobs).subspan(known),
                         std::span(reply.likeliest).subspan(known * each)});
    tell(decoding->finish(), end.rest);
    const bool stopped = reply.finish == finish_reason::eos || reply.finish == finish_reason::stop;
    end.finish = stopped ? "stop" : "length";
    end.matched_stop = reply.matched_stop;
    if (reply.finish == finish_reason::eos) end.matched_token = options.vocabulary->eos_id();
    end.prompt_tokens = reply.prompt_tokens;
    end.cached_tokens = reply.cached_tokens;
    end.generated_tokens = static_cast<std::uint32_t>(reply.ids.size());
    leave(std::move(end));
  }

  template <class Then>
  void ask(decode_request what, Then then) {
    place.emplace(options.pools[next_pool], options.family, "/");
    place->begin_work();
    self->request(place->pool().actor, patience, what)
        .then(
            [this, then](const decode_reply& reply) {
              place->end_work();
              then(reply);
            },
            [this, what, then](const caf::error& why) mutable {
              recover(errc_of(why, errc::pool_lost), std::move(what), then);
            });
  }

  /// The request says everything: another pool can, as long as nobody has heard of the first one's.
  template <class Then>
  void recover(errc why, decode_request what, Then then) {
    const bool another_can = why == errc::pool_lost || why == errc::bad_weights;
    if (!another_can || !ids.empty() || ++next_pool == options.pools.size()) return fail(why);
    ask(std::move(what), then);
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
    case errc::bad_weights:
      return leave(refusal{kind::internal,
                           "the model's weights give no token here; see the daemon's log", ""});
    default: return leave(refusal{kind::unavailable, "the pool was lost; try again", ""});
    }
  }

  /// Somebody waits: an exception is told like any other end.
  caf::error caught(std::exception_ptr& thrown) {
    auto error = lost_by(thrown);
    leave(refusal_of(error));
    return error;
  }

  void leave(std::variant<completion_end, refusal> answer) {
    options.on_end(std::move(answer));
    self->quit();
  }

  caf::stateful_actor<completion_state>* self;
  completion_options options;
  std::vector<std::int32_t> of_prompt; ///< what the prompt says, without what is always in front
  decode_request asked;
  std::size_t next_pool = 0;
  std::optional<seat> place;           ///< whatever is decoded there ends with it
  std::vector<std::int32_t> ids;       ///< sampled, as far as the pool told
  std::size_t num_told = 0;            ///< of them, whose texts are whole
  std::deque<completion_token> untold; ///< the others, without their texts
  std::optional<detokenizer> decoding;
};

caf::behavior completion(caf::stateful_actor<completion_state>* self, completion_options given) {
  auto& state = self->state;
  state.options = std::move(given);
  self->set_default_handler(caf::drop);
  self->set_exception_handler([&state](std::exception_ptr& why) { return state.caught(why); });
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
