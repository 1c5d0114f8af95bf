#pragma once

#include "actors/messages.hpp"

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <caf/typed_event_based_actor.hpp>

namespace banyan {

/// What a store was told, kept in memory; a test may look at it, or let it fail, at any time.
struct stored_trees {
  std::vector<tree_accepted> accepted;
  std::vector<finished_tree> finished;
  std::map<std::string, std::vector<thread_record>> threads; ///< of a tree, as they were last
  std::map<std::string, std::int64_t> used_ms;               ///< of a tree, at its last boundary
  std::vector<tree_state> states;
  bool fails = false;
  bool late = false; ///< it writes, and does not answer

  void record(const tree_boundary& boundary) {
    used_ms[boundary.id] = boundary.used_ms;
    auto& known = threads[boundary.id];
    const auto same = [&](const thread_record& t) { return t.path == boundary.record->path; };
    const auto place = std::find_if(known.begin(), known.end(), same);
    place == known.end() ? known.push_back(*boundary.record) : void(*place = *boundary.record);
  }

  /// What a daemon that begins now would go on with.
  tree_work unfinished(const std::string& id) const {
    tree_work work;
    for (const auto& a : accepted)
      if (a.request->id == id) work.request = *a.request, work.created_ms = a.created_ms;
    for (const auto& state : states)
      if (state.id == id) work.halted = state.halted;
    if (const auto known = used_ms.find(id); known != used_ms.end()) work.used_ms = known->second;
    if (const auto known = threads.find(id); known != threads.end()) work.past = known->second;
    std::sort(work.past.begin(), work.past.end(),
              [](const thread_record& a, const thread_record& b) { return a.path < b.path; });
    return work;
  }
};

inline tree_store_actor::behavior_type store_stub(tree_store_actor::pointer self,
                                                  std::shared_ptr<stored_trees> kept) {
  const auto answer = [self, kept]() -> caf::result<stored> {
    if (kept->late) return self->make_response_promise<stored>();
    if (kept->fails) return errc::not_stored;
    return stored{};
  };
  return {
      [kept](const tree_boundary& boundary) { kept->record(boundary); },
      [kept, answer](const tree_state& news) {
        if (!kept->fails) kept->states.push_back(news);
        return answer();
      },
      [kept, answer](const finished_tree& done) {
        if (!kept->fails) kept->finished.push_back(done);
        return answer();
      },
      [kept, answer](const tree_accepted& request) {
        if (!kept->fails) kept->accepted.push_back(request);
        return answer();
      },
      [](atom::step) {},
      [](atom::tick) {},
      [](atom::probe) {},
      [](atom::drain) {},
      [](atom::status) { return store_status{}; },
  };
}

} // namespace banyan
