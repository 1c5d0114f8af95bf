#include "actors/placement.hpp"

#include "solver/fnv.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include <caf/send.hpp>

namespace banyan {

placement place_evenly(std::vector<named_pool> pools) {
  return [pools = std::move(pools)](const placement_request& request) -> std::optional<named_pool> {
    const auto lost = [&](const named_pool& pool) {
      return std::ranges::find(request.lost, pool.actor) != request.lost.end();
    };
    const auto first = request.family + (request.parent ? fnv1a(request.thread) : 0);
    for (std::size_t i = 0; i < pools.size(); ++i)
      if (const auto& pool = pools[(first + i) % pools.size()]; !lost(pool)) return pool;
    return {};
  };
}

// ---- seat ----

seat::seat(named_pool pool, std::uint64_t family, std::string thread)
    : pool_(std::move(pool)), family_(family), thread_(std::move(thread)) {}

seat::seat(seat&& other) noexcept
    : pool_(std::move(other.pool_)),
      family_(other.family_),
      thread_(std::move(other.thread_)),
      working_(std::exchange(other.working_, false)),
      used_(std::exchange(other.used_, false)) {}

seat& seat::operator=(seat&& other) noexcept {
  if (this == &other) return *this;
  leave();
  pool_ = std::move(other.pool_);
  family_ = other.family_;
  thread_ = std::move(other.thread_);
  working_ = std::exchange(other.working_, false);
  used_ = std::exchange(other.used_, false);
  return *this;
}

seat::~seat() { leave(); }

void seat::leave() {
  if (std::exchange(working_, false)) caf::anon_send(pool_.actor, decode_cancel{family_, thread_});
  if (std::exchange(used_, false)) caf::anon_send(pool_.actor, lease_release{family_, thread_});
}

} // namespace banyan
