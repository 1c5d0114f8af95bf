#pragma once

#include <cstdint>
#include <string_view>

namespace banyan {

struct model_weights;

/// What of a step of training was not finite, so that the step did not count.
enum class not_finite : std::uint8_t { nothing, loss, gradient, weights };

/// "the loss is"
std::string_view to_phrase(not_finite);

bool are_finite(const model_weights&);

} // namespace banyan
