// What a switch of weights costs a pool that decodes.

#include "actors/messages.hpp"
#include "actors/system.hpp"
#include "apps/compute.hpp"
#include "bench/bench_options.hpp"
#include "gpu_pool/pool.hpp"
#include "model/checkpoint.hpp"
#include "model/tokenizer.hpp"
#include "model/transformer.hpp"
#include "model/weights.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <random>
#include <string>
#include <vector>

#include <ATen/Parallel.h>
#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/stateful_actor.hpp>

using namespace banyan;

namespace {

struct bench_options {
  std::string model;
  std::size_t batch = 64, publishes = 200;
  double pinned = 0;
  pool_options pool;
};

double ms_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin)
      .count();
}

/// Sixty-four tokens to begin with, and as many to write as keep the batch full and mixed.
decode_request request_for(std::size_t thread, const bench_options& o, const model_config& model,
                           std::uint32_t epoch) {
  std::mt19937 random(static_cast<unsigned>(thread));
  decode_request request;
  request.family = thread / 8; // trees of eight threads
  request.thread = "/" + std::to_string(thread % 8);
  for (int i = 0; i < 64; ++i)
    request.ids.push_back(
        static_cast<std::int32_t>(random() % static_cast<unsigned>(model.vocab_size)));
  request.max_tokens = static_cast<std::uint32_t>(64 + random() % 128);
  request.ban = {model.eos_id};
  request.keep_lease = false;
  if (static_cast<double>(random() % 1000) < 1000 * o.pinned) request.weights_epoch = epoch;
  return request;
}

/// Keeps as many requests at the pool as its batch takes, until it is told to stop.
struct client_state {
  explicit client_state(caf::stateful_actor<client_state>* self) : self(self) {}

  void ask() {
    ++open;
    self->request(pool, caf::infinite, request_for(next++, options, model, epoch))
        .then([this](const decode_reply&) { go_on(); },
              [this](const caf::error&) { go_on(); }); // pinned to weights that are gone
  }

  void go_on() {
    if (!over) ask();
    if (--open == 0) self->quit();
  }

  caf::stateful_actor<client_state>* self;
  pool_actor pool;
  bench_options options;
  model_config model;
  std::size_t next = 0, open = 0;
  std::uint32_t epoch = 0;
  bool over = false;
};

caf::behavior client(caf::stateful_actor<client_state>* self, pool_actor pool,
                     bench_options options, model_config model) {
  auto& state = self->state;
  state.pool = std::move(pool);
  state.options = std::move(options);
  state.model = std::move(model);
  for (std::size_t i = 0; i < state.options.batch; ++i) state.ask();
  return {[&state](const weights_taken& newest) { state.epoch = newest.epoch; },
          [&state](atom::cancel) { state.over = true; }};
}

struct times {
  std::vector<double> publish, swap, reply, leave; // ms
};

void print(const char* what, std::vector<double> values) {
  std::ranges::sort(values);
  const auto at = [&](double share) {
    return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
  };
  std::printf("%-44s p50 %8.4f   p99 %8.4f   max %8.4f ms\n", what, at(0.5), at(0.99),
              values.back());
}

times run(const bench_options& o, const checkpoint& model) {
  caf::actor_system_config config;
  configure(config, 1);
  caf::actor_system system(config);
  auto pool = spawn_pool(system, o.pool, model);
  caf::scoped_actor self(system);
  const auto fail = [](const caf::error&) { throw std::runtime_error("the pool did not answer"); };
  auto load = system.spawn(client, pool, o, model.config);
  pool_status before, after;
  const auto look = [&](pool_status& into) {
    self->request(pool, caf::infinite, atom::status::value)
        .receive([&](pool_status& s) { into = std::move(s); }, fail);
  };
  do look(before);
  while (before.steps < 20);
  times all;
  auto own = copy_weights(*model.weights, o.pool.precision, o.pool.device);
  std::shared_ptr<const transformer> older;
  for (std::uint32_t epoch = 1; epoch <= o.publishes; ++epoch) {
    auto begin = std::chrono::steady_clock::now();
    auto weights = std::make_shared<model_weights>(share_weights(own));
    auto next = older ? std::make_shared<transformer>(std::move(weights), *older)
                      : std::make_shared<transformer>(std::move(weights));
    next->prepare();
    older = next;
    all.publish.push_back(ms_since(begin));
    begin = std::chrono::steady_clock::now();
    self->request(pool, caf::infinite, weights_ready{epoch, std::move(next), ""})
        .receive([&](const weights_taken& taken) { all.swap.push_back(taken.swap_ms); }, fail);
    all.reply.push_back(ms_since(begin));
    begin = std::chrono::steady_clock::now();
    leave_shared_memory(own);
    all.leave.push_back(ms_since(begin));
    caf::anon_send(load, weights_taken{epoch, 0});
  }
  look(after);
  const auto steps = static_cast<double>(after.steps - before.steps);
  std::printf("%zu switches in %.0f steps of %.3f ms and %.1f sequences\n", o.publishes, steps,
              1000 * (after.busy_s - before.busy_s) / steps,
              static_cast<double>(after.batch_sizes.sum - before.batch_sizes.sum) / steps);
  caf::anon_send(load, atom::cancel::value);
  self->wait_for(load);
  caf::anon_send_exit(pool, caf::exit_reason::user_shutdown);
  return all;
}

bench_options parse(int argc, char** argv) {
  bench_options o;
  auto list = bench_options_of(
      "publish_bench", "[options]",
      "What a switch of weights costs a pool that decodes: while it has a full batch, a publisher\n"
      "does as a trainer does, again and again: it hands its weights out, makes them ready, sends\n"
      "them, and before it would learn on it moves to memory of its own.");
  list.text("model", o.model, "DIR", "checkpoint; default: random weights of the shipped shape");
  list.number("batch", o.batch, "threads that decode at a time", positive);
  list.number("publishes", o.publishes, "so many switches", positive);
  list.number(
      "pinned", o.pinned,
      "share of the threads that stay with the weights that are the newest when they begin, so "
      "that steps have many epochs",
      share);
  declare_device(list, o.pool.device, "where to decode");
  declare_dtype(list, "dtype", o.pool.precision, "of weights and cache");
  list.number("os-threads", o.pool.os_threads, "for the CPU; 0: one per core", os_threads);
  read_words(list, argc, argv);
  o.pool.scheduling.max_batch = o.batch;
  return o;
}

} // namespace

int main(int argc, char** argv) try {
  const auto options = parse(argc, argv);
  at::set_num_threads(1); // of the publisher
  keep_freed_memory();    // as the training commands do
  const auto measured =
      run(options, model_to_measure(options.model, options.pool.precision, options.pool.device));
  print("publisher: handing out and making ready", measured.publish);
  print("publisher: from request to reply", measured.reply);
  print("publisher: to memory of its own, before it learns", measured.leave);
  print("pool: the switch (swap_ms)", measured.swap);
} catch (...) {
  return told_failure("publish_bench");
}
