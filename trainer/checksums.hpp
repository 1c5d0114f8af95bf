#pragma once

#include <filesystem>

namespace banyan {

// A disk loses blocks and says nothing, and zeros are numbers like others. A checkpoint keeps a
// checksum of each of its files of tensors: FNV-1a over words of 64 bits, as hexadecimal digits.

inline constexpr const char* checksum_file = "checksums.json";

/// For all `.safetensors` in the folder. Throws std::system_error.
void write_checksums(const std::filesystem::path& folder);

/// The first file that is not as it was written, or is gone; empty: none, or nobody wrote
/// checksums. Throws JSON's exceptions for a damaged list of them.
std::filesystem::path changed_file(const std::filesystem::path& folder);

} // namespace banyan
