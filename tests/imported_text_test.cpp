// The texts of a model that was brought in with a SentencePiece tokenizer: words carry the space
// before them, rare characters are written byte by byte.

#include "actors/transcript.hpp"
#include "apps/serving/completion_text.hpp"
#include "apps/serving/completions.hpp"
#include "model/tokenizer.hpp"
#include "tests/scratch_folder.hpp"
#include "tests/sentencepiece_model.hpp"
#include "tests/session_system.hpp"

#include <memory>
#include <random>
#include <string>
#include <variant>
#include <vector>

#include <catch2/catch.hpp>

namespace banyan {
namespace {

using token_ids = std::vector<std::int32_t>;

const std::string euro = "\xe2\x82\xac", clef = "\xf0\x9d\x84\x9e";

std::shared_ptr<const tokenizer> imported() {
  static const auto made = [] {
    const scratch_folder folder;
    folder.write("tokenizer.model", train_sentencepiece("--vocab_size=320 --byte_fallback=true"));
    return load_tokenizer(folder.path());
  }();
  return made;
}

codec imported_codec() {
  const auto t = imported();
  return {[t](std::string_view text) { return t->encode(text); },
          [t](std::string_view text) { return t->encode_continuation(text); },
          [t](std::span<const std::int32_t> ids) { return t->decode(ids); },
          [t](std::int32_t id) { return std::string(t->piece(id)); },
          {t->bos_id()}};
}

/// In pieces of one to three tokens.
std::string told_in_pieces(const codec& c, const token_ids& ids, bool behind_text, unsigned seed) {
  std::mt19937 chance(seed);
  detokenizer d(c, behind_text);
  std::string told;
  for (std::size_t at = 0; at < ids.size();) {
    const auto n = std::min<std::size_t>(ids.size() - at, 1 + chance() % 3);
    told += laid_end_to_end(d.add({ids.data() + at, n}));
    at += n;
  }
  return told + laid_end_to_end(d.finish());
}

TEST_CASE("an imported model's text is the same in pieces as at once", "[apps]") {
  const auto c = imported_codec();
  for (const auto& text : {std::string("the number goes back"),
                           "7 " + euro + "\n " + clef + "threads", std::string("  two  spaces"),
                           std::string("gr\xc3\xbc\xc3\x9f"
                                       "e")})
    for (unsigned seed = 0; seed < 4; ++seed)
      CHECK(told_in_pieces(c, c.encode(text), false, seed) == text);
}

/// Whatever is sampled, broken characters and tokens without text among it.
TEST_CASE("any tokens of an imported model have the text that decoding them gives", "[apps]") {
  const auto c = imported_codec();
  const auto front = c.encode("the");
  std::mt19937 chance(11);
  for (unsigned round = 0; round < 300; ++round) {
    token_ids ids(1 + chance() % 12);
    for (auto& id : ids) // bytes more often than they would come by chance
      id = static_cast<std::int32_t>(chance() % (round % 2 ? 320u : 262u))
           % imported()->vocab_size();
    CAPTURE(ids);
    CHECK(told_in_pieces(c, ids, false, round) == c.decode(ids));
    auto whole = front;
    whole.insert(whole.end(), ids.begin(), ids.end());
    CHECK("the" + told_in_pieces(c, ids, true, round) == c.decode(whole));
  }
}

decode_reply sampled(token_ids ids) {
  decode_reply reply;
  reply.logprobs.assign(ids.size(), -1.0F);
  reply.epochs.assign(ids.size(), 0);
  reply.ids = std::move(ids);
  return reply;
}

TEST_CASE("an imported thread's text goes on where its pool broke it off", "[apps]") {
  const auto c = imported_codec();
  const auto ids = c.encode("7 " + euro + " the tree");
  for (std::size_t cut = 0; cut <= ids.size(); ++cut) {
    transcript t(c, "the");
    auto text = t.append(sampled({ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(cut)}));
    transcript again(c, t.segments(), 0); // as after a restart
    text += again.append(sampled({ids.begin() + static_cast<std::ptrdiff_t>(cut), ids.end()}));
    CHECK(text + again.close() == " 7 " + euro + " the tree");
    CHECK(again.text_size() == 3 + text.size());
  }
}

TEST_CASE("a thread that ends within a character has the bytes it wrote as none", "[apps]") {
  const auto c = imported_codec();
  auto ids = c.encode("x" + euro);
  ids.pop_back();
  transcript t(c, "the");
  CHECK(t.append(sampled(ids)) == " x");
  CHECK(t.close() == "\xef\xbf\xbd\xef\xbf\xbd");
  CHECK(t.segments().at(1).text == " x\xef\xbf\xbd\xef\xbf\xbd");
}

TEST_CASE("an imported spawn block is cut out behind a character of several tokens", "[apps]") {
  const auto c = imported_codec();
  const auto ids = c.encode(euro + "<spawn>");
  transcript t(c, "the");
  t.append(sampled(ids));
  t.open_spawn(3 + 1 + euro.size()); // " €" behind the prompt
  CHECK(t.segments().at(1).text == " " + euro);
  CHECK(t.segments().at(1).ids == c.encode(euro));
  CHECK(t.segments().at(2).text == "<spawn>");
}

TEST_CASE("what an imported model sees of a join is the text of its record", "[apps]") {
  const auto c = imported_codec();
  transcript t(c, "the");
  t.append(sampled(c.encode_continuation(" tree <spawn>")));
  t.open_spawn(3 + 6);
  t.join("threads\n");
  std::string text;
  for (const auto& part : t.segments())
    if (part.kind != segment_kind::spawn) text += part.text;
  CHECK(c.decode(t.context()) == text);
  CHECK(text == "the tree threads\n");
}

thread_actor root_of(const pool_script& script) {
  return caf::actor_cast<thread_actor>(script.askers.at("/"));
}

/// A watched root that its pool lets wait: its tokens come by progress.
struct imported_tree : session_system {
  imported_tree() {
    script->codec = imported_codec();
    script->eos = imported()->eos_id();
    script->lines = {{"/", {"7 " + euro + " the tree has " + clef + " threads"}}};
    script->silent = {"/"};
  }
};

TEST_CASE_METHOD(imported_tree, "a watcher of an imported thread hears its text once", "[apps]") {
  const auto watching = events->subscribe("t", 0, [] {});
  const auto session = begin();
  auto reply = self->request(session, caf::infinite, work());
  run();
  const auto thread = caf::actor_cast<caf::actor>(script->askers.at("/"));
  const auto ids = script->codec.encode(script->lines["/"].front());
  std::string said;
  for (const auto id : ids) {
    self->send(thread, decode_progress{{id}, {-1}, {}});
    run();
    for (const auto& e : watching->take()) {
      if (e.what != tree_event::kind::text) continue;
      CHECK(e.position == said.size());
      said += e.text;
    }
    CHECK(ask<thread_status>(root_of(*script), atom::status_v)->record.text() == said);
  }
  break_silence();
  for (const auto& e : watching->take())
    if (e.what == tree_event::kind::text) said += e.text;
  const auto text = finished(take<finished_tree>(reply)).root().text();
  CHECK(said == text);
  CHECK(text == texts::prompt + " " + script->lines["/"].front());
}

/// A completion whose tokens come one by one.
struct imported_completion : deterministic_system {
  std::shared_ptr<pool_script> script = std::make_shared<pool_script>();
  pool_actor pool = sys.spawn(scripted_pool, script);
  std::optional<completions> service;
  completion_text text{{}};
  told_text told;
  bool over = false;

