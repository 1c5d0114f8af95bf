#include "trainer/batch.hpp"

#include "model/tokenizer.hpp"
#include "model/weights.hpp"
#include "solver/search.hpp"
#include "tests/sampled_tree.hpp"
#include "tests/scratch_folder.hpp"
#include "tests/sentencepiece_model.hpp"

#include <ATen/ATen.h>

#include <catch2/catch.hpp>

using namespace banyan;

namespace {

tree spawning_demonstration() {
  search_options o{.beam_low = 15, .beam_high = 15, .sub_beam_low = 15, .sub_beam_high = 15};
  o.spawn_probability = 1;
  o.order = node_order::generation;
  o.max_result = 199;
  return demonstrate({{42, 61, 66}, 47}, o, 0);
}

/// What the thread has to say after each prefix that it sees, one flat sequence per stop.
std::vector<training_sequence> flat_sequences(const thread_record& thread,
                                              const tokenizer& vocabulary) {
  std::vector<training_sequence> all;
  training_sequence context;
  auto extend = [&](training_sequence& s, const std::vector<std::int32_t>& ids, bool sampled) {
    for (auto id : ids) {
      if (!s.ids.empty()) s.targets.push_back(sampled ? id : -1);
      s.positions.push_back(static_cast<std::int32_t>(s.ids.size()));
      s.ids.push_back(id);
      s.visible_until.push_back(visible_always);
    }
  };
  for (std::size_t i = 0; i < thread.segments.size(); ++i) {
    const auto& part = thread.segments[i];
    auto ids = vocabulary.encode(part.text);
    const bool last = i + 1 == thread.segments.size();
    if (part.kind == segment_kind::spawn || last) ids.push_back(vocabulary.eos_id());
    if (part.kind != segment_kind::spawn) {
      extend(context, ids, part.sampled());
      if (!last) continue;
      context.targets.push_back(-1);
      all.push_back(context);
    } else {
      auto stop = context;
      extend(stop, ids, true);
      stop.targets.push_back(-1);
      all.push_back(stop);
      std::fill(context.targets.begin(), context.targets.end(), -1); // learnt with this stop
    }
  }
  return all;
}

/// Summed loss of the batch and the gradient of one weight matrix.
std::pair<double, at::Tensor> loss_and_gradient(const training_batch& batch,
                                                const model_config& c) {
  auto w = std::make_shared<model_weights>(random_weights(c, 3));
  w->layers[0].qkv.requires_grad_(true);
  auto logits = transformer(w).forward(batch.sequences, at::tensor(batch.selected, at::kLong),
                                       dtype::float32);
  auto loss =
      at::cross_entropy_loss(logits, at::tensor(batch.targets, at::kLong), {}, at::Reduction::Sum);
  loss.backward();
  return {loss.item<double>(), w->layers[0].qkv.grad()};
}

} // namespace

TEST_CASE("loss is put on sampled text alone", "[trainer]") {
  const auto vocabulary = countdown_tokenizer();
  const auto demo = spawning_demonstration();
  const auto s = sequence_of(demo.root(), *vocabulary);
  std::string learnt;
  for (auto id : s.targets)
    if (id >= 0) learnt += id == vocabulary->eos_id() ? "|" : vocabulary->piece(id);
  std::string sampled;
  for (std::size_t i = 0; i < demo.root().segments.size(); ++i) {
    const auto& part = demo.root().segments[i];
    if (part.sampled()) sampled += part.text;
    if (part.kind == segment_kind::spawn || i + 1 == demo.root().segments.size()) sampled += "|";
  }
  REQUIRE(demo.root().segments.size() == 5);
  CHECK(learnt == sampled);
}

TEST_CASE("what follows a spawn block neither sees it nor counts its positions", "[trainer]") {
  const auto s = sequence_of(spawning_demonstration().root(), *countdown_tokenizer());
  const auto hidden = std::find_if(s.visible_until.begin(), s.visible_until.end(),
                                   [](auto v) { return v != visible_always; });
  REQUIRE(hidden != s.visible_until.end());
  const auto begin = std::size_t(hidden - s.visible_until.begin()), end = std::size_t(*hidden);
  CHECK(s.positions[end] == s.positions[begin]);
  CHECK(std::all_of(s.visible_until.begin() + std::ptrdiff_t(end), s.visible_until.end(),
                    [](auto v) { return v == visible_always; }));
}

TEST_CASE("a demonstration in an imported vocabulary reads as its text", "[trainer]") {
  const scratch_folder folder;
  folder.write("tokenizer.model", train_sentencepiece("--vocab_size=320 --byte_fallback=true"));
  const auto imported = load_tokenizer(folder.path());
  const auto demonstration = spawning_demonstration();
  const auto s = sequence_of(demonstration.root(), *imported);
  std::vector<std::int32_t> seen;
  for (std::size_t i = 0; i < s.ids.size(); ++i)
    if (s.visible_until[i] == visible_always) seen.push_back(s.ids[i]);
  CHECK(seen.size() < s.ids.size());
  CHECK(imported->decode(seen) == demonstration.root().text());
}

TEST_CASE("a tree laid out once has the loss and gradient of its flat sequences", "[trainer]") {
  const auto vocabulary = countdown_tokenizer();
  const auto demo = spawning_demonstration();
  const auto c = tiny_model(*vocabulary);
  std::vector<training_sequence> flat;
  for (const auto& thread : demo.threads)
    for (auto& s : flat_sequences(thread, *vocabulary)) flat.push_back(std::move(s));
  const auto packed = make_batch(sequences_of(demo, *vocabulary));
  const auto unpacked = make_batch(flat);
  REQUIRE(packed.num_tokens() < unpacked.num_tokens());
  REQUIRE(packed.targets.size() == unpacked.targets.size());
  const auto [loss, gradient] = loss_and_gradient(packed, c);
  const auto [flat_loss, flat_gradient] = loss_and_gradient(unpacked, c);
  CHECK(loss == Approx(flat_loss).epsilon(1e-5));
  CHECK((gradient - flat_gradient).abs().max().item<double>()
        < 1e-4 * flat_gradient.abs().max().item<double>());
}
