#pragma once

#include "actors/messages.hpp"
#include "apps/banyan/training.hpp"
#include "apps/common_options.hpp"
#include "apps/terminal.hpp"
#include "model/elapsed.hpp"
#include "trainer/rl.hpp"

#include <chrono>
#include <cstdio>
#include <mutex>
#include <string>

#include <unistd.h>

namespace banyan {

/// How the run goes on, for people or for programs. For several OS threads.
class rl_reporter {
public:
  rl_reporter(const common_options& common, told_lines& told)
      : common_(common), told_(told), line_(common.quiet || common.json) {}

  void operator()(const rl_progress& p) {
    if (common_.json) return told_.tell(to_json(p));
    const std::lock_guard lock(mutex_);
    char text[240];
    std::snprintf(text, sizeof text,
                  "step %lld %s %3.0f%%  reward %.3f, solved %.1f %%, %.1f children, kl %.4f; "
                  "rollouts %.1f s, training %.1f s; %s",
                  static_cast<long long>(p.step), bar(p.progress, 12).c_str(), 100 * p.progress,
                  p.reward_mean, 100 * p.trees.accuracy(), p.trees.children_mean(),
                  p.learnt.sums.terms > 0 ? p.learnt.sums.kl / p.learnt.sums.terms : 0.0,
                  p.around.rollout_s, p.train_s, duration_text(p.elapsed_s).c_str());
    line_.show(last_ = text);
    stands_until_ =
        std::chrono::steady_clock::now()
        + (can_draw_on(STDERR_FILENO) ? std::chrono::seconds(3) : std::chrono::seconds(60));
  }

  /// What a step has come to that takes its time.
  void meanwhile(const rollout_status& now, bool trains) {
    const std::lock_guard lock(mutex_);
    if (std::chrono::steady_clock::now() < stands_until_) return;
    std::string text = trains ? "training; " : "";
    if (!now.open_steps.empty())
      text += "step " + std::to_string(now.open_steps.front() + 1) + ": "
              + counted(now.running, "tree") + " being rolled out, " + std::to_string(now.due)
              + " to come; ";
    if (text.empty()) return;
    stands_until_ =
        std::chrono::steady_clock::now()
        + (can_draw_on(STDERR_FILENO) ? std::chrono::seconds(1) : std::chrono::seconds(60));
    line_.show(text + duration_text(seconds_since(begin_)) + " since the start");
  }

  /// The run is over.
  void finish() {
    const std::lock_guard lock(mutex_);
    line_.finish(last_);
  }

private:
  const common_options& common_;
  told_lines& told_;
  std::mutex mutex_;
  progress_line line_;
  std::string last_; ///< what was said of a step
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point stands_until_ = begin_ + std::chrono::seconds(3);
};

} // namespace banyan
