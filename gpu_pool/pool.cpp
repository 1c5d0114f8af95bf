#include "gpu_pool/pool.hpp"

#include "actors/errors.hpp"
#include "actors/messages.hpp"
#include "gpu_pool/engine.hpp"
#include "model/checkpoint.hpp"
#include "model/device.hpp"
#include "model/elapsed.hpp"
#include "model/kv_cache.hpp"
#include "model/sampler.hpp"

#include <algorithm>
#include <chrono>
#include <optional>
#include <set>
#include <span>
#include <stdexcept>
#include <tuple>
#include <unordered_map>
#include <utility>

#include <caf/actor_clock.hpp>
#include <caf/actor_system.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

namespace banyan {

namespace {

using watching_actor = caf::typed_actor<caf::reacts_to<decode_progress>>;

using steady_clock = std::chrono::steady_clock;

template <class T>
std::vector<T> from(const std::vector<T>& all, std::size_t first) {
  return {all.begin() + static_cast<std::ptrdiff_t>(first), all.end()};
}

/// A request that was not answered yet.
struct open_request {
  caf::typed_response_promise<decode_reply> promise;
  caf::actor_addr asker;
  std::uint64_t family = 0;
  std::string thread;
  std::size_t told = 0; ///< tokens that it has heard of
  steady_clock::time_point since = steady_clock::now();
};

/// Upper ends for the histograms: 1, 2, 4, … sequences; 0.1 ms to 100 s in steps of √10.
histogram of_batches() { return histogram({1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024}); }
histogram of_seconds() {
  return histogram({1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1, 3, 10, 30, 100});
}

/// For memory, before the smallest step is tried again: each wait is twice as long as the one
/// before, together they are 10 s.
constexpr std::chrono::milliseconds first_wait{10};
constexpr int most_waits = 10;

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
    open_request entry;
    // Before the promise is made: that takes the sender away.
    entry.asker = caf::actor_cast<caf::actor_addr>(self->current_sender());
    entry.family = request.family;
    entry.thread = request.thread;
    const bool is_watched = request.watched;
    if (const auto refused = parts->scheduler.submit(id, std::move(request)); refused != errc::none)
      return refused;
    auto promise = entry.promise = self->make_response_promise<decode_reply>();
    if (is_watched) watched.insert(id);
    open_of.emplace(entry.family, entry.thread, id);
    open.emplace(id, std::move(entry));
    wake();
    return promise;
  }

  void cancel(const decode_cancel& request) {
    answer(parts->scheduler.cancel(request.family, request.thread, request.will_return));
    forget_weights();
  }

  void answer(std::vector<ended_sequence> ended) {
    for (auto& [id, reply, failure, epoch] : ended) {
      auto node = open.extract(id);
      auto& request = node.mapped();
      open_of.erase({request.family, request.thread, id});
      watched.erase(id);
      if (failure == errc::none)
        request.promise.deliver(std::move(reply));
      else
        refuse(request, failure, epoch);
    }
  }

  void refuse(open_request& request, errc why, std::uint32_t epoch) {
    if (complained_of.insert(epoch).second)
      log("no token can be sampled for thread " + request.thread
          + ": the logits are not finite under the weights of epoch " + std::to_string(epoch));
    request.promise.deliver(caf::error{why});
  }

  void watch(const decode_watch& wish) {
    for (auto i = open_of.lower_bound({wish.family, wish.thread, 0}); i != open_of.end(); ++i) {
      const auto& [family, thread, id] = *i;
      if (family != wish.family || thread != wish.thread) return;
      if (wish.on)
        watched.insert(id);
      else
        watched.erase(id);
    }
  }

  // ---- steps ----

  void wake() {
    if (std::exchange(awake, true)) return;
    if (num_waits == 0) return self->send(self, atom::step::value);
    self->delayed_send(self, first_wait * (1 << (num_waits - 1)), atom::step::value);
  }

  void step() {
    const auto begin = steady_clock::now();
    const auto lanes = parts->scheduler.next();
    show_status(begin);
    if (!lanes.empty()) batch_sizes.add(static_cast<double>(lanes.size()));
    for (const auto id : parts->scheduler.admitted())
      queued_s.add(std::chrono::duration<double>(begin - open.at(id).since).count());
    if (const auto tokens = run(lanes)) answer(parts->scheduler.accept(*tokens));
    tell_watchers();
    forget_weights();
    awake = false;
    parts->scheduler.idle() ? rest() : wake();
    if (!lanes.empty()) step_s.add(seconds_since(begin));
  }

