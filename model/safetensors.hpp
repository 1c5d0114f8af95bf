#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

namespace banyan {

/// Tensors of a safetensors file, in memory-mapped form: the tensors keep the mapping alive and are
/// read-only by contract. The header is checked in full (sizes, offsets, overlaps, dtype, alignment
/// of the file's length) before anything is believed. Throws `bad_checkpoint` naming the file.
struct tensor_file {
  std::map<std::string, at::Tensor> tensors;
  std::map<std::string, std::string> metadata;
};
tensor_file map_safetensors(const std::filesystem::path&);

/// Writes a safetensors file: into a temporary beside it, synced, then renamed, so that an earlier
/// file of the name stays whole whatever happens. Throws std::system_error (no space, no
/// permission).
void write_safetensors(const std::filesystem::path&,
                       const std::map<std::string, at::Tensor>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

} // namespace banyan
