#include "actors/steering.hpp"

#include <algorithm>

namespace banyan {

bool is_halted(const halted_paths& halted, std::string_view path) {
  return std::ranges::any_of(halted, [&](const auto& at) { return at_or_below(path, at); });
}

bool is_halted_above(const halted_paths& halted, std::string_view path) {
  return std::ranges::any_of(halted,
                             [&](const auto& at) { return at != path && at_or_below(path, at); });
}

bool is_halted_at_or_below(const halted_paths& halted, std::string_view path) {
  return std::ranges::any_of(halted, [&](const auto& at) { return at_or_below(at, path); });
}

void take_up(halted_paths& halted, std::string_view path) {
  std::erase_if(halted, [&](const auto& at) { return at_or_below(at, path); });
}

caf::error no_thread(const std::string& path) {
  return caf::make_error(errc::not_found, "thread: " + path + ": the tree has no such thread");
}

caf::error no_tree(const std::string& id) {
  return caf::make_error(errc::not_found, "id: " + id + ": no such tree runs here");
}

namespace {

caf::error refusal(const steer_request& request, const char* why) {
  const auto who = request.thread == "/" ? "id: " + request.id : "thread: " + request.thread;
  return caf::make_error(errc::bad_request, who + ": it " + why);
}

} // namespace

caf::error has_ended(const steer_request& request) {
  return refusal(request, "has ended; there is nothing to do");
}

caf::error is_part_of_paused(const steer_request& request) {
  return refusal(request, "is paused as a part of a larger one; resume that one");
}

} // namespace banyan