  /// Nothing where the device had no memory for so large a step.
  std::optional<std::span<const sampled_token>> run(std::span<const lane> lanes) {
    try {
      const auto tokens = parts->engine.run(lanes);
      num_waits = 0;
      return tokens;
    } catch (const std::exception& why) {
      if (!is_out_of_memory(why)) throw;
      if (parts->scheduler.retreat())
        log(std::string("out of memory; goes on with at most ")
            + std::to_string(parts->scheduler.max_batch()) + " sequences and "
            + std::to_string(parts->scheduler.prefill_tokens())
            + " prompt tokens a step: " + why.what());
      else if (!wait_for_memory(why))
        throw;
      return {};
    }
  }

  /// Whoever else uses the device, a trainer say, may need its memory for a moment only. False: it
  /// has been waited for long enough.
  bool wait_for_memory(const std::exception& why) {
    if (num_waits == most_waits) return false;
    if (num_waits++ == 0)
      log(std::string("out of memory for the smallest step; tries again for some seconds: ")
          + why.what());
    return true;
  }

  /// An idle pool has time to look at its books, but not after every short request.
  void rest() {
    const auto steps = parts->scheduler.counts().steps;
    if (steps < checked_at + 1000) return;
    checked_at = steps;
    if (auto wrong = parts->scheduler.check()) throw std::logic_error(*wrong);
  }

  void tell_watchers() {
    if (watched.empty()) return;
    const auto now = self->clock().now();
    if (now < last_told + std::chrono::milliseconds(parts->options.progress_ms)) return;
    last_told = now;
    for (const auto id : watched) tell(id, open.at(id));
  }

  void tell(std::uint64_t id, open_request& request) {
    const auto* sampled = parts->scheduler.sampled(id);
    if (!sampled || sampled->ids.size() <= request.told) return;
    const auto told = std::exchange(request.told, sampled->ids.size());
    const auto per_token = sampled->likeliest.size() / sampled->ids.size();
    if (auto watcher = caf::actor_cast<watching_actor>(request.asker))
      self->send(watcher, decode_progress{from(sampled->ids, told), from(sampled->logprobs, told),
                                          from(sampled->likeliest, told * per_token)});
  }

  // ---- weights and status ----

  caf::result<weights_taken> renew(const weights_ready& news) {
    const auto begin = steady_clock::now();
    const auto newest = parts->scheduler.epoch();
    if (news.epoch <= newest)
      return keep_weights("weights of epoch " + std::to_string(news.epoch) + " came too late after "
                          + std::to_string(newest));
    auto& device = parts->engine.device();
    try {
      news.model ? device.take(news.epoch, news.model) : device.load(news.epoch, news.path);
    } catch (const std::exception& why) { // the weights it has are still whole
      return keep_weights(why.what());
    }
    parts->scheduler.renew(news.epoch);
    forget_weights();
    show_status();
    return weights_taken{news.epoch, 1000 * seconds_since(begin), step_s.sum};
  }

  caf::error keep_weights(const std::string& why) const {
    log("keeps its weights: " + why);
    return caf::make_error(errc::bad_weights, why);
  }

  void forget_weights() {
    const auto keep = parts->options.keep_epochs;
    if (parts->scheduler.epochs().size() <= keep + 1) return;
    for (const auto epoch : parts->scheduler.forget_epochs(keep))
      parts->engine.device().forget(epoch);
  }

