#include "apps/train_options.hpp"

namespace banyan {

namespace fs = std::filesystem;

void declare_run(option_list& list, train_options& o, run_options& r, const std::string& model) {
  list.group("The run");
  list.path("out", r.out, "DIR", "folder of the run");
  list.path("model", o.model, "DIR", "checkpoint to start from" + model);
  list.number("steps", r.steps, "optimiser steps in all", positive);
  list.number("minutes", r.minutes, "time in all, instead of steps; 0: steps count", not_negative);
  list.flag("resume", o.resume, "go on from the last checkpoint in --out").not_kept();
  list.number("checkpoint-every", r.checkpoint_every, "steps; 0: only at the end", not_negative);
  list.number("keep", r.keep, "checkpoints kept", positive);
  list.number("max-bad-steps", r.max_bad_steps,
              "steps in a row in which something is not finite, before the run ends", positive);
  declare_device(list, r.device, "where to train");
}

void declare_held_out(option_list& list, train_options& o, run_options& r) {
  list.texts("exclude", o.exclude, "FILE", "problems that are never trained on");
  list.text("evaluate-problems", o.evaluate_problems, "FILE",
            "problems to evaluate on, greedily; never trained on");
  list.number("evaluate-every", r.evaluate_every, "steps; 0: never", not_negative);
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
  list.number("muon-decay", u.muon_decay, "weight decay of the matrices, with Muon", in_float32);
  declare_dtype(list, "muon-dtype", u.compute, "of Muon's matrix products");
  list.number("beta1", u.beta1, "AdamW's", below_one);
  list.number("beta2", u.beta2, "AdamW's", below_one);
  list.number("epsilon", u.epsilon, "AdamW's", in_float32);
  list.number("adamw-decay", u.adamw_decay, "weight decay of the matrices, with AdamW", in_float32);
  list.number("clip", u.clip_norm, "largest norm of the gradient; 0: any", in_float32);
}

namespace {

/// What is read from it once is gone.
bool is_stream(const fs::path& given) {
  const auto text = given.string();
  std::error_code unknown;
  const auto kind = fs::status(given, unknown).type();
  return text == "-" || text == "/dev/stdin" || text.starts_with("/dev/fd/")
         || text.starts_with("/proc/") || kind == fs::file_type::fifo
         || kind == fs::file_type::character || kind == fs::file_type::socket;
}

} // namespace

void refuse_stream(const std::string& option, const fs::path& given) {
  if (is_stream(given))
    throw bad_usage(option,
                    "a run that is resumed reads it again, and " + given.string() + " is gone then",
                    "give a file");
}

void check(const train_options& o, const run_options& r) {
  if (r.out.empty()) throw bad_usage("--out", "the folder of the run is missing", "give --out DIR");
  refuse_stream("--evaluate-problems", o.evaluate_problems);
  for (const auto& file : o.exclude) refuse_stream("--exclude", file);
  if (r.evaluate_every > 0 && o.evaluate_problems.empty())
    throw bad_usage("--evaluate-every", "there are no problems to evaluate on",
                    "give --evaluate-problems FILE");
}

/// `..` behind a link leads to where the link leads; the name itself may be a link and stays one.
void make_absolute(fs::path& path) {
  if (path.empty()) return;
  auto whole = fs::absolute(path);
  if (!whole.has_filename()) whole = whole.parent_path(); // runs/a/
  const auto name = whole.filename();
  path = name == ".." || name == "." ? fs::weakly_canonical(whole)
                                     : fs::weakly_canonical(whole.parent_path()) / name;
}

void make_absolute(std::string& path) {
  fs::path whole = path;
  make_absolute(whole);
  path = whole.string();
}

void make_absolute(std::vector<std::string>& paths) {
  for (auto& path : paths) make_absolute(path);
}

void make_absolute(train_options& o, run_options& r) {
  make_absolute(r.out);
  make_absolute(o.model);
  make_absolute(o.evaluate_problems);
  make_absolute(o.exclude);
}

} // namespace banyan
