#include "actors/errors.hpp"

namespace banyan {

errc errc_of(const caf::error& why, errc fallback) {
  if (!why || why.category() != error_category) return fallback;
  const auto code = static_cast<errc>(why.code());
  return code <= errc::bad_request ? code : fallback;
}

} // namespace banyan
