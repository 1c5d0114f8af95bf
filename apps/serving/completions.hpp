#pragma once

#include "actors/config.hpp"
#include "actors/interfaces.hpp"
#include "apps/serving/forest.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include <caf/fwd.hpp>

namespace banyan {

class tokenizer;

/// What completions decode with.
struct completion_means {
  std::vector<named_pool> pools; ///< at least one; a completion goes on to the next if one is lost
  banyan::codec codec;
  std::shared_ptr<const tokenizer> vocabulary;
  std::size_t context = SIZE_MAX; ///< the model's, in tokens
};

/// The plain completions that run. May be used from any OS thread.
class completions {
public:
  completions(caf::actor_system&, completion_means);

  /// As `break_off`.
  ~completions();
  completions(const completions&) = delete;
  completions& operator=(const completions&) = delete;

  /// Returns a handle for `stop`. `on_piece` may be null.
  std::uint64_t start(completion_request, std::function<void(completion_piece)> on_piece,
                      answer_to<completion_end> on_end);

  /// Ends one that nobody waits for any more; without effect on one that has ended.
  void stop(std::uint64_t handle);

  std::size_t running() const;

  /// Ends all; those who wait are told that the service ends. Later ones are refused.
  void break_off();

private:
  struct core;
  std::shared_ptr<core> core_;
};

} // namespace banyan
