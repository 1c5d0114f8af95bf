// Training steps on one batch, for compare_training.py: reads a checkpoint and sequences (one JSON
// object a line, as tree_batch_bench --write leaves them), does steps of AdamW, and prints one JSON
// object: seconds, CPU seconds and loss of each step.
//
//   train_step_bench --model DIR --sequences FILE [--steps 10] [--rate 1e-3] [--padded]
//   [--os-threads N] [--device cpu] [--dtype float32]

#include "apps/compute.hpp"
#include "bench/flat_trees.hpp"
#include "model/checkpoint.hpp"
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
#include <boost/program_options.hpp>
#include <nlohmann/json.hpp>

using namespace banyan;

namespace {

struct bench_options {
  std::string model, sequences, device = "cpu", precision = "float32";
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
  namespace po = boost::program_options;
  bench_options o;
  po::options_description all;
  all.add_options()("model", po::value(&o.model)->required())(
      "sequences", po::value(&o.sequences)->required())("steps", po::value(&o.steps))(
      "rate", po::value(&o.rate))("padded", po::bool_switch(&o.padded))("os-threads",
                                                                        po::value(&o.os_threads))(
      "device", po::value(&o.device))("dtype", po::value(&o.precision));
  po::variables_map given;
  po::store(po::parse_command_line(argc, argv, all), given);
  po::notify(given);
  use_threads(o.os_threads);
  keep_freed_memory(); // as the training commands do
  return o;
}

} // namespace

int main(int argc, char** argv) try {
  const auto o = parse(argc, argv);
  const auto from = load_checkpoint(o.model, dtype::float32, "cpu");
  const auto compute = o.precision == "bfloat16" ? dtype::bfloat16 : dtype::float32;
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
        at::cross_entropy_loss(model.forward(batch.sequences, on_device(batch.selected), compute),
                               on_device(batch.targets));
    loss.backward();
    update.step(o.rate);
    const auto value = loss.item<double>();   // a GPU is done with the loss then, and
    weights->final_norm.sum().item<double>(); // now with the update
    result["seconds"].push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    result["cpu_seconds"].push_back(double(std::clock() - cpu_begin) / CLOCKS_PER_SEC);
    result["losses"].push_back(value);
  }
  std::cout << result << "\n";
} catch (const std::exception& why) {
  std::cerr << "train_step_bench: " << why.what() << "\n";
  return 2;
}
