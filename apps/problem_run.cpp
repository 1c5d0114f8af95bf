#include "apps/problem_run.hpp"

#include "apps/compute.hpp"
#include "apps/gap_sample.hpp"
#include "apps/interrupt.hpp"
#include "model/device.hpp"
#include "model/elapsed.hpp"
#include "model/tokenizer.hpp"
#include "model/transformer.hpp"
#include "model/weights.hpp"

#include <algorithm>
#include <map>

namespace banyan {

namespace {

/// A tree that was cancelled ends at once, unless a pool is in a very long step.
constexpr auto patience = std::chrono::seconds(2);

using running_trees = std::vector<std::pair<std::size_t, std::string>>;

/// Trees end in any order and are told in that of their problems: so output can be compared.
class in_order {
public:
  explicit in_order(const problem_run_hooks& hooks) : hooks_(hooks) {}

  void add(std::size_t index, std::shared_ptr<const tree> t) {
    waiting_.emplace(index, std::move(t));
    while (!waiting_.empty() && waiting_.begin()->first == due_) tell();
  }

  /// Tells what still waits for an earlier one that will not come.
  void flush() {
    while (!waiting_.empty()) tell();
  }

private:
  void tell() {
    const auto [index, t] = *waiting_.begin();
    waiting_.erase(waiting_.begin());
    due_ = index + 1;
    if (hooks_.on_tree) hooks_.on_tree(index, *t);
  }

  const problem_run_hooks& hooks_;
  std::map<std::size_t, std::shared_ptr<const tree>> waiting_;
  std::size_t due_ = 0;
};

} // namespace

problem_run_result run_problems(runtime& trees, std::span<const problem> problems,
                                const decoding_options& options, const problem_run_hooks& hooks) {
  return run_requests(
      trees, problems.size(),
      [&](std::size_t index) { return options.request_for(problems[index]); }, options.concurrency,
      hooks);
}

problem_run_result run_requests(runtime& trees, std::size_t count,
                                const std::function<solve_request(std::size_t)>& request,
                                std::size_t concurrency, const problem_run_hooks& hooks) {
  using clock = std::chrono::steady_clock;
  const auto begin = clock::now();
  auto next_tick = begin;
  problem_run_result result;
  running_trees running;
  in_order finished(hooks);
  std::size_t next = 0;
  auto give_up = clock::time_point::max();
  // A few more than run, so that none that ends leaves its place empty.
  const auto ahead = concurrency + concurrency / 4 + 1;
  while ((next < count || !running.empty()) && clock::now() < give_up) {
    if (!result.stopped && hooks.stop && hooks.stop()) {
      result.stopped = true;
      give_up = clock::now() + patience;
      next = count;
      trees.cancel_all();
    }
    for (; next < count && running.size() < ahead; ++next)
      running.emplace_back(next, trees.submit(request(next)));
    auto done =
        trees.take(std::min<std::chrono::milliseconds>(hooks.tick, std::chrono::milliseconds(50)));
    if (done) {
      const auto i = std::ranges::find(running, done->id, &running_trees::value_type::second);
      const auto index = i->first;
      running.erase(i);
      if (!done->value)
        throw bad_environment(to_string(request(index).problem), done->error,
                              "see what was said before");
      finished.add(index, std::move(done->value));
    }
    if (hooks.on_tick && clock::now() >= next_tick) {
      next_tick = clock::now() + hooks.tick;
      hooks.on_tick(running);
    }
  }
  finished.flush();
  result.wall_s = seconds_since(begin);
  return result;
}

evaluation evaluate_weights(const model_weights& weights,
                            std::shared_ptr<const tokenizer> vocabulary,
                            std::vector<std::int32_t> begin, std::span<const problem> problems,
                            const std::string& device, const std::function<bool()>& stop) {
  auto copy = std::make_shared<model_weights>(copy_weights(weights, dtype::float32, device));
  const checkpoint model{weights.config, std::move(vocabulary), copy};
  decoding_options options;
  runtime trees({{device, dtype::float32, model}},
                {.begin = std::move(begin), .concurrency = options.concurrency});
  evaluation figures;
  gap_sample sample(problems.size());
  const auto look = [&](std::size_t index, const tree& t) {
    figures.add(t);
    sample.add(index, t);
  };
  const auto result = run_problems(trees, problems, options, {.stop = stop, .on_tree = look});
  figures.took(result.wall_s);
  if (!result.stopped)
    figures.found_gap(sample.largest(transformer(copy), *model.vocabulary, options));
  return figures;
}

std::vector<pool_source> load_pools(const std::filesystem::path& folder,
                                    const decoding_options& options) {
  const ends_at_once nothing_begun;
  use_threads(options.threads);
  auto devices = options.devices;
  if (devices.empty()) devices = {"cpu"};
  std::vector<pool_source> sources;
  for (const auto& device : devices) {
    require_device(device);
    sources.push_back(
        {device, options.precision, load_checkpoint(folder, options.precision, device)});
  }
  return sources;
}

std::vector<std::int32_t> prompt_begin(const model_choice& chosen, const tokenizer& vocabulary) {
  const auto bos = vocabulary.bos_id();
  if (chosen.range || bos < 0) return {};
  return {bos};
}

std::unique_ptr<runtime> start_runtime(const model_choice& chosen, const decoding_options& decoding,
                                       const common_options& common) {
  auto pools = load_pools(chosen.folder, decoding);
  runtime_options options;
  options.begin = prompt_begin(chosen, *pools.front().model.vocabulary);
  options.concurrency = decoding.concurrency;
  options.seed = decoding.sampling.seed;
  options.log = [common](std::string_view text) {
    common.log(common_options::level::warning, std::string(text));
  };
  return std::make_unique<runtime>(std::move(pools), std::move(options));
}

} // namespace banyan
