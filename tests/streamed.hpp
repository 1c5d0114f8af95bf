#pragma once

#include "tests/http_fixture.hpp"

#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace banyan {

inline tree_event text_of(const std::string& tree, const std::string& text,
                          std::uint64_t position = 0) {
  auto e = event_of(tree_event::kind::text, tree);
  e.text = text;
  e.position = position;
  return e;
}

/// The rest of a stream, until it ends.
inline std::vector<sent_event> rest_of(event_reader& stream) {
  std::vector<sent_event> all;
  while (auto e = stream.next()) all.push_back(std::move(*e));
  return all;
}

inline std::vector<std::string> names_of(const std::vector<sent_event>& events) {
  std::vector<std::string> names;
  for (const auto& e : events) names.push_back(e.name);
  return names;
}

template <class Condition>
void wait_for(Condition holds) {
  for (int i = 0; i < 10'000; ++i) {
    if (holds()) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  throw std::runtime_error("what the test waits for did not happen");
}

inline std::uint64_t number_of(const sent_event& e) {
  return std::stoull(e.id.substr(e.id.rfind('-') + 1));
}

inline std::string last_event(const std::string& id) { return "Last-Event-ID: " + id + "\r\n"; }

inline http_options watching_on(double seconds) {
  auto options = on_any_port();
  options.watch_on_s = seconds;
  return options;
}

} // namespace banyan