  void release(const lease_release& r) {
    parts->scheduler.release(r.family, r.thread);
    forget_weights();
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

  /// Now and then: a copy of all figures takes as long as a small part of a short step.
  void show_status(steady_clock::time_point now) {
    if (now < last_shown + std::chrono::milliseconds(10)) return;
    last_shown = now;
    show_status();
  }

  void show_status() const {
    if (parts->options.gauge) parts->options.gauge->show(status());
  }

  pool_status status() const {
    const auto& scheduler = parts->scheduler;
    const auto& counts = scheduler.counts();
    const auto& blocks = scheduler.cache().blocks();
    pool_status now;
    now.name = parts->options.name;
    now.weights_epoch = scheduler.epoch();
    now.epochs = scheduler.epochs().all();
    now.queued = scheduler.num_queued();
    now.running = scheduler.num_running();
    now.finished = counts.finished;
    now.failed = counts.failed;
    now.cancelled = counts.cancelled;
    now.steps = counts.steps;
    now.blocks_total = static_cast<std::uint64_t>(blocks.num_blocks());
    now.blocks_free = blocks.num_free();
    now.blocks_leased = scheduler.cache().leases().num_blocks();
    now.blocks_cached = blocks.num_idle();
    now.prompt_tokens = counts.prompt_tokens;
    now.cached_tokens = counts.cached_tokens;
    now.generated_tokens = counts.generated_tokens;
    now.busy_s = step_s.sum;
    now.forward_s = parts->engine.forward_s();
    now.batch_sizes = batch_sizes;
    now.step_s = step_s;
    now.queued_s = queued_s;
    return now;
  }

  pool_actor::stateful_pointer<pool_state> self;
  std::shared_ptr<pool_parts> parts;
  std::unordered_map<std::uint64_t, open_request> open;
  std::set<std::tuple<std::uint64_t, std::string, std::uint64_t>> open_of; ///< family, thread: ids
  std::uint64_t next_id = 0;
  std::set<std::uint64_t> watched;       ///< ids whose askers hear what is sampled
  std::set<std::uint32_t> complained_of; ///< epochs
  bool awake = false;                    ///< a `step` is on its way
  int num_waits = 0;                     ///< for memory, since the last step that had enough
  std::uint64_t checked_at = 0;
  caf::actor_clock::time_point last_told{};
  steady_clock::time_point last_shown{};
  histogram batch_sizes = of_batches(), step_s = of_seconds(), queued_s = of_seconds();
};

pool_actor::behavior_type pool(pool_actor::stateful_pointer<pool_state> self,
                               std::shared_ptr<pool_parts> parts) {
  auto& state = self->state;
  state.parts = std::move(parts);
  state.show_status();
  self->set_default_handler(caf::drop);
  self->set_exception_handler([&state](std::exception_ptr& why) { return state.lose(why); });
  return {
      [&state](decode_request& request) { return state.decode(request); },
      [&state](const decode_cancel& request) { state.cancel(request); },
      [&state](const decode_watch& wish) { state.watch(wish); },
      [&state](const sequence_request& request) {
        return state.parts->scheduler.look(request.family, request.thread);
      },
      [&state](const lease_release& r) { state.release(r); },
      [&state](const weights_ready& news) { return state.renew(news); },
      [&state](atom::status) { return state.status(); },
      [&state](atom::step) { state.step(); },
  };
}

} // namespace

static std::uint64_t cache_bytes(const pool_options& options) {
  if (options.cache_bytes > 0) return options.cache_bytes;
  const auto free = free_bytes(options.device);
  return free ? *free / 3 : std::uint64_t{512} << 20;
}

std::int32_t num_cache_blocks(const pool_options& options, const model_config& model) {
  const auto size = options.scheduling.block_size;
  const auto bytes = kv_cache::block_bytes(model, size, options.precision);
  const auto affordable = static_cast<std::int64_t>(cache_bytes(options)) / bytes;
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
  std::shared_ptr<pool_parts> parts(new pool_parts{
      options, engine(std::move(device), scheduling.block_size),
      scheduler(scheduling, num_blocks, model, std::move(vocabulary), options.weights_epoch)});
  return detached ? system.spawn<caf::detached>(pool, std::move(parts))
                  : system.spawn(pool, std::move(parts));
}

pool_actor spawn_pool(caf::actor_system& system, pool_options options, const checkpoint& from,
                      bool detached) {
  const auto num_blocks = num_cache_blocks(options, from.config);
  const auto& scheduling = options.scheduling;
  auto device = make_transformer_evaluator(
      from, {.device = options.device,
             .precision = options.precision,
             .num_blocks = num_blocks,
             .block_size = scheduling.block_size,
             .max_tokens = scheduling.max_batch + scheduling.prefill_tokens,
             .os_threads = options.os_threads,
             .weights_epoch = options.weights_epoch});
  return spawn_pool(system, std::move(options), std::move(device), num_blocks, from.config,
                    from.vocabulary, detached);
}

} // namespace banyan
