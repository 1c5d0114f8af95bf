#include "apps/node_desk.hpp"

#include <caf/actor_system.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

namespace banyan {
namespace {

struct errand {
  std::function<void(caf::event_based_actor*)> run;
};

} // namespace
} // namespace banyan

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(banyan::errand)

namespace banyan {
namespace {

caf::behavior clerk(caf::event_based_actor* self) {
  self->set_default_handler(caf::drop);
  return {[self](errand& e) { node_desk::safely([&] { e.run(self); }); }};
}

} // namespace

bool just_ended(const caf::error& why) { return why == caf::sec::request_receiver_down; }

node_desk::node_desk(caf::actor_system& system, node_actor node)
    : system_(system), node_(std::move(node)), clerk_(system.spawn(clerk)) {}

void node_desk::end() {
  caf::scoped_actor self(system_);
  self->send_exit(clerk_, caf::exit_reason::user_shutdown);
  self->wait_for(clerk_);
}

void node_desk::soon(caf::event_based_actor* self,
                     std::function<void(caf::event_based_actor*)> work) {
  constexpr caf::timespan moment = std::chrono::milliseconds(10);
  self->delayed_send(self, moment, errand{std::move(work)});
}

void node_desk::run(std::function<void(caf::event_based_actor*)> work) {
  caf::anon_send(clerk_, errand{std::move(work)});
}

} // namespace banyan
