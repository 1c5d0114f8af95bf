// Trees laid out depth first against the same trees as flat sequences: forward and backward pass,
// same loss, same gradient.
//
//   tree_batch_bench [--model DIR] [--trees 32] [--numbers 3] [--traces FILE] [--repeats 7]
//                    [--dtype float32] [--os-threads N] [--write DIR]
//
// The trees are demonstrations, made with the options that the shipped model was trained with, or,
// with --traces, those of a file (.trees, .json, .jsonl). Without --model: random weights of the
// shipped shape. --write DIR: the sequences go to tree.jsonl and flat.jsonl there, one a line, for
// train_step_bench and compare_training.py.

#include "apps/compute.hpp"
#include "apps/trace_file.hpp"
#include "apps/train_options.hpp"
#include "bench/counting_allocator.hpp"
#include "bench/flat_trees.hpp"
#include "model/checkpoint.hpp"
#include "model/tokenizer.hpp"
#include "model/transformer.hpp"
#include "model/weights.hpp"
#include "trainer/batch.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
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
  std::string model, traces, write, precision = "float32";
  std::size_t trees = 32, repeats = 7;
  int numbers = 3, os_threads = 0;

  dtype compute() const { return precision == "bfloat16" ? dtype::bfloat16 : dtype::float32; }
};

/// One way to lay the trees out, and what it took.
struct layout {
  const char* name;
  std::vector<training_sequence> sequences;
  bool recompute = false;
  std::vector<double> seconds; ///< of each repeat
  double loss = 0;
  at::Tensor gradient; // [weights]
  std::size_t peak = 0;

  /// Of the fastest repeat: what others do on the machine counts least.
  double best() const { return *std::ranges::min_element(seconds); }
};

std::vector<tree> make_trees(const bench_options& o) {
  std::vector<tree> trees;
  if (!o.traces.empty()) {
    trees = read_traces({o.traces}, {});
    trees.resize(std::min(trees.size(), o.trees));
    return trees;
  }
  const auto search = train_options().sft.curriculum.search;
  for (std::uint64_t i = 0; i < o.trees; ++i)
    trees.push_back(
        demonstrate(draw_problem({.num_numbers = o.numbers, .seed = 1}, i, {}), search, i));
  return trees;
}

std::vector<at::Tensor> leaves_of(const model_weights& w) {
  std::vector<at::Tensor> all{w.embedding, w.final_norm};
  for (const auto& l : w.layers)
    for (const auto& part : {l.attention_norm, l.qkv, l.output, l.mlp_norm, l.gate_up, l.down})
      all.push_back(part);
  return all;
}

