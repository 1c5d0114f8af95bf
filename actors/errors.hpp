#pragma once

#include "solver/errc.hpp"

#include <exception>
#include <string>

#include <caf/error.hpp>
#include <caf/make_message.hpp>

namespace banyan {

/// Under which CAF knows our errors.
inline constexpr caf::atom_value error_category = caf::atom("banyan");

/// The `errc` inside a CAF error; `fallback` for errors that are not ours (timeouts, lost actors)
/// and for no error at all.
errc errc_of(const caf::error&, errc fallback);

/// Why an actor dies of an exception: `child_lost`, with what was thrown. CAF's own handler would
/// write to stdout, where a program's results go.
caf::error lost_by(std::exception_ptr&);

} // namespace banyan

CAF_ERROR_CODE_ENUM(banyan::errc, "banyan")
