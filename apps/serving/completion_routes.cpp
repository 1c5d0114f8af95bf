#include "apps/drawn.hpp"
#include "apps/json_parts.hpp"
#include "apps/serving/completion_body.hpp"
#include "apps/serving/completion_text.hpp"
#include "apps/serving/fields.hpp"
#include "apps/serving/handlers.hpp"
#include "apps/serving/urls.hpp"
#include "solver/unix_time.hpp"

#include <algorithm>
#include <cstdio>

#include <nlohmann/json.hpp>

namespace banyan {

using json = nlohmann::ordered_json;

namespace {

constexpr std::size_t most_unsent = 1 << 20;

/// By text, likeliest first; the token itself is there even where it is none of the likeliest.
json top_logprobs(const completion_token& token) {
  if (!token.logprob) return {};
  auto top = json::object();
  for (const auto& [text, logprob] : token.likeliest) top.emplace(text, logprob);
  top.emplace(token.text, *token.logprob);
  return top;
}

/// One completion of a request, in the order of the reply.
struct choice {
  completion_text text;
  std::uint64_t handle = 0;
  bool ended = false;
  told_text whole; ///< where nothing is streamed: all of it
  completion_end end;

  explicit choice(std::vector<std::string> stops) : text(std::move(stops)) {}
};

/// A request for completions, until its last choice has ended.
class completion_run : public std::enable_shared_from_this<completion_run> {
public:
  completion_run(http_context& c, reply_ptr reply, completion_body body)
      : c_(c), reply_(std::move(reply)), body_(std::move(body)), model_(c.trees.model().name) {
    if (!body_.seeded) body_.sampling.seed = drawn_seed();
  }

  void start();

private:
  void start_choice(std::size_t index);
  void read(std::size_t index, completion_piece);
  void finish(std::size_t index, completion_end);
  void conclude();
  void give_up(const refusal&);
  void stop_all();

  bool open_stream();
  void write(const json&);
  json head(json choices) const;
  json choice_json(std::size_t index, const told_text&, bool last) const;
  json logprobs_json(const told_text&) const;
  json usage() const;

