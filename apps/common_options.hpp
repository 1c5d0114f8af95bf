#pragma once

#include "apps/options.hpp"
#include "model/config.hpp"
#include "solver/search.hpp"

#include <optional>

namespace banyan {

/// What every command understands.
struct common_options {
  enum class level : std::uint8_t { error, warning, info, debug };
  std::filesystem::path config;
  bool json = false, quiet = false;
  level log_level = level::info;

  /// A line on standard error, unless quiet or less than the level wants.
  void log(level, const std::string& text) const;
};
void declare(option_list&, common_options&);

/// The user's own config file, whether it is there or not; empty where the user has no home.
std::filesystem::path user_config();

/// Reads the config file that was asked for, else the user's own where there is one. To be called
/// behind `parse`.
void read_config(option_list&, const common_options&);

/// The knobs of the symbolic searches.
void declare(option_list&, search_options&);

/// To be called once all options are read: where the literature has another default for the kind
/// of search, and nothing was asked for, takes it over.
void complete(search_options&, const option_list&);

/// Throws bad_usage for conditions that the kind of search does not have, or that nobody asked for.
void check(const search_options&);

void declare_dtype(option_list&, const std::string& name, dtype&, const std::string& help);
void declare_dtype(option_list&, const std::string& name, std::optional<dtype>&,
                   const std::string& help);

bool is_device(const std::string& text);

/// Devices in `field`, one for each time the option is given.
void declare_devices(option_list&, const std::string& name, std::vector<std::string>& field,
                     const std::string& help);

/// cpu, cuda or cuda:N; whether there is such a device turns out when it is used.
void declare_device(option_list&, std::string&, const std::string& help);

} // namespace banyan
