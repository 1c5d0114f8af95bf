#pragma once

#include "actors/interfaces.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace banyan {

/// Text to token ids and back, for threads. The model's tokenizer behind two functions, so that actors
/// know no model. Both are called from several OS threads at once.
struct codec {
  std::function<std::vector<std::int32_t>(std::string_view)> encode; ///< throws std::invalid_argument
  std::function<std::string(std::span<const std::int32_t>)> decode;  ///< special tokens give no text
  std::vector<std::int32_t> begin; ///< in front of every thread's prompt (BOS), may be empty
};

} // namespace banyan
