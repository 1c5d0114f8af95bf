#include "actors/errors.hpp"

namespace banyan {

errc errc_of(const caf::error& why, errc fallback) {
  const bool ours = why.category() == caf::make_error(errc::none).category();
  const auto code = static_cast<errc>(why.code());
  return ours && code > errc::none && code <= errc::bad_request ? code : fallback;
}

} // namespace banyan
