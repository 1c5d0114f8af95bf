#include "apps/sft_options.hpp"

#include "apps/run_config.hpp"

#include <array>

namespace banyan {

namespace fs = std::filesystem;

namespace {

constexpr auto about =
    "Trains a model on demonstrations of symbolic search, made on the fly or read from files.\n"
    "Checkpoints in Hugging Face layout, the log (log.jsonl) and the resolved options "
    "(train.conf)\n"
    "go to the folder --out. Ctrl-C writes a checkpoint and ends; --resume goes on from the last "
    "one.";

constexpr auto examples =
    "  banyan train sft --out runs/a --minutes 30           a model for three numbers\n"
    "  banyan train sft --out runs/a --resume               go on after a stop or a crash\n"
    "  banyan train sft --config runs/a/train.conf --out runs/c    the same run once more\n"
    "  banyan train sft --out runs/b --model runs/a/last --rate 1e-3 --minutes 10\n";

void declare_run(option_list& list, train_sft_options& o) {
  auto& s = o.sft;
  declare_run(list, o, s, ", instead of random weights");
  list.number("seed", o.seed, "of weights, problems and demonstrations");
  declare_dtype(list, "dtype", s.compute, "of matrix products; weights stay in float32");
  list.number("threads", o.threads, "OS threads for the CPU; 0: one per core", os_threads);
  list.number("log-every", s.log_every, "steps of which one is shown; log.jsonl has every one",
              positive);
}

void declare_data(option_list& list, train_sft_options& o) {
  auto& c = o.sft.curriculum;
  list.group("What is held out, and what is learnt");
  declare_held_out(list, o, o.sft);
  list.texts(
      "traces", o.traces, "FILE",
      "demonstrations to learn from (.trees, .json, .jsonl) instead of ones made on the fly");
  list.number("numbers", c.num_numbers, "numbers in a problem", limits{2, 6});
  list.range("trees", c.trees_low, c.trees_high, "demonstrations per step, from first to last");
  list.number("drill-steps", c.drill_steps, "steps of arithmetic alone, first", not_negative);
  list.number("drill-rows", c.drill_rows, "rows in a drill step", positive);
  list.number("drill-share", c.drill_share, "share of later steps that are drills", share);
  list.number("pair-share", c.pair_share, "share of drill rows that are two-number searches",
              share);
  list.number("drill-lines", c.drills.lines, "operations in a drill row", positive);
  list.number("drill-max-result", c.drills.max_result, "largest number in a drill",
              limits{99, 9999});
  list.number("drill-plus", c.drills.plus, "weight of + in drills", not_negative);
  list.number("drill-minus", c.drills.minus, "weight of -", not_negative);
  list.number("drill-times", c.drills.times, "weight of *", not_negative);
  list.number("drill-divide", c.drills.divide, "weight of /", not_negative);
  declare(list, c.search);
}

void declare_model(option_list& list, model_config& m) {
  list.group("Model, where it starts from random weights");
  list.number("hidden", m.hidden_size, "width", limits{1, 65536});
  list.number("layers", m.num_layers, "", limits{1, 1024});
  list.number("heads", m.num_heads, "", limits{1, 1024});
  list.number("kv-heads", m.num_kv_heads, "divides --heads", limits{1, 1024});
  list.number("head-dim", m.head_dim, "even", limits{1, 1024});
  list.number("intermediate", m.intermediate_size, "width of the MLP", limits{1, 262144});
  list.number("context", m.max_positions, "tokens", limits{1, 1 << 24});
  list.number("norm-epsilon", m.rms_norm_eps, "RMSNorm's", in_float32);
  list.number("rope-theta", m.rope_theta, "base of the rotary embedding", limits{1, 1e30});
  list.flag("tie-embeddings", m.tie_embeddings, "input and output embedding are one (default)");
}

void check(const train_sft_options& o) {
  check(o, o.sft);
  for (const auto& file : o.traces) refuse_stream("--traces", file);
  const auto& m = o.sft.model;
  if (m.num_heads % m.num_kv_heads != 0)
    throw bad_usage("--kv-heads", "it does not divide --heads",
                    "give a divisor, or --heads itself");
  if (m.head_dim % 2 != 0)
    throw bad_usage("--head-dim", "it is odd", "give an even number: rotary embeddings turn pairs");
  if (o.traces.empty()) check(o.sft.curriculum.search);
  const auto& d = o.sft.curriculum.drills;
  if (d.plus + d.minus + d.times + d.divide <= 0)
    throw bad_usage("--drill-plus", "all four weights are 0", "give one of them a weight");
}

} // namespace

void make_absolute(train_sft_options& o) {
  make_absolute(o, o.sft);
  make_absolute(o.traces);
}

void take_shape(train_sft_options& o, const model_config& of, const fs::path& folder) {
  const auto shape = [](model_config m) {
    option_list list({}, {}, {}, {});
    declare_model(list, m);
    return list.config();
  };
  // Options that say nothing about a shape are in neither text.
  for (const auto& c : changes({shape(of), o.asked}, shape(o.sft.model), {}))
    throw bad_usage("--" + c.name,
                    "it is " + c.now + ", and " + c.before + " of the weights in "
                        + folder.string(),
                    "leave it out");
  o.sft.model = of;
}

train_sft_options::train_sft_options() {
  auto& search = sft.curriculum.search;
  search.beam_low = search.beam_high = 15;
  search.sub_beam_low = search.sub_beam_high = 15;
  search.spawn_probability = 1;
  search.order = node_order::generation;
  search.max_result = 199;
}

option_list declare(train_sft_options& o) {
  option_list list("train sft", "--out DIR [--steps N | --minutes M] [options]", about, examples);
  declare_run(list, o);
  declare_data(list, o);
  declare_optimizer(list, o.sft.schedule, o.sft.optimizer);
  declare_model(list, o.sft.model);
  declare(list, o.common);
  return list;
}

bool parse(option_list& list, train_sft_options& o, std::span<const std::string> words) {
  if (!list.parse(words)) return false;
  const auto resumed = read_run_config(list, o.common, o.sft.out, o.resume, o.sft.minutes);
  o.sft.seed = o.sft.curriculum.seed = o.sft.curriculum.search.seed = o.seed;
  complete(o.sft.curriculum.search, list);
  check(o);
  constexpr std::array<std::string_view, 3> fixed{"model", "optimizer", "seed"};
  o.changed = changes(resumed, resolved_config(list, o), fixed);
  o.asked = resumed.asked;
  return true;
}

} // namespace banyan
