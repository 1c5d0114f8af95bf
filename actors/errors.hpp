#pragma once

#include "solver/errc.hpp"

#include <string>

#include <caf/error.hpp>
#include <caf/make_message.hpp>

namespace banyan {

/// The `errc` inside a CAF error; `fallback` for errors that are not ours (timeouts, lost actors).
errc errc_of(const caf::error&, errc fallback);

} // namespace banyan

CAF_ERROR_CODE_ENUM(banyan::errc, "banyan")
