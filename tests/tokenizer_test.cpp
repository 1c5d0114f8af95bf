#include "model/config.hpp"
#include "model/tokenizer.hpp"
#include "solver/search.hpp"
#include "tests/scratch_folder.hpp"
#include "tests/sentencepiece_model.hpp"

#include <sstream>
#include <stdexcept>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace banyan;
using ids = std::vector<std::int32_t>;
using json = nlohmann::ordered_json;

namespace {

const std::string prompt = "Moving to Node #0\nCurrent State: 47:[42, 61, 66], Operations: []\n";
const std::string child_prompt =
    "Moving to Node #0,0\nCurrent State: 47:[61, 24], Operations: ['66-42=24']\n";
const std::string written = "Exploring Operation: 66-42=24, Resulting Numbers: [61, 24]\n"
                            "Generated Node #0,0: 47:[61, 24] Operation: 66-42=24\n"
                            "Exploring Operation: 61-42=19, Resulting Numbers: [66, 19]\n"
                            "Generated Node #0,1: 47:[66, 19] Operation: 61-42=19\n";
const std::string spawn = "<Calling Sub Searches>\n"
                          "<Start Sub Search 0 at level 1> Moving to Node #0,1\n"
                          "<Start Sub Search 1 at level 1> Moving to Node #0,0\n"
                          "<End Calling Sub Searches>\n";
const std::string joined = "<Sub Searches>\n"
                           "<No Solution in Sub Search 0 at level 1 at Node #0,1>\n"
                           "<Goal Reached in Sub Search 1 at level 1 at Node #0,0>\n"
                           "Moving to Node #0,0\n"
                           "Current State: 47:[61, 24], Operations: ['66-42=24']\n"
                           "Exploring Operation: 61-24=37, Resulting Numbers: [37]\n"
                           "37,47 unequal: No Solution\n"
                           "<End Sub Searches>\n";
const std::string nested = "Start Sub Search at level 1: Moving to Node #0,1\n"
                           "Current State: 47:[66, 19], Operations: ['61-42=19']\n"
                           "Exploring Operation: 66-19=47, Resulting Numbers: [47]\n"
                           "47,47 equal: Goal Reached\n"
                           "Exit Sub Search at level 1\nNo solution found in sub search\n"
                           "Moving to Node #0,0,1\nNo solution found.\n";

std::vector<std::string> cut(const tokenizer& t, std::string_view text) {
  std::vector<std::string> pieces;
  for (const auto id : t.encode(text)) pieces.emplace_back(t.piece(id));
  return pieces;
}

ids joined_ids(ids a, const ids& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

json read_json(const scratch_folder& folder, const char* name) {
  return json::parse(folder.read(name));
}

} // namespace

TEST_CASE("countdown token ids are the ones that stored models were trained with", "[model]") {
  const auto t = countdown_tokenizer();
  CHECK(t->vocab_size() == 68);
  CHECK(t->pad_id() == 0);
  CHECK(t->eos_id() == 1);
  CHECK(t->bos_id() == -1);
  CHECK(t->encode("0123456789+-*/=") == ids{2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16});
  CHECK(t->encode(prompt) == ids{30, 2, 31, 6, 9, 32, 6, 4, 28, 8, 3, 28, 8, 8, 34});
  CHECK(t->encode("<Sub Searches>") == ids{57});
  CHECK(t->encode("Current State: ") == ids{67});
}

TEST_CASE("a countdown trace is cut into digits and whole phrases", "[model]") {
  const auto t = countdown_tokenizer();
  CHECK(cut(*t, "Exploring Operation: 66-42=24, Resulting Numbers: [61, 24]\n")
        == std::vector<std::string>{"Exploring Operation: ", "6", "6", "-", "4", "2", "=", "2", "4",
                                    ", Resulting Numbers: [", "6", "1", ", ", "2", "4", "]\n"});
  CHECK(cut(*t, "<Start Sub Search 0 at level 1> Moving to Node #0,1\n")
        == std::vector<std::string>{"<Start Sub Search ", "0", " at level ", "1",
                                    "> Moving to Node #", "0", ",", "1", "\n"});
}

TEST_CASE("decoding gives back every text of every search", "[model]") {
  const auto t = countdown_tokenizer();
  for (const auto& text :
       {prompt, child_prompt, written, spawn, joined, nested, "Sub Call Budget: 10 " + prompt,
        "Token Budget: 2048 " + child_prompt, std::string("], Operations: ['1+2=3', '3+4=7']\n"),
        std::string("47,47 equal: Goal Reached"), std::string()})
    CHECK(t->decode(t->encode(text)) == text);
}

TEST_CASE("texts tokenised apart at segment boundaries give the ids of the whole", "[model]") {
  const auto t = countdown_tokenizer();
  const std::vector<std::string> prompts{prompt, child_prompt},
      after{written, spawn, nested, joined, "\n", "]\n", " ", "> "};
  auto check = [&](const std::string& a, const std::string& b) {
    CAPTURE(a, b);
    CHECK(t->encode(a + b) == joined_ids(t->encode(a), t->encode(b)));
  };
  for (const auto& b : after) {
    check(prompt, b);
    check(child_prompt, b);
    check(spawn, b);
    check(joined, b);
  }
  for (const auto& a : {prompt, child_prompt, written, joined, nested, spawn}) {
    check(a, spawn);
    check(a, joined);
  }
}

TEST_CASE("demonstrations of every search survive tokenising in segments", "[model]") {
  const auto t = countdown_tokenizer();
  const auto kind =
      GENERATE(search_kind::apr, search_kind::sos_plus, search_kind::sos_bfs, search_kind::sos_dfs);
  search_options options;
  options.kind = kind;
  options.condition_children = kind == search_kind::apr;
  options.condition_tokens = kind != search_kind::apr;
  for (std::uint64_t i = 0; i < 6; ++i) {
    const auto tree = demonstrate({{3, 7, 25, 50}, 40 + static_cast<std::int64_t>(i)}, options, i);
    for (const auto& thread : tree.threads) {
      ids apart;
      std::string whole;
      for (const auto& part : thread.segments) {
        apart = joined_ids(apart, t->encode(part.text));
        whole += part.text;
      }
      CHECK(t->decode(apart) == whole);
      CHECK(t->encode(whole) == apart);
      CHECK(t->decode(t->encode(thread.text())) == thread.text());
    }
  }
}

TEST_CASE("one token alone can begin a join tag", "[model]") {
  const auto t = countdown_tokenizer();
  const std::string tag = "<Sub Searches>";
  const auto id = t->encode(tag).front();
  // Any other way to write the tag would begin with a token that is a proper prefix of it and go on
  // with letters; but no token begins with the rest of the tag after such a prefix.
  for (std::int32_t first = 0; first < t->vocab_size(); ++first) {
    const auto head = t->piece(first);
    if (first == id || head.empty() || !std::string_view(tag).starts_with(head)) continue;
    const auto rest = std::string_view(tag).substr(head.size());
    for (std::int32_t next = 0; next < t->vocab_size(); ++next) {
      const auto piece = t->piece(next);
      CHECK_FALSE((!piece.empty() && (rest.starts_with(piece) || piece.starts_with(rest))));
    }
  }
}

TEST_CASE("a text outside the countdown alphabet is refused with its first character", "[model]") {
  const auto t = countdown_tokenizer();
  CHECK_THROWS_WITH(t->encode("12 apples"),
                    "the vocabulary cannot express 'a' at byte 3 of the text");
  CHECK_THROWS_WITH(t->encode("1\xc3\xa9"),
                    "the vocabulary cannot express 0xc3 at byte 1 of the text");
  CHECK_THROWS_AS(t->encode("<eos>"), std::invalid_argument);
}

TEST_CASE("special tokens give no text and foreign ids are out of range", "[model]") {
  const auto t = countdown_tokenizer();
  CHECK(t->decode(ids{3, t->eos_id(), 4, t->pad_id()}) == "12");
  CHECK_THROWS_AS(t->decode(ids{t->vocab_size()}), std::out_of_range);
  CHECK_THROWS_AS(t->piece(-1), std::out_of_range);
}

TEST_CASE("a saved countdown tokenizer loads as the same tokenizer", "[model]") {
  const scratch_folder folder;
  const auto t = countdown_tokenizer();
  t->save(folder.path());
  const auto loaded = load_tokenizer(folder.path());
  REQUIRE(loaded->vocab_size() == t->vocab_size());
  for (std::int32_t id = 0; id < t->vocab_size(); ++id) CHECK(loaded->piece(id) == t->piece(id));
  CHECK(loaded->eos_id() == t->eos_id());
  CHECK(loaded->pad_id() == t->pad_id());
  CHECK(loaded->bos_id() == -1);
  CHECK(loaded->encode(prompt + written + spawn) == t->encode(prompt + written + spawn));
}

TEST_CASE("a tokenizer.json that would cut text otherwise is refused", "[model]") {
  const scratch_folder folder;
  countdown_tokenizer()->save(folder.path());
  auto changed = read_json(folder, "tokenizer.json");
  SECTION("another model") { changed["model"]["type"] = "BPE"; }
  SECTION("a normalizer") { changed["normalizer"] = {{"type", "Lowercase"}}; }
  SECTION("another pattern") { changed["pre_tokenizer"]["pattern"]["Regex"] = "."; }
  SECTION("no pre_tokenizer") { changed["pre_tokenizer"] = nullptr; }
  SECTION("an id used twice") { changed["model"]["vocab"]["7"] = 3; }
  SECTION("an id too large") { changed["model"]["vocab"]["7"] = 1000; }
  SECTION("no object at all") { changed = json::array({1, 2}); }
  folder.write("tokenizer.json", changed.dump());
  CHECK_THROWS_AS(load_tokenizer(folder.path()), bad_checkpoint);
}

TEST_CASE("a folder without a usable tokenizer is a bad checkpoint", "[model]") {
  const scratch_folder folder;
  CHECK_THROWS_WITH(load_tokenizer(folder.path()), Catch::Contains("no tokenizer.json"));
  countdown_tokenizer()->save(folder.path());
  SECTION("damaged") { folder.write("tokenizer.json", "{\"model\": "); }
  SECTION("without special tokens") { folder.write("tokenizer_config.json", "{}"); }
  SECTION("with foreign special tokens") {
    folder.write("tokenizer_config.json", R"({"eos_token": "</s>"})");
  }
  CHECK_THROWS_AS(load_tokenizer(folder.path()), bad_checkpoint);
}

TEST_CASE("a sentencepiece model is read and handed out unchanged", "[model]") {
  const scratch_folder folder, other;
  const auto model = train_sentencepiece("--vocab_size=320 --byte_fallback=true");
  folder.write("tokenizer.model", model);
  const auto t = load_tokenizer(folder.path());
  CHECK(t->bos_id() == 1);
  CHECK(t->eos_id() == 2);
  CHECK(t->pad_id() == -1);
  for (const std::string text : {"the tree has 7 threads",
                                 "gr\xc3\xbc\xc3\x9f"
                                 "e\n",
                                 "a  b", ""})
    CHECK(t->decode(t->encode(text)) == text);
  CHECK(t->encode("the tree").size() < 8);
  t->save(other.path());
  CHECK(other.read("tokenizer.model") == model);
}

TEST_CASE("sentencepiece tokens have the text that decoding prints", "[model]") {
  const scratch_folder folder;
  folder.write("tokenizer.model", train_sentencepiece("--vocab_size=320 --byte_fallback=true"));
  const auto t = load_tokenizer(folder.path());
  std::string pieces;
  for (const auto id : t->encode("tree\n\xc3\xbc the tree")) pieces += t->piece(id);
  CHECK(pieces == " tree\n\xc3\xbc the tree");
  CHECK(t->piece(0) == t->decode(ids{0})); // the unknown token
  CHECK(t->piece(t->eos_id()).empty());
  CHECK(t->decode(ids{t->bos_id(), t->eos_id()}).empty());
  CHECK_THROWS_AS(t->piece(t->vocab_size()), std::out_of_range);
  CHECK_THROWS_AS(t->decode(ids{-1}), std::out_of_range);
}

TEST_CASE("sentencepiece text that goes on has no space of its own in front", "[model]") {
  const scratch_folder folder;
  folder.write("tokenizer.model", train_sentencepiece("--vocab_size=320 --byte_fallback=true"));
  const auto t = load_tokenizer(folder.path());
  for (const std::string more : {"ads of the tree", " the tree", "\n<join>", "\xc3\xbc", ""}) {
    auto ids = t->encode("the thre");
    const auto rest = t->encode_continuation(more);
    ids.insert(ids.end(), rest.begin(), rest.end());
    CHECK(t->decode(ids) == "the thre" + more);
  }
}

TEST_CASE("a sentencepiece model without byte fallback refuses unknown characters", "[model]") {
  const scratch_folder folder;
  folder.write("tokenizer.model", train_sentencepiece("--vocab_size=60"));
  CHECK_THROWS_WITH(load_tokenizer(folder.path())->encode("tree \xe2\x82\xac"),
                    Catch::Contains("cannot express '\xe2\x82\xac'"));
}

TEST_CASE("a damaged sentencepiece model is a bad checkpoint", "[model]") {
  const scratch_folder folder;
  SECTION("empty") { folder.write("tokenizer.model", ""); }
  SECTION("another format") { folder.write("tokenizer.model", "{\"model\": {}}"); }
  SECTION("cut off") {
    const auto model = train_sentencepiece("--vocab_size=320 --byte_fallback=true");
    folder.write("tokenizer.model", model.substr(0, model.size() / 2 - 1));
  }
  SECTION("no end of sequence") {
    folder.write("tokenizer.model", train_sentencepiece("--vocab_size=60 --eos_id=-1"));
  }
  CHECK_THROWS_AS(load_tokenizer(folder.path()), bad_checkpoint);
}
