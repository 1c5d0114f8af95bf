#include "apps/actor_house.hpp"

#include "actors/config.hpp"
#include "actors/node.hpp"
#include "actors/status_board.hpp"
#include "actors/system.hpp"
#include "gpu_pool/device_name.hpp"
#include "gpu_pool/pool.hpp"
#include "model/tokenizer.hpp"

#include <thread>
#include <utility>

#include <caf/actor_registry.hpp>
#include <caf/send.hpp>

namespace banyan {

namespace {

using namespace std::chrono_literals;

/// Sessions and threads only translate messages: more OS threads would take cores from the pools.
constexpr std::size_t actor_workers = 2;

/// What ends in order does so within milliseconds.
constexpr auto drain_time = 2s;

/// As records know it: the CPU has pools 0, 1, … as often as it was asked for.
std::string pool_name(const std::string& device, std::size_t index) {
  const auto name = parse_device(device);
  if (name && name->type == device_name::kind::cuda) return to_string(*name);
  return device + ":" + std::to_string(index);
}

template <class Actor>
void end(const Actor& actor) {
  if (actor) caf::anon_send_exit(actor, caf::exit_reason::user_shutdown);
}

} // namespace

actor_house::actor_house(std::vector<pool_source> sources, house_options options)
    : vocabulary_(sources.front().model.vocabulary),
      begin_(options.begin),
      board_(std::make_shared<status_board>()) {
  configure(config_, actor_workers);
  system_ = std::make_unique<caf::actor_system>(config_);
  try {
    if (options.make_store) store_ = options.make_store(*system_);
    for (const auto& source : sources) add_pool(source, options);
  } catch (...) {
    leave();
    throw;
  }
  node_options settings;
  settings.reasoning.codec = codec();
  settings.reasoning.watched = options.watched;
  settings.reasoning.board = board_;
  settings.reasoning.events = options.events;
  settings.pools = pools_;
  settings.store = store_;
  settings.max_running_trees = options.concurrency;
  settings.max_queued_trees = options.max_queued;
  settings.seed = options.seed;
  node_ = spawn_node(*system_, std::move(settings));
}

actor_house::~actor_house() {
  if (node_) caf::anon_send(node_, atom::drain_v);
  leave();
}

codec actor_house::codec() const {
  return {[known = vocabulary_](std::string_view text) { return known->encode(text); },
          [known = vocabulary_](std::span<const std::int32_t> ids) { return known->decode(ids); },
          begin_};
}

void actor_house::add_pool(const pool_source& source, const house_options& options) {
  pool_options settings;
  settings.name = pool_name(source.device, pools_.size());
  settings.device = source.device;
  settings.precision = source.precision;
  settings.os_threads = source.os_threads;
  settings.weights_epoch = options.weights_epoch;
  settings.keep_epochs = options.keep_epochs;
  settings.log = options.log;
  pools_.push_back({settings.name, options.make_pool
                                       ? options.make_pool(*system_, settings, source)
                                       : spawn_pool(*system_, settings, source.model)});
}

bool actor_house::wait_until(std::chrono::steady_clock::time_point until,
                             std::size_t running) const {
  while (system_->registry().running() > running) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

bool actor_house::park(std::chrono::milliseconds patience) {
  caf::anon_send(node_, atom::park_v);
  for (const auto& guest : guests_) end(guest);
  guests_.clear();
  node_ = nullptr;
  return wait_until(std::chrono::steady_clock::now() + patience, pools_.size() + (store_ ? 1 : 0));
}

/// The node ends its trees while the pools still answer; then the rest goes. An actor system that
/// does not come to an end is better left alone than waited for: its destructor would hang.
void actor_house::leave() {
  const auto until = std::chrono::steady_clock::now() + drain_time;
  for (const auto& guest : guests_) end(guest);
  guests_.clear();
  wait_until(until, pools_.size() + (store_ ? 1 : 0));
  end(node_);
  for (const auto& pool : pools_) end(pool.actor);
  end(store_);
  node_ = nullptr;
  store_ = nullptr;
  pools_.clear();
  if (!wait_until(until, 0)) static_cast<void>(system_.release());
}

} // namespace banyan
