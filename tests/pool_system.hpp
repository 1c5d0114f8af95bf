#pragma once

#include "gpu_pool/pool.hpp"
#include "tests/deterministic_system.hpp"
#include "tests/plain_pool.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <caf/typed_event_based_actor.hpp>

namespace banyan {

/// Pools as actors whose steps a test runs one by one.
struct pool_system : deterministic_system {
  ~pool_system() {
    for (auto& actor : ours) end(actor);
  }

  template <class Evaluator = reseeded_evaluator>
  pool_actor spawn(pool_options options = {}) {
    options.name = "cpu:7";
    options.log = [this](std::string_view line) { lines.emplace_back(line); };
    const auto size = options.scheduling.block_size;
    ours.push_back(spawn_pool(sys, options, std::make_unique<Evaluator>(1, 256, size, 40), 256,
                              letters_model(), std::make_shared<letters>(), false));
    return ours.back();
  }

  static decode_request request_of(std::string thread, std::uint32_t num_tokens,
                                   std::uint64_t family = 0) {
    decode_request request;
    request.family = family;
    request.thread = std::move(thread);
    request.ids = some_text(3, 10);
    request.max_tokens = num_tokens;
    request.ban = {0};
    return request;
  }

  auto send(const pool_actor& pool, decode_request request) {
    return self->request(pool, caf::infinite, std::move(request));
  }

  void steps(int how_many) {
    while (how_many-- > 0) scheduler().try_run_once();
  }

  std::vector<pool_actor> ours;
  std::vector<std::string> lines; // of the log
};

inline errc why(const caf::error& error) { return errc_of(error, errc::none); }

} // namespace banyan
