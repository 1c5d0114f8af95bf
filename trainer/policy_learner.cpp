#include "trainer/policy_learner.hpp"

#include "model/device.hpp"
#include "model/transformer.hpp"
#include "model/weights.hpp"
#include "solver/tree.hpp"
#include "trainer/rollout_plan.hpp"
#include "trainer/shared_prefix.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace banyan {

namespace {

/// The threads of a tree that are trained on; weights are those of `token_mean::sequence` for a
/// batch of one tree.
std::vector<credited_thread> credited(const tree& t, double reward, double advantage,
                                      const credit_options& o) {
  std::vector<credited_thread> threads;
  for (const auto* thread : trained_threads(t, reward, o))
    if (thread->generated_tokens() > 0)
      threads.push_back({thread, static_cast<float>(advantage), 0});
  for (auto& c : threads)
    c.weight =
        static_cast<float>(1 / double(threads.size()) / double(c.thread->generated_tokens()));
  return threads;
}

} // namespace

std::vector<shared_sequence> lay_out(std::span<const rollout_group> groups,
                                     const learner_options& options) {
  double trees = 0, tokens = 0;
  std::vector<std::vector<credited_thread>> credits;
  for (const auto& g : groups) {
    const auto advantages = group_advantages(g.rewards, options.credit.divide_by_std);
    auto& threads = credits.emplace_back();
    for (std::size_t i = 0; i < g.trees.size(); ++i, ++trees)
      for (auto& c : credited(*g.trees[i], g.rewards[i], advantages[i], options.credit)) {
        threads.push_back(c);
        tokens += double(c.thread->generated_tokens());
      }
  }
  std::vector<shared_sequence> all;
  for (auto& threads : credits) {
    for (auto& c : threads)
      c.weight = options.mean == token_mean::batch ? static_cast<float>(1 / tokens)
                                                   : c.weight / static_cast<float>(trees);
    // Without a distance to the reference nothing can be learnt where there is no advantage.
    if (options.loss.kl <= 0)
      std::erase_if(threads, [](const auto& c) { return c.advantage == 0; });
    for (auto& s : share_prefixes(threads, options.micro_tokens)) all.push_back(std::move(s));
  }
  return all;
}

namespace {

/// Field `of` of all terms, [terms] float32.
at::Tensor column(std::span<const sampled_term> terms, float sampled_term::*of,
                  const at::Device& device) {
  std::vector<float> values;
  values.reserve(terms.size());
  for (const auto& t : terms) values.push_back(t.*of);
  return at::tensor(values, at::kFloat).to(device);
}

struct scored {
  at::Tensor logprobs; // [terms]
  at::Tensor log_p;    // [rows, vocab], of all tokens
};

} // namespace

struct policy_learner::impl {
  learner_options options;
  run_voice voice;
  std::shared_ptr<model_weights> weights;
  transformer model;
  transformer reference;
  optimizer update;
  bool equals_reference = true;
  bool halved = false;

  // As a step began.
  std::map<std::string, at::Tensor> optimizer_before;
  bool equalled_reference = true;

  // A step.
  double rate = 0;
  std::vector<rollout_group> groups;
  std::vector<shared_sequence> sequences;
  std::vector<std::span<const shared_sequence>> runs;
  std::vector<at::Tensor> old, distant; ///< per run: log π_old, log π_ref [terms]
  std::int64_t inner = 0;
  std::size_t next_run = 0;
  double clipped = 0, clip_terms = 0; ///< terms of all passes
  learn_figures seen;

  impl(learner_options o, std::shared_ptr<model_weights> w, std::shared_ptr<const model_weights> r,
       run_voice v)
      : options(std::move(o)),
        voice(std::move(v)),
        weights(std::move(w)),
        model(weights),
        reference(std::move(r)),
        update(*weights, options.optimizer) {}

  at::Device device() const { return weights->embedding.device(); }

  void begin(std::span<const rollout_group> given, std::uint32_t epoch, double at_rate) {
    remember_optimizer();
    halved = false;
    rate = at_rate;
    groups.assign(given.begin(), given.end());
    seen = {};
    restart();
    double stale = 0, terms = 0;
    for (const auto& s : sequences) {
      for (const auto& t : s.terms) stale += double(epoch - t.epoch);
      terms += double(s.terms.size());
    }
    seen.staleness_mean = terms > 0 ? stale / terms : 0;
  }

  /// In memory that is there from step to step.
  void remember_optimizer() {
    const at::NoGradGuard no_grad;
    for (const auto& [name, value] : update.state()) {
      auto& kept = optimizer_before[name];
      if (!kept.defined()) kept = at::empty_like(value);
      kept.copy_(value);
    }
    equalled_reference = equals_reference;
  }

  void undo(const model_weights& before) {
    const at::NoGradGuard no_grad;
    update.forget_gradients();
    update.restore(optimizer_before);
    equals_reference = equalled_reference;
    const auto then = named_views(before);
    auto mine = named_views(*weights);
    for (std::size_t i = 0; i < mine.size(); ++i) mine[i].value.detach().copy_(then[i].value);
  }

  /// From the beginning, in parts as large as memory is taken to allow.
  void restart() {
    sequences = lay_out(groups, options);
    seen.sequences = sequences.size();
    seen.tokens = seen.flat_tokens = 0;
    for (const auto& s : sequences) {
      seen.tokens += s.length();
      seen.flat_tokens += s.flat_length;
    }
    runs = cut(sequences, options.micro_tokens);
    old.assign(runs.size(), {});
    distant.assign(runs.size(), {});
    inner = 0;
    next_run = 0;
    seen.sums = {};
    seen.grad_norm = seen.clip_share = clipped = clip_terms = 0;
  }

