#include "apps/train_options.hpp"

#include "apps/json_list.hpp"
#include "apps/terminal.hpp"
#include "model/checkpoint.hpp"
#include "trainer/run_folder.hpp"

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

void declare_run(option_list& list, train_options& o) {
  auto& s = o.sft;
  list.group("The run");
  list.path("out", s.out, "DIR", "folder of the run");
  list.number("steps", s.steps, "optimiser steps in all", positive);
  list.number("minutes", s.minutes, "time in all, instead of steps; 0: steps count", not_negative);
  list.flag("resume", o.resume, "go on from the last checkpoint in --out").not_kept();
  list.path("model", o.model, "DIR", "checkpoint to start from, instead of random weights");
  list.number("seed", o.seed, "of weights, problems and demonstrations");
  declare_device(list, s.device, "where to train");
  declare_dtype(list, "dtype", s.compute, "of matrix products; weights stay in float32");
  list.number("threads", o.threads, "OS threads for the CPU; 0: one per core", os_threads);
  list.number("checkpoint-every", s.checkpoint_every, "steps; 0: only at the end", not_negative);
  list.number("keep", s.keep, "checkpoints kept", positive);
  list.number("log-every", s.log_every, "steps of which one is shown; log.jsonl has every one",
              positive);
  list.number("max-bad-steps", s.max_bad_steps,
              "steps in a row whose loss or gradient is not finite, before the run ends", positive);
}

