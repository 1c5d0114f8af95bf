#pragma once

#include "tests/http_fixture.hpp"

#include <string>

namespace banyan {

/// A path of the description with a tree, a model and a file in it.
inline std::string concrete(std::string path, const std::string& id) {
  if (const auto at = path.find("{id}"); at != path.npos) path.replace(at, 4, id);
  if (const auto at = path.find("{model}"); at != path.npos)
    path.replace(at, 7, id == "A" ? "countdown-3" : id);
  if (const auto at = path.find("{file}"); at != path.npos) path.replace(at, 6, "page.css");
  return path;
}

inline tree finished(tree t) {
  fake_forest::finish(t);
  return t;
}

/// What the described requests are about, and what makes them end with a status.
inline void prepare(fake_forest& trees, const std::string& status) {
  trees.at_once = true;
  trees.now.ready = status != "503";
  pool_status pool;
  pool.name = "cpu:0";
  trees.now.node.pools = {pool};
  trees.rows = {{"A", "/", thread_phase::decoding, 1, 0, 1000}};
  trees.put(status == "409" || status == "204" ? finished(fake_forest::running_tree("A"))
                                               : fake_forest::running_tree("A"));
  trees.decode = [](std::uint64_t, const auto&, const auto&, const answer_to<completion_end>& end) {
    end(completion_end{{"a", {{"a", -1.F, {}}}}, "length", {}, 1, 1, 0});
  };
  if (status == "503")
    trees.refuse = refusal{refusal::kind::unavailable, "the store: it is full; make room"};
  if (status == "500") trees.refuse = refusal{refusal::kind::damaged, "A: it cannot be read"};
}

inline const json& description() {
  static const json document = [] {
    const served s;
    return s.get_json("/openapi.json");
  }();
  return document;
}

} // namespace banyan