  bool advance() {
    if (runs.empty()) return false;
    if (next_run < runs.size()) {
      try {
        learn(next_run++);
      } catch (const std::exception& why) {
        if (!is_out_of_memory(why)) throw;
        if (!use_less_memory(runs[next_run - 1]))
          throw std::runtime_error(voice.with("memory does not suffice for micro-batches of "
                                                  + std::to_string(options.micro_tokens)
                                                  + " tokens",
                                              remedy::smaller_micro_batches));
      }
      return !seen.skipped();
    }
    const auto norm = update.step(rate);
    if (!std::isfinite(norm)) seen.trouble = not_finite::gradient;
    seen.grad_norm += norm / double(options.inner_steps);
    equals_reference = equals_reference && seen.skipped();
    next_run = 0;
    return !seen.skipped() && ++inner < options.inner_steps;
  }

  /// False: it cannot. Only before the first update, for later ones would have to begin from
  /// weights that are gone. Throws for what no smaller part can be made of.
  bool use_less_memory(std::span<const shared_sequence> too_much) {
    if (halved || inner > 0) return false;
    std::size_t tokens = 0;
    for (const auto& s : too_much) tokens += s.length();
    if (too_much.size() == 1 && too_much.front().num_threads == 1)
      throw std::runtime_error(
          voice.with("memory does not suffice for a thread of " + std::to_string(tokens)
                         + " tokens, which cannot be learnt from in smaller parts",
                     remedy::shorter_threads));
    halved = true;
    options.micro_tokens = std::max<std::size_t>(1, std::min(options.micro_tokens, tokens) / 2);
    voice.say("memory does not suffice: micro-batches of " + std::to_string(options.micro_tokens)
              + " tokens from now on");
    update.forget_gradients();
    restart();
    return true;
  }

  scored score(const transformer& by, const policy_batch& batch, bool recompute) const {
    const auto rows = at::tensor(batch.rows, at::kLong).to(device());
    const auto term_rows = at::tensor(batch.term_rows, at::kLong).to(device());
    std::vector<std::int64_t> ids;
    ids.reserve(batch.terms.size());
    for (const auto& t : batch.terms) ids.push_back(t.target);
    const auto targets = at::tensor(ids, at::kLong).to(device());
    auto logits = by.forward(batch.sequences, rows, options.compute, recompute);
    if (options.temperature != 1) logits = logits / options.temperature;
    const auto all = at::log_softmax(logits, -1); // [rows, vocab]
    const auto vocab = all.size(1);
    return {all.view({-1}).index_select(0, term_rows * vocab + targets), all};
  }

  void learn(std::size_t run) {
    const auto batch = make_policy_batch(runs[run]);
    if (batch.terms.empty()) return;
    const auto now = score(model, batch, options.recompute);
    if (inner == 0) remember(run, batch, now);
    const std::span<const sampled_term> terms(batch.terms);
    const grpo_terms given{column(terms, &sampled_term::logprob, device()),
                           column(terms, &sampled_term::advantage, device()),
                           column(terms, &sampled_term::weight, device())};
    grpo_figures figures;
    auto loss = grpo_loss(now.logprobs, old[run], distant[run], given, options.loss, figures);
    if (!std::isfinite(figures.loss)) {
      seen.trouble = not_finite::loss;
      update.forget_gradients();
      return;
    }
    loss.backward();
    count_clipped(figures);
    if (inner > 0) return;
    figures.entropy = entropy(now.log_p.detach(), batch);
    seen.sums += figures;
  }

  /// In the first pass every ratio is 1.
  void count_clipped(const grpo_figures& figures) {
    clipped += figures.clipped;
    clip_terms += figures.terms;
    seen.clip_share = clipped / clip_terms;
  }

  bool is_learnable() {
    if (sequences.empty()) return true;
    const auto batch = make_policy_batch(std::span(sequences).first(1));
    const auto mean = score(model, batch, options.recompute).logprobs.mean();
    mean.backward();
    const bool good = std::isfinite(mean.item<double>()) && std::isfinite(update.gradient_norm());
    update.forget_gradients();
    return good;
  }

  /// What the first pass over the trees says stands for the whole step.
  void remember(std::size_t run, const policy_batch& batch, const scored& now) {
    const at::NoGradGuard no_grad;
    old[run] = now.logprobs.detach().clone();
    if (options.loss.kl <= 0) return;
    distant[run] = equals_reference ? old[run] : score(reference, batch, false).logprobs;
  }

  double entropy(const at::Tensor& log_p, const policy_batch& batch) const {
    const at::NoGradGuard no_grad;
    const auto of_rows = -(log_p.exp() * log_p).sum(-1); // [rows]
    const auto term_rows = at::tensor(batch.term_rows, at::kLong).to(device());
    return of_rows.index_select(0, term_rows).sum().item<double>();
  }
};

policy_learner::policy_learner(learner_options options, std::shared_ptr<model_weights> weights,
                               std::shared_ptr<const model_weights> reference, run_voice voice)
    : impl_(std::make_unique<impl>(std::move(options), std::move(weights), std::move(reference),
                                   std::move(voice))) {}

policy_learner::~policy_learner() = default;

optimizer& policy_learner::update() { return impl_->update; }

void policy_learner::differ_from_reference() { impl_->equals_reference = false; }

void policy_learner::begin(std::span<const rollout_group> groups, std::uint32_t epoch,
                           double rate) {
  impl_->begin(groups, epoch, rate);
}

bool policy_learner::advance() { return impl_->advance(); }

void policy_learner::undo(const model_weights& before) { impl_->undo(before); }

bool policy_learner::is_learnable() { return impl_->is_learnable(); }

learn_figures policy_learner::figures() const { return impl_->seen; }

} // namespace banyan
