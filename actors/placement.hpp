#pragma once

#include "actors/messages.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace banyan {

/// A thread looks for a pool.
struct placement_request {
  std::uint64_t family = 0;
  std::string thread;               ///< path in the tree
  std::optional<named_pool> parent; ///< where the thread's parent decodes; nothing for the root
  std::vector<pool_actor> lost;     ///< asked before in vain, never the answer
};

/// Chooses a pool; nothing if there is none. Called from several OS threads at once.
using placement = std::function<std::optional<named_pool>(const placement_request&)>;

/// Spreads trees and the threads of a tree evenly over these pools; a pure function of the request.
placement place_evenly(std::vector<named_pool> pools);

/// A thread's place at a pool. Wherever the thread ends, in whatever way, what still runs for it
/// there is cancelled and its cache blocks are given back.
class seat {
public:
  seat(named_pool, std::uint64_t family, std::string thread);
  seat(seat&&) noexcept;
  seat& operator=(seat&&) noexcept;
  ~seat();

  const named_pool& pool() const { return pool_; }
  void begin_work() { working_ = used_ = true; }
  void end_work() { working_ = false; }

private:
  void leave();

  named_pool pool_;
  std::uint64_t family_;
  std::string thread_;
  bool working_ = false; ///< a request is on its way
  bool used_ = false;    ///< there may be a lease
};

} // namespace banyan
