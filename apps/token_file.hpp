#pragma once

#include <filesystem>
#include <string>

namespace banyan {

/// The bearer token that is the file's only line, in characters that an HTTP header can carry.
/// Throws `bad_environment` for a file that cannot be read or holds anything else.
std::string read_token(const std::filesystem::path& file);

} // namespace banyan
