#include "gpu_pool/pool.hpp"

#include "actors/errors.hpp"
#include "actors/messages.hpp"
#include "gpu_pool/engine.hpp"
#include "model/checkpoint.hpp"
#include "model/kv_cache.hpp"
#include "model/sampler.hpp"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <unordered_map>
#include <utility>

#include <caf/actor_clock.hpp>
#include <caf/actor_system.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

namespace banyan {

namespace {

using watching_actor = caf::typed_actor<caf::reacts_to<decode_progress>>;

/// A request that was not answered yet.
struct open_request {
  caf::typed_response_promise<decode_reply> promise;
  caf::actor_addr watcher; ///< hears what is sampled; null for an unwatched thread
  std::size_t told = 0;    ///< tokens that it has heard of
};

struct pool_parts {
  pool_options options;
  banyan::engine engine;
  banyan::scheduler scheduler;
};

struct pool_state {
  static inline const char* name = "banyan.pool";
  explicit pool_state(pool_actor::stateful_pointer<pool_state> self) : self(self) {}

  /// However the pool ends, nobody waits for it: CAF 0.17 drops promises in silence.
  ~pool_state() {
    for (auto& [id, request] : open) request.promise.deliver(caf::error{errc::pool_lost});
  }

  // ---- requests ----

  caf::result<decode_reply> decode(decode_request& request) {
    const auto id = next_id++;
    // Before the promise is made: that takes the sender away.
    auto watcher = request.watched ? caf::actor_cast<caf::actor_addr>(self->current_sender())
                                   : caf::actor_addr{};
    if (const auto refused = parts->scheduler.submit(id, std::move(request)); refused != errc::none)
      return refused;
    auto promise = self->make_response_promise<decode_reply>();
    num_watched += watcher != nullptr;
    open.emplace(id, open_request{promise, std::move(watcher)});
    wake();
    return promise;
  }

  void cancel(const decode_cancel& request) {
    for (auto id : parts->scheduler.cancel(request.family, request.thread))
      answer(id, caf::error{errc::cancelled});
  }

  template <class Answer>
  void answer(std::uint64_t id, Answer&& with) {
    auto request = open.extract(id);
    num_watched -= request.mapped().watcher != nullptr;
    request.mapped().promise.deliver(std::forward<Answer>(with));
  }

  // ---- steps ----

  void wake() {
    if (std::exchange(awake, true)) return;
    self->send(self, atom::step::value);
  }

  void step() {
    const auto begin = std::chrono::steady_clock::now();
    const auto lanes = parts->scheduler.next();
    auto ended = parts->scheduler.accept(parts->engine.run(lanes));
    for (auto& [id, reply] : ended) answer(id, std::move(reply));
    tell_watchers();
    awake = false;
    parts->scheduler.idle() ? rest() : wake();
    busy_s += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }

  /// An idle pool has time to look at its books, but not after every short request.
  void rest() {
    const auto steps = parts->scheduler.counts().steps;
    if (steps < checked_at + 1000) return;
    checked_at = steps;
    if (auto wrong = parts->scheduler.check()) throw std::logic_error(*wrong);
  }

  void tell_watchers() {
    if (num_watched == 0) return;
    const auto now = self->clock().now();
    if (now < last_told + std::chrono::milliseconds(parts->options.progress_ms)) return;
    last_told = now;
    for (auto& [id, request] : open)
      if (request.watcher) tell(id, request);
  }

  void tell(std::uint64_t id, open_request& request) {
    const auto sampled = parts->scheduler.sampled(id);
    if (sampled.size() <= request.told) return;
    const auto news = sampled.subspan(std::exchange(request.told, sampled.size()));
    if (auto watcher = caf::actor_cast<watching_actor>(request.watcher))
      self->send(watcher, decode_progress{{news.begin(), news.end()}});
  }

  // ---- weights and status ----

  void renew(const weights_ready& news) {
    if (news.epoch <= parts->scheduler.epoch())
      return log("weights of epoch " + std::to_string(news.epoch) + " came too late");
    try {
      parts->engine.load(news.path);
      parts->scheduler.renew(news.epoch);
    } catch (const std::exception& why) { // the weights it has are still whole
      log(std::string("keeps its weights: ") + why.what());
    }
  }

  void log(const std::string& line) const {
    if (parts->options.log) parts->options.log(parts->options.name + ": " + line);
  }

