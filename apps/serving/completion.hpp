#pragma once

#include "actors/config.hpp"
#include "actors/messages.hpp"
#include "apps/serving/forest.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include <caf/actor.hpp>
#include <caf/fwd.hpp>

namespace banyan {

class tokenizer;

struct completion_options {
  completion_request request;
  banyan::codec codec;
  std::shared_ptr<const tokenizer> vocabulary; ///< for the texts of single tokens
  std::vector<named_pool> pools;  ///< to be asked in this order, the next where one is lost
  std::size_t context = SIZE_MAX; ///< the model's, in tokens
  std::uint64_t family = 0;       ///< one number per completion, none that a tree has
  std::function<void(completion_piece)> on_piece;
  answer_to<completion_end> on_end;
};

/// Decodes one text and ends. An exit message breaks it off: then nobody is answered.
caf::actor spawn_completion(caf::actor_system&, completion_options);

} // namespace banyan