  http_context& c_;
  reply_ptr reply_;
  completion_body body_;
  std::string model_, name_ = "cmpl-" + drawn_name(16);
  std::int64_t created_s_ = unix_ms_now() / 1000;
  std::vector<choice> choices_;
  bool streaming_ = false, over_ = false;
};

// ---- the life of a request

void completion_run::start() {
  for (std::size_t i = 0; i < body_.n * body_.prompts.size(); ++i)
    choices_.emplace_back(body_.stop);
  reply_->on_gone([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->stop_all();
  });
  for (std::size_t i = 0; i < choices_.size(); ++i) start_choice(i);
}

void completion_run::start_choice(std::size_t index) {
  const auto& prompt = body_.prompts[index / body_.n];
  completion_request request{prompt.text,  body_.sampling, body_.max_tokens, body_.stop,
                             body_.stream, body_.echo,     prompt.ids,       body_.logprobs};
  request.sampling.seed += index % body_.n;
  const auto self = shared_from_this();
  auto ended = [self, index, loop = c_.loop](std::variant<completion_end, refusal> answer) {
    loop->post([self, index, answer = std::move(answer)]() mutable {
      self->reply_->guarded([&] {
        if (const auto* no = std::get_if<refusal>(&answer)) return self->give_up(*no);
        self->finish(index, std::move(std::get<completion_end>(answer)));
      });
    });
  };
  std::function<void(completion_piece)> came;
  if (body_.stream || body_.echo)
    came = [self, index, loop = c_.loop](completion_piece piece) {
      loop->post([self, index, piece = std::move(piece)]() mutable {
        self->reply_->guarded([&] { self->read(index, std::move(piece)); });
      });
    };
  choices_[index].handle = c_.trees.complete(std::move(request), std::move(came), std::move(ended));
}

void completion_run::read(std::size_t index, completion_piece piece) {
  if (over_) return;
  auto& c = choices_[index];
  auto certain = piece.of_prompt ? c.text.echo(std::move(piece)) : c.text.take(std::move(piece));
  if (!body_.stream) return c.whole.append(std::move(certain));
  if (certain.text.empty() && certain.tokens.empty()) return;
  if (!open_stream()) return;
  auto list = json::array();
  list.push_back(choice_json(index, certain, false));
  write(head(std::move(list)));
}

void completion_run::finish(std::size_t index, completion_end end) {
  if (over_) return;
  auto& c = choices_[index];
  c.ended = true;
  auto rest = c.text.finish(std::move(end.rest), end.matched_stop);
  c.end = std::move(end);
  if (!body_.stream) {
    c.whole.append(std::move(rest));
  } else if (open_stream()) {
    auto list = json::array();
    list.push_back(choice_json(index, rest, true));
    write(head(std::move(list)));
  }
  if (std::ranges::all_of(choices_, &choice::ended)) conclude();
}

void completion_run::conclude() {
  over_ = true;
  if (body_.stream) {
    if (body_.include_usage) {
      auto last = head(json::array());
      last["usage"] = usage();
      write(last);
    }
    reply_->write("data: [DONE]\n\n");
    return reply_->end();
  }
  auto list = json::array();
  for (std::size_t i = 0; i < choices_.size(); ++i)
    list.push_back(choice_json(i, choices_[i].whole, true));
  auto whole = head(std::move(list));
  whole["usage"] = usage();
  reply_->send(whole);
}

void completion_run::give_up(const refusal& why) {
  if (over_) return;
  stop_all();
  if (!streaming_) return reply_->refuse(why);
  reply_->write("data: " + openai_error_body(error_response(why)) + "\n\n");
  reply_->end();
}

void completion_run::stop_all() {
  over_ = true;
  for (const auto& c : choices_)
    if (!c.ended) c_.trees.stop_completion(c.handle);
}

// ---- what the client sees

bool completion_run::open_stream() {
  if (streaming_) return true;
  streaming_ = reply_->begin(
      {200, "text/event-stream; charset=utf-8", {}, {{"X-Accel-Buffering", "no"}}, {}});
  if (!streaming_) stop_all();
  return streaming_;
}

void completion_run::write(const json& chunk) {
  reply_->write("data: " + json_line(chunk) + "\n\n");
  if (reply_->unsent() <= most_unsent) return;
  stop_all();
  reply_->end();
}

json completion_run::head(json choices) const {
  json j{{"id", name_},
         {"object", "text_completion"},
         {"created", created_s_},
         {"model", model_},
         {"choices", std::move(choices)}};
  if (body_.include_usage) j["usage"] = nullptr;
  return j;
}

/// As SGLang tells it: a stop string, or the id of the token that ends a sequence.
json matched_stop_json(const completion_end& end) {
  if (end.matched_token) return *end.matched_token;
  return text_or_null(end.matched_stop);
}

json completion_run::choice_json(std::size_t index, const told_text& piece, bool last) const {
  const auto& c = choices_[index];
  return {{"text", piece.text},
          {"index", index},
          {"logprobs", logprobs_json(piece)},
          {"finish_reason", last ? json(c.end.finish) : json()},
          {"matched_stop", last ? matched_stop_json(c.end) : json()}};
}

json completion_run::logprobs_json(const told_text& piece) const {
  if (!body_.logprobs) return {};
  auto [tokens, logprobs, offsets, tops] =
      std::array{json::array(), json::array(), json::array(), json::array()};
  for (const auto& [token, offset] : piece.tokens) {
    tokens.push_back(token.text);
    logprobs.push_back(token.logprob ? json(*token.logprob) : json());
    offsets.push_back(offset);
    tops.push_back(top_logprobs(token));
  }
  return {{"tokens", std::move(tokens)},
          {"token_logprobs", std::move(logprobs)},
          {"text_offset", std::move(offsets)},
          {"top_logprobs", *body_.logprobs == 0 ? json() : std::move(tops)}};
}

json completion_run::usage() const {
  std::uint64_t prompt = 0, cached = 0, generated = 0;
  for (std::size_t i = 0; i < choices_.size(); ++i) {
    generated += choices_[i].end.generated_tokens;
    if (i % body_.n != 0) continue;
    prompt += choices_[i].end.prompt_tokens;
    cached += choices_[i].end.cached_tokens;
  }
  json j{{"prompt_tokens", prompt},
         {"completion_tokens", generated},
         {"total_tokens", prompt + generated}};
  j["prompt_tokens_details"]["cached_tokens"] = cached;
  return j;
}

} // namespace

void complete(http_context& c, const reply_ptr& reply) {
  auto body = parse_completion_body(reply->request().body);
  url_query(reply->request().query).end();
  if (const auto served = c.trees.model().name; !body.model.empty() && body.model != served)
    return reply->send(no_such_model(body.model, served));
  std::make_shared<completion_run>(c, reply, std::move(body))->start();
}

} // namespace banyan