  caf::error lose(std::exception_ptr& cause) const {
    try {
      std::rethrow_exception(cause);
    } catch (const std::exception& why) {
      log(std::string("lost: ") + why.what());
    } catch (...) {
      log("lost for an unknown reason");
    }
    return errc::pool_lost;
  }

  pool_status status() const {
    const auto& scheduler = parts->scheduler;
    const auto& counts = scheduler.counts();
    const auto& blocks = scheduler.cache().blocks();
    pool_status now;
    now.name = parts->options.name;
    now.weights_epoch = scheduler.epoch();
    now.queued = scheduler.num_queued();
    now.running = scheduler.num_running();
    now.finished = counts.finished;
    now.failed = counts.failed;
    now.steps = counts.steps;
    now.blocks_total = static_cast<std::uint64_t>(blocks.num_blocks());
    now.blocks_free = blocks.num_free();
    now.blocks_leased = scheduler.cache().leases().num_blocks();
    now.blocks_cached = blocks.num_idle();
    now.prompt_tokens = counts.prompt_tokens;
    now.cached_tokens = counts.cached_tokens;
    now.generated_tokens = counts.generated_tokens;
    now.busy_s = busy_s;
    now.forward_s = parts->engine.forward_s();
    return now;
  }

  pool_actor::stateful_pointer<pool_state> self;
  std::shared_ptr<pool_parts> parts;
  std::unordered_map<std::uint64_t, open_request> open;
  std::uint64_t next_id = 0;
  std::size_t num_watched = 0;
  bool awake = false; ///< a `step` is on its way
  std::uint64_t checked_at = 0;
  caf::actor_clock::time_point last_told{};
  double busy_s = 0;
};

pool_actor::behavior_type pool(pool_actor::stateful_pointer<pool_state> self,
                               std::shared_ptr<pool_parts> parts) {
  auto& state = self->state;
  state.parts = std::move(parts);
  self->set_default_handler(caf::drop);
  self->set_exception_handler([&state](std::exception_ptr& why) { return state.lose(why); });
  return {
      [&state](decode_request& request) { return state.decode(request); },
      [&state](const decode_cancel& request) { state.cancel(request); },
      [&state](const lease_release& r) { state.parts->scheduler.release(r.family, r.thread); },
      [&state](const weights_ready& news) { state.renew(news); },
      [&state](atom::status) { return state.status(); },
      [&state](atom::step) { state.step(); },
  };
}

} // namespace

std::int32_t num_cache_blocks(const pool_options& options, const model_config& model) {
  const auto size = options.scheduling.block_size;
  const auto bytes = kv_cache::block_bytes(model, size, options.precision);
  const auto affordable = static_cast<std::int64_t>(options.cache_bytes) / bytes;
  // A full batch at full length, and as much again for waiting threads and known prefixes.
  const auto useful = 2 * static_cast<std::int64_t>(options.scheduling.max_batch)
                      * ((model.max_positions + size - 1) / size);
  return static_cast<std::int32_t>(std::min(affordable, useful));
}

pool_actor spawn_pool(caf::actor_system& system, pool_options options,
                      std::unique_ptr<evaluator> device, std::int32_t num_blocks,
                      const model_config& model, std::shared_ptr<const tokenizer> vocabulary,
                      bool detached) {
  const auto& scheduling = options.scheduling;
  std::shared_ptr<pool_parts> parts(
      new pool_parts{options, engine(std::move(device), scheduling.block_size),
                     scheduler(scheduling, num_blocks, model, std::move(vocabulary))});
  parts->scheduler.renew(options.weights_epoch);
  return detached ? system.spawn<caf::detached>(pool, std::move(parts))
                  : system.spawn(pool, std::move(parts));
}

pool_actor spawn_pool(caf::actor_system& system, pool_options options, const checkpoint& from,
                      bool detached) {
  const auto num_blocks = num_cache_blocks(options, from.config);
  auto device = make_transformer_evaluator(from, {.device = options.device,
                                                  .precision = options.precision,
                                                  .num_blocks = num_blocks,
                                                  .block_size = options.scheduling.block_size,
                                                  .os_threads = options.os_threads});
  return spawn_pool(system, std::move(options), std::move(device), num_blocks, from.config,
                    from.vocabulary, detached);
}

} // namespace banyan