  imported_completion() {
    script->codec = imported_codec();
    script->eos = imported()->eos_id();
    service.emplace(sys,
                    completion_means{{{"scripted:0", pool}}, imported_codec(), imported(), 100});
  }

  ~imported_completion() {
    service.reset();
    end(std::exchange(pool, nullptr));
    advance(std::chrono::hours(1));
  }

  void start(completion_request request) {
    service->start(
        std::move(request),
        [this](completion_piece piece) {
          told.append(piece.of_prompt ? text.echo(std::move(piece)) : text.take(std::move(piece)));
        },
        [this](std::variant<completion_end, refusal> answer) {
          told.append(text.finish(std::get<completion_end>(std::move(answer)).rest, ""));
          over = true;
        });
    run();
  }

  /// Each token begins where its text does.
  void check_offsets() const {
    REQUIRE(!told.tokens.empty());
    for (const auto& [token, offset] : told.tokens)
      CHECK(told.text.substr(offset, token.text.size()) == token.text);
    CHECK(told.tokens.back().offset + told.tokens.back().what.text.size() == told.text.size());
  }
};

completion_request asking(std::string prompt) {
  completion_request request;
  request.prompt = std::move(prompt);
  request.max_tokens = 0;
  request.logprobs = 0;
  return request;
}

TEST_CASE_METHOD(imported_completion, "an imported completion goes on behind its prompt",
                 "[apps]") {
  script->lines = {{"/", {"goes back 7 " + euro}}};
  auto request = asking("the number");
  request.max_tokens = 100;
  SECTION("alone") {
    start(request);
    CHECK(told.text == " goes back 7 " + euro);
  }
  SECTION("behind the prompt's text") {
    request.echo = true;
    start(request);
    CHECK(told.text == "the number goes back 7 " + euro);
  }
  SECTION("behind the prompt's tokens") {
    request.echo = true;
    request.ids = imported()->encode("the number");
    start(request);
    CHECK(told.text == "the number goes back 7 " + euro);
  }
  SECTION("at the begin of a text") {
    request.prompt.clear();
    start(request);
    CHECK(told.text == "goes back 7 " + euro);
  }
  CHECK(over);
  check_offsets();
}

TEST_CASE_METHOD(imported_completion, "an imported completion that is streamed says the same",
                 "[apps]") {
  script->lines = {{"/", {"goes back 7 " + euro + " " + clef}}};
  script->silent = {"/"};
  auto request = asking("the number");
  request.max_tokens = 100;
  request.stream = true;
  start(request);
  const auto asker = caf::actor_cast<caf::actor>(script->askers.at("/"));
  for (const auto id : imported()->encode(script->lines["/"].front())) {
    self->send(asker, decode_progress{{id}, {-1}, {}});
    run();
    CHECK(told.text.find("\xef\xbf\xbd") == std::string::npos);
  }
  CHECK(told.text == " goes back 7 " + euro + " " + clef);
  script->silent.clear();
  self->send(pool, atom::step_v);
  run();
  CHECK(over);
  CHECK(told.text == " goes back 7 " + euro + " " + clef);
  check_offsets();
}

} // namespace
} // namespace banyan
