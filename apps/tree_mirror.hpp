#pragma once

#include "apps/live_tree.hpp"

#include <cstdint>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace banyan {

/// A daemon's tree as its clients know it: read from JSON, kept up to date by events. Token ids do
/// not travel: the text of a thread is one written segment, with as many ids, all of them 0, as the
/// thread generated tokens. What is missing in the JSON or of another type keeps its default.
class tree_mirror {
public:
  explicit tree_mirror(std::string id) { now_.value.id = std::move(id); }

  /// An event of `GET /v1/trees/{id}/events`, by its name.
  void apply(std::string_view event, const nlohmann::ordered_json& data);

  const live_tree& now() const { return now_; }
  std::string text_of(const std::string& thread) const;

private:
  thread_record& thread(const std::string& path);
  void enter(const std::string& path, const nlohmann::ordered_json& data);
  void write(const std::string& path, const nlohmann::ordered_json& data);

  live_tree now_;
};

/// A tree, and a thread, as the API gives them.
tree read_tree(const nlohmann::ordered_json&);
thread_record read_thread(const nlohmann::ordered_json&);
/// Its figures, as the daemon counted them.
tree_usage read_usage(const nlohmann::ordered_json&);

/// A field that may be missing or of another type: then empty, 0 or false.
std::string text_field(const nlohmann::ordered_json&, const char* name);
double number_field(const nlohmann::ordered_json&, const char* name);
bool flag_field(const nlohmann::ordered_json&, const char* name);
/// An object in an object; an empty one if it is missing.
const nlohmann::ordered_json& object_field(const nlohmann::ordered_json&, const char* name);

} // namespace banyan
