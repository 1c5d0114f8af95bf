// Trees laid out depth first against the same trees as flat sequences: forward and backward pass,
// same loss, same gradient.
//
// The trees are demonstrations, made with the options that `banyan train sft` has by default; those
// of a file; or what a run of reinforcement learning rolled out. The last are laid out a
// group at a time, too, as that run learns from them: `tree_batch_bench --help`.

#include "apps/compute.hpp"
#include "apps/sft_options.hpp"
#include "apps/trace_file.hpp"
#include "bench/bench_options.hpp"
#include "bench/counting_allocator.hpp"
#include "bench/flat_trees.hpp"
#include "model/checkpoint.hpp"
#include "model/elapsed.hpp"
#include "model/tokenizer.hpp"
#include "model/transformer.hpp"
#include "model/weights.hpp"
#include "solver/problems.hpp"
#include "trainer/batch.hpp"
#include "trainer/rollout_labels.hpp"
#include "trainer/shared_prefix.hpp"
#include "trainer/tree_store.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <nlohmann/json.hpp>

using namespace banyan;

namespace {

struct bench_options {
  std::string model, traces, store, write;
  dtype compute = dtype::float32;
  std::size_t trees = 32, repeats = 7;
  std::int64_t step = 0;
  int numbers = 3, os_threads = 0;
};

/// What goes through the model at once, and what is to be predicted.
struct laid_out {
  sequence_batch sequences;
  std::vector<std::int64_t> rows;    ///< tokens whose logits are wanted
  std::vector<std::int64_t> of_term; ///< [terms] index into `rows`
  std::vector<std::int64_t> targets; ///< [terms]
};

laid_out laid_out_by(const std::vector<training_sequence>& sequences) {
  auto batch = make_batch(sequences);
  laid_out all{std::move(batch.sequences), std::move(batch.selected), {}, std::move(batch.targets)};
  for (std::size_t i = 0; i < all.rows.size(); ++i)
    all.of_term.push_back(static_cast<std::int64_t>(i));
  return all;
}

/// The trees of a problem.
using tree_group = std::vector<std::shared_ptr<const tree>>;

laid_out laid_out_shared(const std::vector<tree_group>& groups) {
  std::vector<shared_sequence> sequences;
  for (const auto& group : groups) {
    std::vector<credited_thread> threads;
    for (const auto& t : group)
      for (const auto& thread : t->threads) threads.push_back({&thread, 0, 1});
    for (auto& s : share_prefixes(threads)) sequences.push_back(std::move(s));
  }
  auto batch = make_policy_batch(sequences);
  laid_out all{std::move(batch.sequences), std::move(batch.rows), std::move(batch.term_rows), {}};
  for (const auto& t : batch.terms) all.targets.push_back(t.target);
  return all;
}

/// One way to lay the trees out, and what it took.
struct layout {
  const char* name;
  std::function<laid_out()> make;
  bool recompute = false;
  std::vector<double> seconds; ///< of each repeat
  double loss = 0;
  at::Tensor gradient; // [weights]
  std::size_t peak = 0;

