#include "apps/serving/completions.hpp"

#include "apps/serving/completion.hpp"
#include "apps/serving/refusals.hpp"

#include <algorithm>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include <caf/actor_system.hpp>
#include <caf/send.hpp>

namespace banyan {
namespace {

/// No tree has such a family.
constexpr std::uint64_t first_family = std::uint64_t{1} << 62;

/// What the pool decodes for it ends with it.
void end(const caf::actor& completion) {
  caf::anon_send_exit(completion, caf::exit_reason::user_shutdown);
}

refusal ending() {
  return refused(refusal::kind::unavailable, "the daemon is about to end; try again later");
}

} // namespace

struct completions::core {
  struct entry {
    caf::actor actor;
    answer_to<completion_end> on_end;
  };

  /// Who takes an entry out answers for it: so everybody is answered once.
  std::optional<entry> take(std::uint64_t handle) {
    const std::lock_guard lock(mutex);
    auto found = open.extract(handle);
    return found ? std::optional(std::move(found.mapped())) : std::nullopt;
  }

  std::vector<named_pool> pools_from(std::uint64_t handle) const {
    auto pools = means.pools;
    std::ranges::rotate(pools,
                        pools.begin() + static_cast<std::ptrdiff_t>(handle % means.pools.size()));
    return pools;
  }

  caf::actor_system& system;
  const completion_means means;
  mutable std::mutex mutex;
  std::map<std::uint64_t, entry> open;
  std::uint64_t last = 0;
  bool closed = false;
};

completions::completions(caf::actor_system& system, completion_means means)
    : core_(new core{system, std::move(means), {}, {}, 0, false}) {}

completions::~completions() { break_off(); }

std::uint64_t completions::start(completion_request request,
                                 std::function<void(completion_piece)> on_piece,
                                 answer_to<completion_end> on_end) {
  std::unique_lock lock(core_->mutex);
  if (core_->closed) {
    lock.unlock();
    on_end(ending());
    return 0;
  }
  const auto handle = ++core_->last;
  // The actor may outlive this object, which the program destroys while pools still end.
  auto ended = [known = std::weak_ptr(core_), handle](std::variant<completion_end, refusal> how) {
    const auto core = known.lock();
    if (auto mine = core ? core->take(handle) : std::nullopt) mine->on_end(std::move(how));
  };
  auto actor = spawn_completion(core_->system,
                                {std::move(request), core_->means.codec, core_->means.vocabulary,
                                 core_->pools_from(handle), core_->means.context,
                                 first_family + handle, std::move(on_piece), std::move(ended)});
  core_->open.emplace(handle, core::entry{std::move(actor), std::move(on_end)});
  return handle;
}

void completions::stop(std::uint64_t handle) {
  if (const auto found = core_->take(handle)) end(found->actor);
}

std::size_t completions::running() const {
  const std::lock_guard lock(core_->mutex);
  return core_->open.size();
}

void completions::break_off() {
  std::map<std::uint64_t, core::entry> open;
  {
    const std::lock_guard lock(core_->mutex);
    core_->closed = true;
    open.swap(core_->open);
  }
  for (const auto& [handle, one] : open) {
    end(one.actor);
    one.on_end(ending());
  }
}

} // namespace banyan
