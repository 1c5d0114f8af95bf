// Threads and tokens per second through the pool actor.

#include "actors/messages.hpp"
#include "actors/system.hpp"
#include "bench/bench_options.hpp"
#include "gpu_pool/pool.hpp"
#include "model/checkpoint.hpp"
#include "model/elapsed.hpp"
#include "model/tokenizer.hpp"
#include "model/weights.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <random>
#include <string>
#include <vector>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scoped_actor.hpp>
#include <nlohmann/json.hpp>

using namespace banyan;

namespace {

struct bench_options {
  std::string model, prompts;
  std::size_t batch = 64, threads = 256;
  std::uint32_t tokens = 128, prompt = 64;
  float temperature = 0;
  bool json = false;
  pool_options pool;
};

std::vector<std::vector<std::int32_t>> random_prompts(const bench_options& o, std::int64_t vocab) {
  std::mt19937 random(1);
  std::vector<std::vector<std::int32_t>> prompts(o.threads);
  for (auto& prompt : prompts)
    for (std::uint32_t i = 0; i < o.prompt; ++i)
      prompt.push_back(static_cast<std::int32_t>(random() % static_cast<std::uint64_t>(vocab)));
  return prompts;
}

std::vector<std::vector<std::int32_t>> read_prompts(const std::string& file) {
  std::vector<std::vector<std::int32_t>> prompts;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) prompts.push_back(nlohmann::json::parse(line));
  return prompts;
}

/// Above temperature 0 with the ban of every rollout and a stop string like theirs, which is looked
/// for after each token but never comes.
decode_request request_for(std::size_t thread, std::vector<std::int32_t> ids,
                           const bench_options& o, const checkpoint& model) {
  decode_request request;
  request.family = thread / 8; // trees of eight threads
  request.thread = "/" + std::to_string(thread % 8);
  request.ids = std::move(ids);
  request.max_tokens = o.tokens;
  request.ban = {model.config.eos_id}; // everybody writes as much
  request.keep_lease = false;
  if (o.temperature == 0) return request;
  request.sampling = {.temperature = o.temperature, .seed = thread};
  request.ban.push_back(model.vocabulary->encode("<Sub Searches>").front());
  request.stop = {"<End Calling Sub Searches>!"};
  return request;
}

struct measured {
  double wall_s = 0;
  pool_status status;
  std::vector<std::vector<std::int32_t>> sampled;
};

measured run(const bench_options& o, const checkpoint& model,
             const std::vector<std::vector<std::int32_t>>& prompts) {
  caf::actor_system_config config;
  configure(config, 1);
  caf::actor_system system(config);
  auto pool = spawn_pool(system, o.pool, model);
  caf::scoped_actor self(system);
  const auto fail = [](const caf::error&) { throw std::runtime_error("the pool did not answer"); };
  const auto ask = [&](std::size_t thread, std::uint32_t tokens) {
    auto request = request_for(thread, prompts[thread], o, model);
    request.max_tokens = tokens;
    return self->request(pool, caf::infinite, std::move(request));
  };
  ask(0, 4).receive([](const decode_reply&) {}, fail); // wakes LibTorch up

  pool_status before;
  measured result;
  self->request(pool, caf::infinite, atom::status::value)
      .receive([&](pool_status& s) { before = std::move(s); }, fail);
  const auto begin = std::chrono::steady_clock::now();
  std::vector<decltype(ask(0, 0))> asked;
  for (std::size_t thread = 0; thread < prompts.size(); ++thread)
    asked.push_back(ask(thread, o.tokens));
  for (auto& answer : asked)
    answer.receive([&](decode_reply& reply) { result.sampled.push_back(std::move(reply.ids)); },
                   fail);
  result.wall_s = seconds_since(begin);
  self->request(pool, caf::infinite, atom::status::value)
      .receive([&](pool_status& s) { result.status = std::move(s); }, fail);
  result.status.busy_s -= before.busy_s;
  result.status.forward_s -= before.forward_s;
  result.status.steps -= before.steps;
  result.status.generated_tokens -= before.generated_tokens;
  caf::anon_send_exit(pool, caf::exit_reason::user_shutdown);
  return result;
}

void report(const bench_options& o, const measured& m) {
  const auto tokens = static_cast<double>(m.status.generated_tokens);
  const auto steps = static_cast<double>(m.status.steps);
  const auto in_steps = (m.status.busy_s - m.status.forward_s) / m.status.busy_s;
  const auto in_all = (m.wall_s - m.status.forward_s) / m.wall_s;
  if (o.json) {
    std::cout << nlohmann::json{{"wall_s", m.wall_s},
                                {"tokens_per_s", tokens / m.wall_s},
                                {"threads_per_s", static_cast<double>(m.sampled.size()) / m.wall_s},
                                {"overhead", in_all},
                                {"sampled", m.sampled}}
              << "\n";
    return;
  }
  std::printf("%zu threads of %u tokens, %zu at a time, %s\n", m.sampled.size(), o.tokens, o.batch,
              o.pool.device.c_str());
  std::printf("%10.0f tokens/s\n%10.1f threads/s\n", tokens / m.wall_s,
              static_cast<double>(m.sampled.size()) / m.wall_s);
  std::printf("%10.3f ms a step, of which %.3f ms in the forward pass\n",
              1000 * m.status.busy_s / steps, 1000 * m.status.forward_s / steps);
  std::printf("%10.2f %% of a step outside the forward pass; %.2f %% with messages\n",
              100 * in_steps, 100 * in_all);
}

bench_options parse(int argc, char** argv) {
  bench_options o;
  auto list = bench_options_of(
      "pool_bench", "[options]",
      "Threads and tokens per second through the pool actor, and what everything beside the\n"
      "model's forward pass costs.");
  list.text("model", o.model, "DIR", "checkpoint; default: random weights of the shipped shape");
  list.number("batch", o.batch, "threads that decode at a time", positive);
  list.number("threads", o.threads, "in all", positive);
  list.number("tokens", o.tokens, "that each of them samples", positive);
  list.number("prompt", o.prompt, "random tokens before them", positive);
  list.number("temperature", o.temperature, "0: greedy; else with a ban and a stop, as rollouts",
              limits{0, 100});
  list.text("prompts", o.prompts, "FILE",
            "JSON arrays of token ids, one a line, in place of random prompts");
  declare_device(list, o.pool.device, "where to decode");
  declare_dtype(list, "dtype", o.pool.precision, "of weights and cache");
  list.number("os-threads", o.pool.os_threads, "for the CPU; 0: one per core", os_threads);
  list.flag("json", o.json, "one JSON object, which has the sampled ids");
  read_words(list, argc, argv);
  o.pool.scheduling.max_batch = o.batch;
  return o;
}

} // namespace

int main(int argc, char** argv) try {
  const auto options = parse(argc, argv);
  const auto model = model_to_measure(options.model, options.pool.precision, options.pool.device);
  const auto prompts = options.prompts.empty() ? random_prompts(options, model.config.vocab_size)
                                               : read_prompts(options.prompts);
  report(options, run(options, model, prompts));
} catch (...) {
  return told_failure("pool_bench");
}
