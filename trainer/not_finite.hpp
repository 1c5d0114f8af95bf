#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace at {
class Tensor;
}

namespace banyan {

struct model_weights;

/// What of a step of training was not finite, so that the step did not count.
enum class not_finite : std::uint8_t { nothing, loss, gradient, weights };

/// "the loss is"
std::string_view to_phrase(not_finite);

bool are_finite(const model_weights&);

/// The name of a tensor that has values which are not finite; empty: none has.
std::string find_not_finite(const std::map<std::string, at::Tensor>&);

} // namespace banyan
