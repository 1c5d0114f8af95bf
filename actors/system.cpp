#include "actors/system.hpp"

#include "actors/messages.hpp"

#include <caf/actor_system_config.hpp>

namespace banyan {

void configure(caf::actor_system_config& config, std::size_t workers) {
  config.add_message_types<caf::id_block::banyan>();
  config.add_error_category(error_category,
                            [](std::uint8_t code, caf::atom_value, const caf::message&) {
                              return std::string(to_string(static_cast<errc>(code)));
                            });
  config.set("scheduler.policy", caf::atom("sharing"));
  config.set("scheduler.max-throughput", std::size_t{100});
  if (workers > 0) config.set("scheduler.max-threads", workers);
}

} // namespace banyan
