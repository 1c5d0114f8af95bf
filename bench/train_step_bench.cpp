// Training steps on one batch: the other side of compare_training.py.

#include "apps/compute.hpp"
#include "bench/bench_options.hpp"
#include "bench/flat_trees.hpp"
#include "model/checkpoint.hpp"
#include "model/elapsed.hpp"
#include "model/transformer.hpp"
#include "model/weights.hpp"
#include "trainer/optimizer.hpp"

#include <chrono>
#include <ctime>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <nlohmann/json.hpp>

using namespace banyan;

namespace {

struct bench_options {
  std::string model, sequences, device = "cpu";
  dtype compute = dtype::float32;
  int steps = 10, os_threads = 0;
  double rate = 1e-3;
  bool padded = false;
};

std::vector<training_sequence> read_sequences(const std::string& file) {
  std::vector<training_sequence> all;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    const auto j = nlohmann::json::parse(line);
    all.push_back({j.at("ids"), j.at("positions"), j.at("visible_until"), j.at("targets")});
  }
  if (all.empty()) throw std::runtime_error(file + ": no sequences; write some first");
  return all;
}

bench_options parse(int argc, char** argv) {
  bench_options o;
  auto list = bench_options_of("train_step_bench", "--model DIR --sequences FILE [options]",
                               "Steps of AdamW on one batch; prints one JSON object: seconds, CPU "
                               "seconds and loss of each.");
  list.text("model", o.model, "DIR", "checkpoint");
  list.text("sequences", o.sequences, "FILE",
            "one JSON object a line, as `tree_batch_bench --write` leaves them");
  list.number("steps", o.steps, "in all", positive);
  list.number("rate", o.rate, "learning rate", not_negative);
  list.flag("padded", o.padded, "all sequences as long as the longest");
  declare_device(list, o.device, "where to train");
  declare_dtype(list, "dtype", o.compute, "of matrix products");
  list.number("os-threads", o.os_threads, "for the CPU; 0: one per core", os_threads);
  read_words(list, argc, argv);
  for (const auto& name : {"model", "sequences"})
    if (!list.given(name))
      throw bad_usage("--" + std::string(name), "it is missing", "`--help` says what it is");
  use_threads(o.os_threads);
  keep_freed_memory(); // as the training commands do
  return o;
}

} // namespace

int main(int argc, char** argv) try {
  const auto o = parse(argc, argv);
  const auto from = load_checkpoint(o.model, dtype::float32, "cpu");
  auto weights =
      std::make_shared<model_weights>(copy_weights(*from.weights, dtype::float32, o.device));
  auto sequences = read_sequences(o.sequences);
  if (o.padded) pad(sequences, 0);
  const auto batch = make_batch(sequences);
  const transformer model(weights);
  optimizer update(
      *weights,
      {.kind = optimizer_kind::adamw, .beta2 = 0.999, .embedding_rate = 1, .clip_norm = 1});
  nlohmann::json result{{"tokens", batch.num_tokens()}, {"seconds", nlohmann::json::array()}};
  for (int step = 0; step < o.steps; ++step) {
    const auto begin = std::chrono::steady_clock::now();
    const auto cpu_begin = std::clock();
    const auto on_device = [&](const std::vector<std::int64_t>& values) {
      return at::tensor(values, at::kLong).to(o.device);
    };
    const auto loss =
        at::cross_entropy_loss(model.forward(batch.sequences, on_device(batch.selected), o.compute),
                               on_device(batch.targets));
    loss.backward();
    update.step(o.rate);
    const auto value = loss.item<double>();   // a GPU is done with the loss then, and
    weights->final_norm.sum().item<double>(); // now with the update
    result["seconds"].push_back(seconds_since(begin));
    result["cpu_seconds"].push_back(double(std::clock() - cpu_begin) / CLOCKS_PER_SEC);
    result["losses"].push_back(value);
  }
  std::cout << result << "\n";
} catch (...) {
  return told_failure("train_step_bench");
}
