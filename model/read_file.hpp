#pragma once

#include <filesystem>
#include <string>

namespace banyan {

/// All bytes of a small file of a checkpoint. Throws `bad_checkpoint` naming it and the reason.
std::string read_file(const std::filesystem::path&);

} // namespace banyan
