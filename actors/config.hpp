#pragma once

#include "actors/placement.hpp"
#include "solver/unix_time.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace banyan {

class event_hub;
class status_board;

/// Text to token ids and back, for threads. The model's tokenizer behind three functions, so that
/// actors know no model. All are called from several OS threads at once. Text that comes token by
/// token is put together by a `detokenizer`.
struct codec {
  std::function<std::vector<std::int32_t>(std::string_view)>
      encode; ///< of a whole text; throws std::invalid_argument
  std::function<std::vector<std::int32_t>(std::string_view)>
      encode_continuation; ///< of text that follows other text; throws as `encode`
  std::function<std::string(std::span<const std::int32_t>)>
      decode; ///< of a whole text; special tokens give none
  std::function<std::string(std::int32_t)>
      piece; ///< bytes of one token within a text; a character may need several tokens
  std::vector<std::int32_t> begin; ///< in front of every thread's prompt (BOS), may be empty
};

/// What every thread of reasoning of this process needs, whatever its tree.
struct reasoning_options {
  banyan::codec codec;
  placement place;                     ///< whose pools threads decode on
  std::shared_ptr<status_board> board; ///< where threads show what they do; may be null
  std::shared_ptr<event_hub> events;   ///< where threads and trees tell what happens; may be null
  std::function<std::int64_t()> unix_ms = unix_ms_now;
  std::string node = "local"; ///< this process's name in records
};

} // namespace banyan
