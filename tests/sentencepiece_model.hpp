#pragma once

#include <stdexcept>
#include <string>

#include <sentencepiece_trainer.h>

namespace banyan {

class sentences : public sentencepiece::SentenceIterator {
public:
  bool done() const override { return index_ == 50; }
  void Next() override { ++index_; }
  const std::string& value() const override {
    return text_ = "the tree has " + std::to_string(index_) + " threads";
  }
  sentencepiece::util::Status status() const override { return {}; }

private:
  int index_ = 0;
  mutable std::string text_;
};

// A small BPE model in the manner of Llama's.
inline std::string train_sentencepiece(const std::string& more_options) {
  std::string model;
  sentences text;
  const auto status = sentencepiece::SentencePieceTrainer::Train(
      "--model_type=bpe --character_coverage=1 --hard_vocab_limit=false --minloglevel=2 "
      "--remove_extra_whitespaces=false --normalization_rule_name=identity "
          + more_options,
      &text, &model);
  if (!status.ok()) throw std::runtime_error(status.ToString());
  return model;
}

} // namespace banyan
