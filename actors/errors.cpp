#include "actors/errors.hpp"

namespace banyan {

errc errc_of(const caf::error& why, errc fallback) {
  if (!why || why.category() != error_category) return fallback;
  const auto code = static_cast<errc>(why.code());
  return code <= last_errc ? code : fallback;
}

caf::error lost_by(std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const std::exception& e) {
    return caf::make_error(errc::child_lost, std::string(e.what()));
  } catch (...) {
    return errc::child_lost;
  }
}

} // namespace banyan
