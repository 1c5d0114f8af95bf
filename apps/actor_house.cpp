#include "apps/actor_house.hpp"

#include "actors/config.hpp"
#include "actors/node.hpp"
#include "actors/status_board.hpp"
#include "actors/system.hpp"
#include "gpu_pool/pool.hpp"
#include "model/device_name.hpp"
#include "model/tokenizer.hpp"

#include <map>
#include <set>
#include <thread>
#include <utility>

#include <caf/actor_registry.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

namespace banyan {

namespace {

using namespace std::chrono_literals;

/// Sessions and threads only translate messages: more OS threads would take cores from the pools. A
/// GPU's pool brings more trees to an end than two can follow, on a machine that has the cores.
std::size_t actor_workers() {
  return std::clamp<std::size_t>(std::thread::hardware_concurrency() / 4, 2, 8);
}

/// What ends in order does so within milliseconds.
constexpr auto drain_time = 2s;

/// A disk may be slow.
constexpr auto flush_time = 30s;

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

/// Tells when the first of the `vital` actors or the last of the pools has ended, and ends then.
/// `all` of them are held until it begins: CAF 0.17 takes an address for an actor that is there.
caf::behavior watchman(caf::event_based_actor* self, const std::vector<caf::actor>& all,
                       const std::map<caf::actor_addr, std::string>& vital,
                       std::set<caf::actor_addr> pools,
                       const std::function<void(const std::string&)>& tell) {
  for (const auto& actor : all) self->monitor(actor);
  self->set_default_handler(caf::drop);
  const auto left = std::make_shared<std::set<caf::actor_addr>>(std::move(pools));
  self->set_down_handler([=](const caf::down_msg& gone) {
    const auto found = vital.find(gone.source);
    if (found == vital.end() && (left->erase(gone.source) == 0 || !left->empty())) return;
    tell(found == vital.end() ? "the last pool" : found->second);
    self->quit();
  });
  return {[](caf::unit_t) {}};
}

/// Waits for the end of an actor; true if there is none any more.
template <class Actor>
bool ends_within(caf::actor_system& system, const Actor& actor, std::chrono::milliseconds time) {
  if (!actor) return true;
  bool gone = false;
  caf::scoped_actor self(system);
  self->monitor(actor);
  self->receive([&gone](const caf::down_msg&) { gone = true; }, caf::after(time) >> [] {});
  return gone;
}

/// Waits for the end of all actors.
bool has_ended(caf::actor_system& system, std::chrono::milliseconds time) {
  const auto until = std::chrono::steady_clock::now() + time;
  while (system.registry().running() > 0) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

} // namespace

actor_house::actor_house(std::vector<pool_source> sources, house_options options)
    : vocabulary_(sources.front().model.vocabulary),
      begin_(options.begin),
      board_(std::make_shared<status_board>()) {
  configure(config_, actor_workers());
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
  settings.reasoning.board = board_;
  settings.reasoning.events = options.events;
  settings.pools = pools_;
  settings.store = store_;
  settings.max_running_trees = options.concurrency;
  settings.max_queued_trees = options.max_queued;
  settings.seed = options.seed;
  settings.news = options.news;
  node_ = spawn_node(*system_, std::move(settings));
  if (options.on_loss) watch(std::move(options.on_loss));
}

actor_house::~actor_house() { leave(); }

void actor_house::watch(std::function<void(const std::string&)> on_loss) {
  std::vector<caf::actor> all{caf::actor_cast<caf::actor>(node_)};
  std::map<caf::actor_addr, std::string> vital{{node_.address(), "the node"}};
  if (store_) {
    all.push_back(caf::actor_cast<caf::actor>(store_));
    vital.emplace(store_.address(), "the store");
  }
  std::set<caf::actor_addr> pools;
  for (const auto& pool : pools_) {
    all.push_back(caf::actor_cast<caf::actor>(pool.actor));
    pools.insert(pool.actor.address());
  }
  watchman_ = system_->spawn(watchman, std::move(all), std::move(vital), std::move(pools),
                             std::move(on_loss));
}

/// What ends from now on was asked to: the watchman hears this before he hears of any such end.
void actor_house::end_guests() {
  end(std::exchange(watchman_, nullptr));
  for (const auto& guest : std::exchange(guests_, {})) end(guest);
}

codec actor_house::codec() const {
  return {[known = vocabulary_](std::string_view text) { return known->encode(text); },
          [known = vocabulary_](std::string_view text) { return known->encode_continuation(text); },
          [known = vocabulary_](std::span<const std::int32_t> ids) { return known->decode(ids); },
          [known = vocabulary_](std::int32_t id) { return std::string(known->piece(id)); }, begin_};
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
  settings.gauge = std::make_shared<pool_gauge>();
  pools_.push_back({settings.name,
                    options.make_pool ? options.make_pool(*system_, settings, source)
                                      : spawn_pool(*system_, settings, source.model),
                    settings.gauge});
}

bool actor_house::park(std::chrono::milliseconds patience) {
  end_guests();
  caf::anon_send(node_, atom::park_v);
  return ends_within(*system_, std::exchange(node_, nullptr), patience);
}

/// The node ends its trees, or leaves them to the store, while the pools still answer; the store
/// goes when all have told it what they had to. An actor system that does not come to an end is
/// better left alone than waited for: its destructor would hang.
void actor_house::leave() {
  end_guests();
  if (node_) store_ ? caf::anon_send(node_, atom::park_v) : caf::anon_send(node_, atom::drain_v);
  if (!ends_within(*system_, node_, drain_time)) end(node_);
  node_ = nullptr;
  for (const auto& pool : pools_) end(pool.actor);
  for (const auto& pool : std::exchange(pools_, {})) ends_within(*system_, pool.actor, drain_time);
  if (store_) caf::anon_send(store_, atom::drain_v);
  if (!ends_within(*system_, store_, flush_time)) end(store_);
  store_ = nullptr;
  if (!has_ended(*system_, drain_time)) static_cast<void>(system_.release());
}

} // namespace banyan
