#include "model/checkpoint.hpp"
#include "model/read_file.hpp"
#include "model/tokenizer.hpp"
#include "model/tokenizer_formats.hpp"

#include <stdexcept>

#include <sentencepiece_processor.h>

namespace banyan {
namespace {

constexpr const char* file_name = "tokenizer.model";

/// A SentencePiece model as it is; its bytes are kept, so that `save` hands out the file that was
/// read.
class sentencepiece_tokenizer : public tokenizer {
public:
  explicit sentencepiece_tokenizer(std::string bytes) : bytes_(std::move(bytes)) {
    const auto loaded = processor_.LoadFromSerializedProto(bytes_).ok()
                        && continuing_.LoadFromSerializedProto(bytes_ + no_space_in_front()).ok();
    if (!loaded) throw std::runtime_error("not a SentencePiece model");
    if (eos_id() < 0) throw std::runtime_error("the model has no end-of-sequence token");
    for (std::int32_t id = 0; id < vocab_size(); ++id) pieces_.push_back(text_of(id));
  }

  std::vector<std::int32_t> encode(std::string_view text) const override {
    return encode_by(processor_, text);
  }

  std::vector<std::int32_t> encode_continuation(std::string_view text) const override {
    return encode_by(continuing_, text);
  }

  std::string decode(std::span<const std::int32_t> ids) const override {
    std::vector<int> known;
    for (const auto id : ids)
      if (!special(checked(id))) known.push_back(id);
    return processor_.DecodeIds(known);
  }

  std::int32_t vocab_size() const override { return processor_.GetPieceSize(); }
  std::int32_t bos_id() const override { return processor_.bos_id(); }
  std::int32_t eos_id() const override { return processor_.eos_id(); }
  std::int32_t pad_id() const override { return processor_.pad_id(); }

  std::string_view piece(std::int32_t id) const override {
    return pieces_[static_cast<std::size_t>(checked(id))];
  }

  void save(const std::filesystem::path& folder) const override {
    write_file_atomically(folder / file_name, bytes_);
  }

private:
  std::vector<std::int32_t> encode_by(const sentencepiece::SentencePieceProcessor& processor,
                                      std::string_view text) const {
    std::vector<int> ids;
    if (!processor.Encode(text, &ids).ok()) throw std::invalid_argument("cannot be tokenised");
    for (const auto id : ids)
      if (id == processor_.unk_id()) throw std::invalid_argument(unknown_in(text));
    return {ids.begin(), ids.end()};
  }

  // Protobuf merges what is laid end to end: `normalizer_spec {add_dummy_prefix: false}`.
  static std::string no_space_in_front() { return {"\x1a\x02\x18\x00", 4}; }

  std::string text_of(std::int32_t id) const {
    if (special(id)) return {};
    if (processor_.IsUnknown(id)) return processor_.DecodeIds(std::vector<int>{id});
    if (processor_.IsByte(id)) // "<0x0A>"
      return {static_cast<char>(std::stoi(processor_.IdToPiece(id).substr(3, 2), nullptr, 16))};
    return with_spaces(processor_.IdToPiece(id));
  }

  bool special(std::int32_t id) const { return processor_.IsControl(id) || id == pad_id(); }

  std::int32_t checked(std::int32_t id) const {
    if (id < 0 || id >= vocab_size())
      throw std::out_of_range("token " + std::to_string(id) + " is outside the vocabulary of "
                              + std::to_string(vocab_size()));
    return id;
  }

  // SentencePiece writes a space as U+2581.
  static std::string with_spaces(std::string piece) {
    constexpr std::string_view mark = "\xe2\x96\x81";
    for (auto at = piece.find(mark); at != std::string::npos; at = piece.find(mark, at))
      piece.replace(at, mark.size(), " ");
    return piece;
  }

  std::string unknown_in(std::string_view text) const {
    std::vector<std::string> pieces;
    (void)processor_.Encode(text, &pieces);
    for (const auto& piece : pieces)
      if (processor_.PieceToId(piece) == processor_.unk_id())
        return "the vocabulary cannot express '" + with_spaces(piece) + "'";
    return "the vocabulary cannot express the text";
  }

  std::string bytes_;
  sentencepiece::SentencePieceProcessor processor_;
  sentencepiece::SentencePieceProcessor continuing_; ///< the same, for text that follows other text
  std::vector<std::string> pieces_;                  ///< by id
};

} // namespace

std::shared_ptr<const tokenizer> load_sentencepiece_tokenizer(const std::filesystem::path& folder) {
  const auto file = folder / file_name;
  auto bytes = read_file(file);
  try {
    return std::make_shared<sentencepiece_tokenizer>(std::move(bytes));
  } catch (const std::runtime_error& why) {
    throw bad_checkpoint(file.string() + ": " + why.what() + "; restore it from the checkpoint");
  }
}

} // namespace banyan
