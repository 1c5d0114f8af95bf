#pragma once

#include "tests/plain_pool.hpp"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace banyan {

inline decode_request request_of(std::uint64_t family, std::string thread,
                                 std::vector<std::int32_t> ids, std::uint32_t max_tokens = 20) {
  decode_request request;
  request.family = family;
  request.thread = std::move(thread);
  request.ids = std::move(ids);
  request.max_tokens = max_tokens;
  request.ban = {0}; // no early end
  return request;
}

/// Requests of many lengths; every other one is sampled, the rest greedy; some share prefixes.
inline std::vector<decode_request> mixed_requests(std::uint32_t how_many) {
  std::vector<decode_request> requests;
  for (std::uint32_t i = 0; i < how_many; ++i) {
    auto ids = some_text(i % 5, 3 + i % 30) + some_text(100 + i, i % 17);
    auto request = request_of(i / 3, "/" + std::to_string(i % 3), std::move(ids), 10 + i % 60);
    if (i % 2) request.sampling = {.temperature = 1.0f, .top_k = 20, .top_p = 0.9f, .seed = i};
    if (i % 4) request.ban.clear();
    requests.push_back(std::move(request));
  }
  return requests;
}

} // namespace banyan