void measure(layout& l, const transformer& model, const std::vector<at::Tensor>& leaves,
             dtype compute) {
  for (auto leaf : leaves) leaf.mutable_grad().reset();
  const auto batch = make_batch(l.sequences);
  const auto begin = std::chrono::steady_clock::now();
  const auto logits =
      model.forward(batch.sequences, at::tensor(batch.selected, at::kLong), compute, l.recompute);
  const auto loss = at::cross_entropy_loss(logits, at::tensor(batch.targets, at::kLong));
  loss.backward();
  l.seconds.push_back(
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  l.loss = loss.item<double>();
  std::vector<at::Tensor> parts;
  for (const auto& leaf : leaves) parts.push_back(leaf.grad().flatten());
  l.gradient = at::cat(parts);
}

void measure_memory(layout& l, const transformer& model, const std::vector<at::Tensor>& leaves,
                    dtype compute, counting_allocator& memory) {
  for (auto leaf : leaves) leaf.mutable_grad().reset();
  const auto before = memory.bytes();
  memory.reset_peak();
  measure(l, model, leaves, compute);
  l.peak = memory.peak() - before;
  l.seconds.clear();
}

void report(const std::vector<layout>& layouts, std::size_t num_trees) {
  std::printf("%-28s %10s %10s %9s %10s %12s %8s\n", "", "sequences", "tokens", "ms", "trees/s",
              "useful tok/s", "peak MB");
  for (const auto& l : layouts) {
    const auto batch = make_batch(l.sequences);
    const auto s = l.best();
    std::printf("%-28s %10zu %10zu %9.1f %10.1f %12.0f %8.1f\n", l.name, l.sequences.size(),
                batch.num_tokens(), 1000 * s, double(num_trees) / s,
                double(batch.targets.size()) / s, double(l.peak) / 1e6);
  }
  const auto& ours = layouts.front();
  for (const auto& l : layouts) {
    const auto gap = (l.gradient - ours.gradient).norm() / ours.gradient.norm();
    std::printf("%-28s takes %.2f times as long as trees; loss %.7f, gradient differs by %.1e\n",
                l.name, l.best() / ours.best(), l.loss, gap.item<double>());
  }
}

/// Whether all layouts teach the same.
bool agree(const std::vector<layout>& layouts, double tolerance) {
  const auto& first = layouts.front();
  return std::ranges::all_of(layouts, [&](const layout& l) {
    return std::abs(l.loss - first.loss) < tolerance
           && (l.gradient - first.gradient).norm().item<double>()
                  < tolerance * 10 * first.gradient.norm().item<double>();
  });
}

void write(const std::filesystem::path& file, const std::vector<training_sequence>& sequences) {
  std::ofstream out(file);
  for (const auto& s : sequences)
    out << nlohmann::json{{"ids", s.ids},
                          {"positions", s.positions},
                          {"visible_until", s.visible_until},
                          {"targets", s.targets}}
        << "\n";
  if (!out.flush())
    throw std::runtime_error(file.string() + ": cannot be written; give a folder that is there");
}

bench_options parse(int argc, char** argv) {
  namespace po = boost::program_options;
  bench_options o;
  po::options_description all;
  all.add_options()("model", po::value(&o.model))("trees", po::value(&o.trees))(
      "numbers", po::value(&o.numbers))("traces", po::value(&o.traces))(
      "repeats", po::value(&o.repeats))("dtype", po::value(&o.precision))(
      "os-threads", po::value(&o.os_threads))("write", po::value(&o.write));
  po::variables_map given;
  po::store(po::parse_command_line(argc, argv, all), given);
  po::notify(given);
  use_threads(o.os_threads);
  keep_freed_memory(); // as the training commands do
  return o;
}

checkpoint load(const bench_options& o) {
  if (!o.model.empty()) return load_checkpoint(o.model, dtype::float32, "cpu");
  auto vocabulary = countdown_tokenizer();
  model_config c;
  c.vocab_size = vocabulary->vocab_size();
  return {c, vocabulary, std::make_shared<model_weights>(random_weights(c, 1))};
}

} // namespace

int main(int argc, char** argv) try {
  const auto o = parse(argc, argv);
  const auto model = load(o);
  const auto leaves = leaves_of(*model.weights);
  for (auto leaf : leaves) leaf.requires_grad_(true);
  const transformer net(model.weights);

  const auto trees = make_trees(o);
  std::vector<training_sequence> laid_out, flat;
  for (const auto& t : trees)
    for (auto& s : sequences_of(t, *model.vocabulary)) {
      for (auto& one : flattened(s)) flat.push_back(std::move(one));
      laid_out.push_back(std::move(s));
    }
  if (!o.write.empty()) {
    write(std::filesystem::path(o.write) / "tree.jsonl", laid_out);
    write(std::filesystem::path(o.write) / "flat.jsonl", flat);
    return 0;
  }
  auto padded = flat;
  pad(padded, 0);
  std::vector<layout> layouts{
      {.name = "trees", .sequences = laid_out},
      {.name = "trees, layers run again", .sequences = laid_out, .recompute = true},
      {.name = "flat, packed", .sequences = flat},
      {.name = "flat, padded", .sequences = padded}};
  {
    counting_allocator memory;
    for (auto& l : layouts)
      measure_memory(l, net, leaves, o.compute(), memory); // wakes LibTorch up
  }
  for (std::size_t i = 0; i < o.repeats; ++i)
    for (auto& l : layouts) measure(l, net, leaves, o.compute());
  std::printf("%zu trees, %s, %d OS threads\n", trees.size(), o.precision.c_str(),
              at::get_num_threads());
  report(layouts, trees.size());
  if (agree(layouts, o.compute() == dtype::float32 ? 1e-5 : 1e-2)) return 0;
  std::cerr << "tree_batch_bench: the layouts do not teach the same\n";
  return 1;
} catch (const std::exception& why) {
  std::cerr << "tree_batch_bench: " << why.what() << "\n";
  return 2;
}
