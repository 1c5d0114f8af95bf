#include "apps/banyand/self_check.hpp"

#include "actors/config.hpp"
#include "actors/errors.hpp"
#include "actors/messages.hpp"
#include "apps/actor_house.hpp"

#include <chrono>
#include <cstdint>

#include <caf/scoped_actor.hpp>

namespace banyan {
namespace {

constexpr caf::timespan patience = std::chrono::minutes(1);
constexpr std::uint32_t few = 4; // tokens
constexpr std::uint64_t family_of_no_tree = (std::uint64_t{1} << 62) - 1;

} // namespace

std::string self_check(actor_house& house) {
  for (const auto& pool : house.pools()) {
    decode_request probe;
    probe.family = family_of_no_tree;
    probe.ids = house.codec().encode("Moving to Node #0\n");
    probe.max_tokens = few;
    probe.keep_lease = false;
    caf::scoped_actor self(house.system());
    std::string wrong;
    self->request(pool.actor, patience, probe)
        .receive([](const decode_reply&) {},
                 [&](const caf::error& why) {
                   wrong = pool.name + ": it does not decode ("
                           + std::string(to_string(errc_of(why, errc::pool_lost)))
                           + "); see the log, or name another --device";
                 });
    if (!wrong.empty()) return wrong;
  }
  return {};
}

} // namespace banyan
