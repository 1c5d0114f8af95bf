#pragma once

#include "gpu_pool/engine.hpp"
#include "gpu_pool/scripted_evaluator.hpp"
#include "model/tokenizer.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace banyan {

/// Token 0 ends a sequence and has no text; token n is the n-th letter, cyclic.
struct letters : tokenizer {
  std::vector<std::int32_t> encode(std::string_view text) const override {
    std::vector<std::int32_t> ids;
    for (char c : text) ids.push_back(c - 'a' + 1);
    return ids;
  }
  std::string decode(std::span<const std::int32_t> ids) const override {
    std::string text;
    for (auto id : ids) text += piece(id);
    return text;
  }
  std::int32_t vocab_size() const override { return 40; }
  std::int32_t bos_id() const override { return -1; }
  std::int32_t eos_id() const override { return 0; }
  std::int32_t pad_id() const override { return -1; }
  std::string_view piece(std::int32_t id) const override {
    constexpr std::string_view alphabet = "abcdefghijklmnopqrstuvwxyz";
    return id == 0 ? "" : alphabet.substr(static_cast<std::size_t>(id - 1) % 26, 1);
  }
  void save(const std::filesystem::path&) const override {}
};

inline model_config letters_model() {
  model_config model;
  model.vocab_size = letters{}.vocab_size();
  model.eos_id = letters{}.eos_id();
  model.max_positions = 1024;
  return model;
}

/// Tokens that no other begin yields: a text of its own for each test and thread.
inline std::vector<std::int32_t> some_text(std::uint32_t which, std::size_t length) {
  std::vector<std::int32_t> ids(length);
  for (auto& id : ids) {
    which = which * 1664525u + 1013904223u;
    id = static_cast<std::int32_t>(1 + (which >> 16) % 39);
  }
  return ids;
}

inline std::vector<std::int32_t> operator+(std::vector<std::int32_t> a,
                                           const std::vector<std::int32_t>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// A random evaluator whose weights are a number: that of the folder's name. It starts with those
/// of epoch 0.
struct reseeded_evaluator : random_evaluator {
  using random_evaluator::random_evaluator;
  void load(std::uint32_t epoch, const std::filesystem::path& folder) override {
    try {
      seeds[epoch] = std::stoull(folder.filename().string());
    } catch (const std::exception&) {
      throw bad_checkpoint(folder.string() + ": not a number");
    }
  }
  void forget(std::uint32_t epoch) override { seeds.erase(epoch); }
  void use(std::uint32_t epoch) override {
    seed_ = seeds.at(epoch);
    used.push_back(epoch);
  }

  std::map<std::uint32_t, std::uint64_t> seeds{{0, seed_}};
  std::vector<std::uint32_t> used; // by each run
};

/// A pool without its actor, over random logits unless told otherwise. The cache's books are
/// checked at the end of every test.
struct plain_pool {
  struct options {
    std::int32_t num_blocks = 1024;
    scheduler_options scheduling{.block_size = 4};
    model_config model = letters_model();
    std::uint64_t seed = 1;
  };

  explicit plain_pool(options o) : plain_pool(o, over_random(o)) {}
  plain_pool() : plain_pool(options{}) {}
  plain_pool(options o, std::unique_ptr<evaluator> device)
      : own(o),
        work(o.scheduling, o.num_blocks, o.model, std::make_shared<letters>()),
        device(std::move(device), o.scheduling.block_size) {}

  ~plain_pool() { CHECK(work.check().value_or("in order") == "in order"); }

  static std::unique_ptr<evaluator> over_random(const options& o) {
    return std::make_unique<reseeded_evaluator>(o.seed, o.num_blocks, o.scheduling.block_size,
                                                static_cast<std::int32_t>(o.model.vocab_size));
  }

  std::uint64_t submit(decode_request request) {
    const auto id = next_id++;
    REQUIRE(work.submit(id, std::move(request)) == errc::none);
    return id;
  }

  /// One step; returns the tokens that went through the model.
  std::size_t step() {
    const auto lanes = work.next();
    std::size_t num_tokens = 0;
    for (auto& lane : lanes) num_tokens += lane.num_tokens;
    widest = std::max(widest, lanes.size());
    for (auto& [id, reply, failure, epoch] : work.accept(device.run(lanes))) {
      CHECK(failure == errc::none);
      order.push_back(id);
      replies.emplace(id, std::move(reply));
    }
    return num_tokens;
  }

  /// All steps until nothing is left to do; returns the tokens that went through the model.
  std::size_t run() {
    std::size_t num_tokens = 0;
    while (!work.idle()) num_tokens += step();
    return num_tokens;
  }

  decode_reply ask(decode_request request) {
    const auto id = submit(std::move(request));
    run();
    return replies.at(id);
  }

  /// Publishes the weights `seed`.
  void renew(std::uint32_t epoch, std::uint64_t seed) {
    device.device().load(epoch, std::to_string(seed));
    work.renew(epoch);
  }

  /// What a sequence says when it is computed token by token, without cache, batch or scheduler.
  std::vector<std::int32_t> alone(const decode_request& request) const {
    return alone(request, own.seed);
  }

  /// The same under other weights.
  std::vector<std::int32_t> alone(const decode_request& request, std::uint64_t seed) const {
    const random_evaluator model(seed, 1, 1, static_cast<std::int32_t>(own.model.vocab_size));
    const auto& o = request.sampling;
    const sampler_options sampling{.temperature = o.temperature,
                                   .top_k = o.top_k,
                                   .top_p = o.top_p,
                                   .min_p = o.min_p,
                                   .seed = o.seed};
    auto ids = request.ids;
    const auto prompt_size = ids.size();
    do {
      const auto logits = model.logits_after(ids);
      ids.push_back(
          banyan::sample(logits, sampling, thread_key(request.thread), ids.size(), request.ban).id);
    } while (ids.back() != 0 && ids.size() - prompt_size != request.max_tokens
             && ids.size() < static_cast<std::size_t>(own.model.max_positions));
    return {ids.begin() + static_cast<std::ptrdiff_t>(prompt_size), ids.end()};
  }

  std::size_t blocks_obtainable() const {
    return work.cache().blocks().num_free() + work.cache().blocks().num_idle();
  }

  options own;
  scheduler work;
  engine device;
  std::uint64_t next_id = 0;
  std::size_t widest = 0;
  std::vector<std::uint64_t> order; // in which requests ended
  std::map<std::uint64_t, decode_reply> replies;
};

} // namespace banyan