  /// Of the fastest repeat: what others do on the machine counts least.
  double best() const { return *std::ranges::min_element(seconds); }
};

/// Whole groups of a step, as many as there is room for; a tree that was rolled out twice once.
std::vector<tree_group> rolled_out(const bench_options& o) {
  const tree_store store(o.store, {.read_only = true});
  std::map<std::uint32_t, std::map<std::uint32_t, tree_group::value_type>> found;
  for (const auto& [key, t] : known_rollouts(store, o.step, o.step))
    if (!failed_by_machine(*t)) found[key.group].try_emplace(key.member, t);
  std::vector<tree_group> groups;
  auto room = o.trees;
  for (const auto& [index, members] : found) {
    if (members.size() > room) break;
    room -= members.size();
    auto& group = groups.emplace_back();
    for (const auto& [member, t] : members) group.push_back(t);
  }
  if (groups.empty())
    throw std::runtime_error(o.store + ": no group of rolled out trees is within --trees "
                             + std::to_string(o.trees) + "; give more, or another --step");
  return groups;
}

std::vector<tree> demonstrations(const bench_options& o) {
  if (!o.traces.empty()) {
    auto trees = read_traces({o.traces}, {});
    trees.resize(std::min(trees.size(), o.trees));
    return trees;
  }
  std::vector<tree> trees;
  const auto search = train_sft_options().sft.curriculum.search;
  for (std::uint64_t i = 0; i < o.trees; ++i)
    trees.push_back(
        demonstrate(draw_problem({.num_numbers = o.numbers, .seed = 1}, i, {}), search, i));
  return trees;
}

std::vector<tree_group> make_groups(const bench_options& o) {
  if (!o.store.empty()) return rolled_out(o);
  std::vector<tree_group> groups;
  for (auto& t : demonstrations(o)) groups.push_back({std::make_shared<tree>(std::move(t))});
  return groups;
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
  const auto batch = l.make();
  const auto begin = std::chrono::steady_clock::now();
  const auto logits =
      model.forward(batch.sequences, at::tensor(batch.rows, at::kLong), compute, l.recompute);
  const auto loss =
      at::cross_entropy_loss(logits.index_select(0, at::tensor(batch.of_term, at::kLong)),
                             at::tensor(batch.targets, at::kLong));
  loss.backward();
  l.seconds.push_back(seconds_since(begin));
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
    const auto batch = l.make();
    const auto s = l.best();
    std::printf("%-28s %10zu %10zu %9.1f %10.1f %12.0f %8.1f\n", l.name,
                batch.sequences.starts.size() - 1, batch.sequences.ids.size(), 1000 * s,
                double(num_trees) / s, double(batch.targets.size()) / s, double(l.peak) / 1e6);
  }
  const auto& ours = layouts.front();
  for (const auto& l : layouts) {
    const auto gap = (l.gradient - ours.gradient).norm() / ours.gradient.norm();
    std::printf("%-28s takes %.2f times as long as %s; loss %.7f, gradient differs by %.1e\n",
                l.name, l.best() / ours.best(), ours.name, l.loss, gap.item<double>());
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
  bench_options o;
  auto list = bench_options_of("tree_batch_bench", "[options]",
                               "What a step costs over trees whose threads share what they have in "
                               "common, and over flat\nsequences of the same trees.");
  list.text("model", o.model, "DIR", "checkpoint; default: random weights of the shipped shape");
  list.number("trees", o.trees, "so many at most", positive);
  list.number("numbers", o.numbers, "in the problem of a demonstration", {2, 6});
  list.text("traces", o.traces, "FILE",
            "of trees (.trees, .json, .jsonl), in place of demonstrations made");
  list.text("store", o.store, "FILE",
            "trees.db of `banyan train rl`: whole groups of rolled out trees");
  list.number("step", o.step, "of --store", not_negative);
  list.number("repeats", o.repeats, "of which the fastest counts", positive);
  declare_dtype(list, "dtype", o.compute, "of matrix products");
  list.number("os-threads", o.os_threads, "for the CPU; 0: one per core", os_threads);
  list.text("write", o.write, "DIR",
            "the sequences go to tree.jsonl and flat.jsonl there, for train_step_bench and "
            "compare_training.py, and nothing is measured");
  read_words(list, argc, argv);
  use_threads(o.os_threads);
  keep_freed_memory(); // as the training commands do
  return o;
}

} // namespace

int main(int argc, char** argv) try {
  const auto o = parse(argc, argv);
  const auto model = model_to_measure(o.model, dtype::float32, "cpu");
  const auto leaves = leaves_of(*model.weights);
  for (auto leaf : leaves) leaf.requires_grad_(true);
  const transformer net(model.weights);

  const auto groups = make_groups(o);
  std::size_t num_trees = 0;
  std::vector<training_sequence> trees, flat;
  for (const auto& group : groups)
    for (const auto& t : group) {
      ++num_trees;
      for (auto& s : sequences_of(*t, *model.vocabulary)) {
        for (auto& one : flattened(s)) flat.push_back(std::move(one));
        trees.push_back(std::move(s));
      }
    }
  if (!o.write.empty()) {
    write(std::filesystem::path(o.write) / "tree.jsonl", trees);
    write(std::filesystem::path(o.write) / "flat.jsonl", flat);
    return 0;
  }
  auto padded = flat;
  pad(padded, 0);
  const auto of = [](const auto& sequences) { return [&] { return laid_out_by(sequences); }; };
  std::vector<layout> layouts{
      {.name = "trees", .make = of(trees)},
      {.name = "trees, layers run again", .make = of(trees), .recompute = true},
      {.name = "flat, packed", .make = of(flat)},
      {.name = "flat, padded", .make = of(padded)}};
  if (!o.store.empty())
    layouts.insert(layouts.begin(),
                   {.name = "groups of trees", .make = [&] { return laid_out_shared(groups); }});
  {
    counting_allocator memory;
    for (auto& l : layouts) measure_memory(l, net, leaves, o.compute, memory); // wakes LibTorch up
  }
  for (std::size_t i = 0; i < o.repeats; ++i)
    for (auto& l : layouts) measure(l, net, leaves, o.compute);
  std::printf("%zu trees of %zu problems, %s, %d OS threads\n", num_trees, groups.size(),
              o.compute == dtype::float32 ? "float32" : "bfloat16", at::get_num_threads());
  report(layouts, num_trees);
  if (agree(layouts, o.compute == dtype::float32 ? 1e-5 : 1e-2)) return 0;
  std::cerr << "tree_batch_bench: the layouts do not teach the same\n";
  return 1;
} catch (...) {
  return told_failure("tree_batch_bench");
}
