#include "model/phrase_tokenizer.hpp"

#include "model/checkpoint.hpp"
#include "model/read_file.hpp"
#include "model/tokenizer_formats.hpp"

#include <algorithm>
#include <cstdio>
#include <stdexcept>

#include <nlohmann/json.hpp>

namespace banyan {
namespace {

using json = nlohmann::ordered_json;

constexpr const char* file_name = "tokenizer.json";
constexpr const char* config_name = "tokenizer_config.json";

std::string printable(char c) {
  char text[8];
  std::snprintf(text, sizeof text, c >= ' ' && c <= '~' ? "'%c'" : "0x%02x",
                static_cast<unsigned char>(c));
  return text;
}

std::string escaped(const std::string& piece) {
  std::string out;
  for (const char c : piece) {
    if (std::string_view("\\.^$*+?()[]{}|").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

json added_token(std::int32_t id, const std::string& content) {
  return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", true}};
}

json read_json(const std::filesystem::path& file) {
  const auto text = read_file(file);
  try {
    return json::parse(text);
  } catch (const json::exception&) {
    throw bad_checkpoint(file.string() + ": not JSON; restore it from the checkpoint");
  }
}

[[noreturn]] void unsupported(const std::filesystem::path& file, const std::string& what) {
  throw bad_checkpoint(file.string() + ": " + what
                       + "; use a SentencePiece tokenizer.model or a tokenizer written by banyan");
}

// The value at a path of keys, null where a step is missing or no object.
json at(const json& object, std::initializer_list<const char*> keys) {
  const json* value = &object;
  for (const auto* key : keys) {
    if (!value->is_object() || !value->contains(key)) return nullptr;
    value = &value->at(key);
  }
  return *value;
}

std::vector<std::string> pieces_of(const json& vocab, const std::filesystem::path& file) {
  if (!vocab.is_object() || vocab.empty()) unsupported(file, "model.vocab is no table of words");
  std::vector<std::string> pieces(vocab.size());
  for (const auto& [word, id] : vocab.items()) {
    const auto place = id.is_number_unsigned() ? id.get<std::size_t>() : vocab.size();
    if (place >= vocab.size() || word.empty() || !pieces[place].empty())
      unsupported(file, "the ids in model.vocab are not 0, 1, 2, … each once");
    pieces[place] = word;
  }
  return pieces;
}

std::int32_t special_id(const json& config, const char* key, const std::vector<std::string>& pieces,
                        const std::filesystem::path& file) {
  auto token = at(config, {key});
  if (token.is_object()) token = at(token, {"content"});
  if (token.is_null()) return -1;
  const auto found = token.is_string()
                         ? std::find(pieces.begin(), pieces.end(), token.get<std::string>())
                         : pieces.end();
  if (found == pieces.end())
    throw bad_checkpoint(file.string() + ": " + key + " is not in the vocabulary of " + file_name
                         + "; make the two files fit each other");
  return static_cast<std::int32_t>(found - pieces.begin());
}

// Everything but the pieces is fixed: the same text would otherwise mean other ids in other
// programs.
void check_pipeline(const json& file_json, const phrase_tokenizer& made,
                    const std::filesystem::path& file) {
  if (!at(file_json, {"normalizer"}).is_null()) unsupported(file, "a normalizer is not supported");
  if (at(file_json, {"pre_tokenizer", "type"}) != "Split"
      || at(file_json, {"pre_tokenizer", "behavior"}) != "Isolated"
      || at(file_json, {"pre_tokenizer", "invert"}) == true
      || at(file_json, {"pre_tokenizer", "pattern", "Regex"}) != made.pattern())
    unsupported(file, "pre_tokenizer is not a Split into the longest words of model.vocab");
}

} // namespace

phrase_tokenizer::phrase_tokenizer(vocabulary words) : words_(std::move(words)) {
  for (std::int32_t id = 0; id < vocab_size(); ++id)
    if (!special(id)) by_length_.push_back(id);
  std::stable_sort(by_length_.begin(), by_length_.end(), [this](std::int32_t a, std::int32_t b) {
    return words_.pieces[a].size() > words_.pieces[b].size();
  });
  for (const auto id : by_length_)
    starting_by_[static_cast<unsigned char>(words_.pieces[id].front())].push_back(id);
}

bool phrase_tokenizer::special(std::int32_t id) const {
  return id == words_.bos || id == words_.eos || id == words_.pad;
}

std::int32_t phrase_tokenizer::longest_at(std::string_view rest) const {
  for (const auto id : starting_by_[static_cast<unsigned char>(rest.front())])
    if (rest.starts_with(words_.pieces[id])) return id;
  return -1;
}

std::vector<std::int32_t> phrase_tokenizer::encode(std::string_view text) const {
  std::vector<std::int32_t> ids;
  ids.reserve(text.size() / 2);
  for (std::size_t begin = 0; begin < text.size();) {
    const auto id = longest_at(text.substr(begin));
    if (id < 0)
      throw std::invalid_argument("the vocabulary cannot express " + printable(text[begin])
                                  + " at byte " + std::to_string(begin) + " of the text");
    ids.push_back(id);
    begin += words_.pieces[id].size();
  }
  return ids;
}

const std::string& phrase_tokenizer::text_of(std::int32_t id) const {
  static const std::string none;
  if (id < 0 || id >= vocab_size())
    throw std::out_of_range("token " + std::to_string(id) + " is outside the vocabulary of "
                            + std::to_string(vocab_size()));
  return special(id) ? none : words_.pieces[id];
}

std::string phrase_tokenizer::decode(std::span<const std::int32_t> ids) const {
  std::string text;
  for (const auto id : ids) text += text_of(id);
  return text;
}

std::string_view phrase_tokenizer::piece(std::int32_t id) const { return text_of(id); }

std::string phrase_tokenizer::pattern() const {
  std::string out;
  for (const auto id : by_length_) out += (out.empty() ? "" : "|") + escaped(words_.pieces[id]);
  return out;
}

void phrase_tokenizer::save(const std::filesystem::path& folder) const {
  json vocab, added = json::array(), config = {{"tokenizer_class", "PreTrainedTokenizerFast"}};
  for (std::int32_t id = 0; id < vocab_size(); ++id) {
    vocab[words_.pieces[id]] = id;
    if (special(id)) added.push_back(added_token(id, words_.pieces[id]));
  }
  for (const auto& [key, id] :
       {std::pair{"bos_token", words_.bos}, {"eos_token", words_.eos}, {"pad_token", words_.pad}})
    if (id >= 0) config[key] = words_.pieces[id];
  config["clean_up_tokenization_spaces"] = false;

  // WordLevel insists on the name of an unknown word; "" is no word, so that unknown text is an
  // error.
  const json all = {{"version", "1.0"},
                    {"truncation", nullptr},
                    {"padding", nullptr},
                    {"added_tokens", added},
                    {"normalizer", nullptr},
                    {"pre_tokenizer",
                     {{"type", "Split"},
                      {"pattern", {{"Regex", pattern()}}},
                      {"behavior", "Isolated"},
                      {"invert", false}}},
                    {"post_processor", nullptr},
                    {"decoder", {{"type", "Fuse"}}},
                    {"model", {{"type", "WordLevel"}, {"vocab", vocab}, {"unk_token", ""}}}};
  write_file_atomically(folder / file_name, all.dump(2) + "\n");
  write_file_atomically(folder / config_name, config.dump(2) + "\n");
}

std::shared_ptr<const tokenizer> load_phrase_tokenizer(const std::filesystem::path& folder) {
  const auto file = folder / file_name, config_file = folder / config_name;
  const auto all = read_json(file), config = read_json(config_file);
  if (at(all, {"model", "type"}) != "WordLevel") unsupported(file, "model.type is not WordLevel");
  phrase_tokenizer::vocabulary words{pieces_of(at(all, {"model", "vocab"}), file)};
  words.bos = special_id(config, "bos_token", words.pieces, config_file);
  words.eos = special_id(config, "eos_token", words.pieces, config_file);
  words.pad = special_id(config, "pad_token", words.pieces, config_file);
  if (words.eos < 0)
    throw bad_checkpoint(config_file.string()
                         + ": eos_token is missing; name the end-of-sequence token");
  auto made = std::make_shared<phrase_tokenizer>(std::move(words));
  check_pipeline(all, *made, file);
  return made;
}

} // namespace banyan