void declare_data(option_list& list, train_options& o) {
  auto& c = o.sft.curriculum;
  list.group("What is held out, and what is learnt");
  list.text("evaluate-problems", o.evaluate_problems, "FILE",
            "problems to evaluate on; never trained on");
  list.number("evaluate-every", o.sft.evaluate_every, "steps; 0: never", not_negative);
  list.texts("exclude", o.exclude, "FILE", "problems that are never trained on");
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

void check(const train_options& o) {
  if (o.sft.out.empty())
    throw bad_usage("--out", "the folder of the run is missing", "give --out DIR");
  refuse_standard_input("--evaluate-problems", o.evaluate_problems);
  for (const auto& file : o.exclude) refuse_standard_input("--exclude", file);
  for (const auto& file : o.traces) refuse_standard_input("--traces", file);
  if (o.sft.evaluate_every > 0 && o.evaluate_problems.empty())
    throw bad_usage("--evaluate-every", "there are no problems to evaluate on",
                    "give --evaluate-problems FILE");
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

void refuse_standard_input(const std::string& option, const fs::path& given) {
  if (given == "-")
    throw bad_usage(option, "a run that is resumed reads it again, and standard input is gone then",
                    "give a file");
}

constexpr limits below_one{0, 0.999999}; ///< at 1 an average takes nothing in

void declare_optimizer(option_list& list, schedule_options& s, optimizer_options& u) {
  list.group("Optimiser");
  list.choice("optimizer", u.kind,
              {{"muon", optimizer_kind::muon}, {"adamw", optimizer_kind::adamw}},
              "of the matrices; the rest is AdamW's");
  list.number("rate", s.rate, "learning rate after the warm-up", limits{0, 10});
  list.number("warmup", s.warmup, "steps from 0 to the rate", not_negative);
  list.choice(
      "decay", s.decay,
      {{"none", decay_kind::none}, {"linear", decay_kind::linear}, {"cosine", decay_kind::cosine}},
      "how the rate falls to 0");
  list.number("decay-start", s.decay_start, "share of the run after which it falls", share);
  list.number("embedding-rate", u.embedding_rate, "of the embedding, as a share of the rate",
              in_float32);
  list.number("momentum", u.momentum, "Muon's", below_one);
  list.number("newton-schulz-steps", u.newton_schulz_steps, "Muon's", positive);
  list.number("muon-decay", u.muon_decay, "weight decay where Muon updates", in_float32);
  declare_dtype(list, "muon-dtype", u.compute, "of Muon's matrix products");
  list.number("beta1", u.beta1, "AdamW's", below_one);
  list.number("beta2", u.beta2, "AdamW's", below_one);
  list.number("epsilon", u.epsilon, "AdamW's", in_float32);
  list.number("adamw-decay", u.adamw_decay, "weight decay where AdamW updates", in_float32);
  list.number("clip", u.clip_norm, "largest norm of the gradient; 0: any", in_float32);
}

namespace {

/// A config that lost lines would leave the rest to the defaults in silence.
std::string end_of_config(std::string_view config) {
  std::size_t lines = 0;
  for (; !config.empty(); config.remove_prefix(std::min(config.find('\n'), config.size() - 1) + 1))
    lines += !config.starts_with('#') && !config.starts_with('\n');
  return "# These are all options of the run: " + std::to_string(lines) + " lines.\n";
}

/// Runs that were begun before it counted lines end so.
constexpr std::string_view uncounted_end = "# These are all options of the run.\n";

constexpr std::string_view begin_of_config = "# A run of `banyan ";

/// Runs that were begun before their config said of which kind they are find it out by an option.
void require_same_kind(const option_list& list, std::string_view config, const fs::path& out) {
  if (!config.starts_with(begin_of_config) || config.starts_with(head_of_config(list))) return;
  config.remove_prefix(begin_of_config.size());
  const std::string theirs(config.substr(0, config.find('`')));
  throw bad_usage(out.string(), "its run is one of `banyan " + theirs + "`",
                  "go on with `banyan " + theirs + " --out " + shell_word(out.string())
                      + " --resume`");
}

/// The command after which a run whose `last` leads nowhere can go on.
std::string way_back(const fs::path& last, const std::string& aside = {}) {
  const auto out = last.parent_path();
  const auto newest = newest_whole_checkpoint(out);
  if (newest.empty())
    return checkpoints_left(out) + ", and none that is whole: begin a run in another --out";
  return checkpoints_left(out) + ": `" + aside + "ln -sfn " + newest + " " + last.string()
         + "` lets the run go on from there";
}

/// Some ways of copying a run make a folder of the link: it cannot lead to the next checkpoint.
std::string way_back_from_copy(const fs::path& last) {
  const auto step = step_of_checkpoint(last);
  if (!step || fs::exists(last.parent_path() / checkpoint_name(*step)))
    return way_back(last, "mv " + last.string() + " " + last.string() + ".copy && ");
  const auto name = checkpoint_name(*step);
  return "it is whole: `mv " + last.string() + " " + (last.parent_path() / name).string()
         + " && ln -s " + name + " " + last.string() + "` lets the run go on from there";
}

void require_begun(const fs::path& out) {
  if (out.empty()) return;
  const auto last = out / "last";
  if (!holds_run(out))
    throw bad_environment(out.string(), "there is nothing to resume in it",
                          "begin without --resume");
  const bool is_link = fs::is_symlink(last);
  if (is_link && fs::is_directory(last)) return;
  if (is_link)
    throw bad_environment(last.string(),
                          "it leads to " + fs::read_symlink(last).string() + ", which is gone",
                          way_back(last));
  if (fs::exists(last))
    throw bad_environment(last.string(), "it is no link to a checkpoint, as it should be",
                          way_back_from_copy(last));
  throw bad_environment(last.string(), "the link to the newest checkpoint is missing",
                        way_back(last));
}

std::string read_kept_config(option_list& list, const fs::path& out) {
  if (out.empty()) return {};
  require_begun(out);
  const auto kept = out / "train.conf";
  constexpr auto remedy = "give the options of the run by --config FILE";
  if (!fs::exists(kept)) throw bad_environment(kept.string(), "it is missing", remedy);
  const auto text = read_text(kept);
  if (!text.ends_with(uncounted_end) && !text.ends_with(end_of_config(text)))
    throw bad_environment(kept.string(), "it is damaged: lines of it are missing", remedy);
  require_same_kind(list, text, out);
  try {
    list.read_config_text(text, kept.string());
  } catch (const bad_usage& why) { // nobody but this program has written it
    throw bad_environment(std::string(why.what()) + ", or " + remedy);
  }
  return text;
}

} // namespace

std::string head_of_config(const option_list& list) {
  return std::string(begin_of_config) + list.command() + "`\n";
}

void keep_run_config(const fs::path& out, const std::string& config) {
  write_file_atomically(out / "train.conf", config + "\n" + end_of_config(config));
}

void make_absolute(fs::path& path) {
  if (!path.empty()) path = fs::absolute(path).lexically_normal();
}

void make_absolute(std::string& path) {
  if (!path.empty()) path = fs::absolute(path).lexically_normal().string();
}

void make_absolute(std::vector<std::string>& paths) {
  for (auto& path : paths) make_absolute(path);
}

void make_absolute(train_options& o) {
  make_absolute(o.sft.out);
  make_absolute(o.model);
  make_absolute(o.evaluate_problems);
  make_absolute(o.exclude);
  make_absolute(o.traces);
}

resumed_config read_run_config(option_list& list, const common_options& common,
                               const std::filesystem::path& out, bool resume, double& minutes) {
  const bool minutes_asked = list.given("minutes"), steps_asked = list.given("steps");
  if (minutes_asked && steps_asked && minutes > 0)
    throw bad_usage("--minutes", "--steps is given too", "give one of the two");
  resumed_config resumed{{}, list.given()};
  if (resume && common.config.empty()) resumed.kept = read_kept_config(list, out);
  read_config(list, common);
  if (!common.config.empty()) resumed.asked = list.given();
  if (resume) require_begun(out);
  if (resume && resumed.kept.empty() && fs::exists(out / "train.conf"))
    resumed.kept = read_text(out / "train.conf");
  // Asking for steps overrules minutes that a config asks for.
  if (steps_asked && !minutes_asked) minutes = 0;
  return resumed;
}

void take_shape(train_options& o, const model_config& of, const fs::path& folder) {
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

train_options::train_options() {
  auto& search = sft.curriculum.search;
  search.beam_low = search.beam_high = 15;
  search.sub_beam_low = search.sub_beam_high = 15;
  search.spawn_probability = 1;
  search.order = node_order::generation;
  search.max_result = 199;
}

option_list declare(train_options& o) {
  option_list list("train sft", "--out DIR [--steps N | --minutes M] [options]", about, examples);
  declare_run(list, o);
  declare_data(list, o);
  declare_optimizer(list, o.sft.schedule, o.sft.optimizer);
  declare_model(list, o.sft.model);
  declare(list, o.common);
  return list;
}

bool parse(option_list& list, train_options& o, std::span<const std::string> words) {
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
