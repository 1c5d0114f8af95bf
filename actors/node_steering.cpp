#include "actors/node_state.hpp"

#include "actors/narration.hpp"
#include "actors/steering.hpp"
#include "actors/waiting_tree.hpp"

#include <memory>
#include <utility>

namespace banyan {

caf::result<tree_status> node_state::steer(const steer_request& request) {
  if (const auto* tree = find_running(request.id)) return self->delegate(tree->session, request);
  if (arriving.contains(request.id)) return steer_later(request);
  if (!queue.find(request.id)) return no_tree(request.id);
  if (request.thread == "/" && request.action == tree_action::cancel)
    return give_up_by_hand(request.id);
  return steer_waiting(request);
}

caf::result<tree_status> node_state::steer_later(const steer_request& request) {
  auto promise = self->make_response_promise<tree_status>();
  const auto asker = std::make_shared<guarded_promise<tree_status>>(promise);
  arriving.at(request.id).after.push_back([this, asker, request] {
    asker->delegate(node_actor{self}, request);
  });
  return promise;
}

caf::result<tree_status> node_state::give_up_by_hand(const std::string& id) {
  auto promise = self->make_response_promise<tree_status>();
  const auto asker = std::make_shared<guarded_promise<tree_status>>(promise);
  give_up(std::move(*queue.take(id)), [asker](const caf::expected<finished_tree>& end) {
    if (!end) return asker->deliver(end.error());
    asker->deliver(tree_status{std::make_shared<const tree>(outline(*end->value))});
  });
  return promise;
}

/// What was done is answered when the store knows it; by the tree itself, where it begins now.
caf::result<tree_status> node_state::steer_waiting(const steer_request& request) {
  caf::expected<std::vector<thread_record>> changed{caf::error{}};
  queue.change(request.id, [&](tree_work& work) {
    changed = banyan::steer(work, request, options.reasoning.unix_ms());
  });
  if (!changed) return std::move(changed.error());
  const auto& work = queue.find(request.id)->work;
  tell_changed(request.id, *changed, work.used_ms);
  auto seen = std::make_shared<const tree>(outline(shown(work)));
  if (request.thread == "/")
    tell(tree_event::kind::tree, request.id, seen->phase, options.reasoning.unix_ms());
  // Who resumes by hand what had begun before a restart wants it now, as without the restart.
  if (request.action == tree_action::resume && !closed && has_begun(work) && !is_paused(work))
    begin(*queue.take(request.id));
  start_next();
  if (const auto* tree = find_running(request.id)) return self->delegate(tree->session, request);
  auto promise = self->make_response_promise<tree_status>();
  const auto asker = std::make_shared<guarded_promise<tree_status>>(promise);
  write(tree_state{request.id, seen->phase, work.halted}, [asker, seen](errc why) {
    if (why != errc::none) return asker->deliver(caf::make_error(why));
    asker->deliver(tree_status{seen});
  });
  return promise;
}

void node_state::tell_changed(const std::string& id, const std::vector<thread_record>& changed,
                              std::int64_t used_ms) const {
  narration news;
  news.open({options.reasoning.events, id, options.reasoning.unix_ms}, false);
  for (const auto& thread : changed) {
    pass_on(tree_boundary{id, std::make_shared<const thread_record>(thread), used_ms});
    news.tell(tree_event::kind::thread, thread, thread.generated_tokens(), {});
  }
}

} // namespace banyan
