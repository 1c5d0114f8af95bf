#include "apps/problem_run.hpp"

#include "apps/compute.hpp"
#include "model/device.hpp"
#include "model/tokenizer.hpp"
#include "model/weights.hpp"

#include <algorithm>

namespace banyan {

namespace {

/// A tree that was cancelled ends at once, unless a pool is in a very long step.
constexpr auto patience = std::chrono::seconds(2);

using running_trees = std::vector<std::pair<std::size_t, std::string>>;

} // namespace

problem_run_result run_problems(runtime& trees, std::span<const problem> problems,
                                const decoding_options& options, const problem_run_hooks& hooks) {
  using clock = std::chrono::steady_clock;
  const auto begin = clock::now();
  auto next_tick = begin + hooks.tick;
  problem_run_result result;
  running_trees running;
  std::size_t next = 0;
  auto give_up = clock::time_point::max();
  // A few more than run, so that none that ends leaves its place empty.
  const auto ahead = options.concurrency + options.concurrency / 4 + 1;
  while ((next < problems.size() || !running.empty()) && clock::now() < give_up) {
    if (!result.stopped && hooks.stop && hooks.stop()) {
      result.stopped = true;
      give_up = clock::now() + patience;
      next = problems.size();
      trees.cancel_all();
    }
    for (; next < problems.size() && running.size() < ahead; ++next)
      running.emplace_back(next, trees.submit(options.request_for(problems[next])));
    auto done =
        trees.take(std::min<std::chrono::milliseconds>(hooks.tick, std::chrono::milliseconds(50)));
    if (done) {
      const auto i = std::ranges::find(running, done->id, &running_trees::value_type::second);
      const auto index = i->first;
      running.erase(i);
      if (!done->value)
        throw bad_environment(to_string(problems[index]), done->error, "see what was said before");
      if (hooks.on_tree) hooks.on_tree(index, *done->value);
    }
    if (hooks.on_tick && clock::now() >= next_tick) {
      next_tick = clock::now() + hooks.tick;
      hooks.on_tick(running);
    }
  }
  result.wall_s = std::chrono::duration<double>(clock::now() - begin).count();
  return result;
}

evaluation evaluate_weights(const model_weights& weights,
                            std::shared_ptr<const tokenizer> vocabulary,
                            std::span<const problem> problems, const std::string& device,
                            const std::function<bool()>& stop) {
  auto copy = std::make_shared<model_weights>(copy_weights(weights, dtype::float32, device));
  const checkpoint model{weights.config, std::move(vocabulary), std::move(copy)};
  decoding_options options;
  runtime trees({{device, dtype::float32, model}}, {.concurrency = options.concurrency});
  evaluation figures;
  const auto result =
      run_problems(trees, problems, options,
                   {.stop = stop, .on_tree = [&](std::size_t, const tree& t) { figures.add(t); }});
  figures.took(result.wall_s);
  return figures;
}

std::vector<pool_source> load_pools(const std::filesystem::path& folder,
                                    const decoding_options& options) {
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

std::vector<std::int32_t> prompt_begin(const model_choice& chosen, const checkpoint& model) {
  const auto bos = model.vocabulary->bos_id();
  if (chosen.range || bos < 0) return {};
  return {bos};
}

} // namespace banyan
