#pragma once

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace banyan {

/// Element types that we read and write, with the names of the format.
enum class element_type : std::uint8_t { f32, f16, bf16, i64, i32, u8 };
std::string_view to_string(element_type); ///< "F32"
std::size_t size_of(element_type);        ///< bytes

/// Where one tensor lies.
struct tensor_entry {
  std::string name;
  element_type type = element_type::f32;
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0, end = 0; ///< bytes, from the beginning of the file
};

struct safetensors_header {
  std::vector<tensor_entry> tensors; ///< in the order of their bytes, without gaps
  std::map<std::string, std::string> metadata;
};

/// What is wrong with the bytes, without the name of the file.
struct bad_header : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Reads the header of a whole file's bytes and checks every figure in it, so that each entry can
/// be believed: it lies in the file, overlaps no other, and is as long as its shape and type say.
/// Any bytes may come in; throws `bad_header`.
safetensors_header parse_safetensors_header(std::string_view file);

/// The beginning of a file: length, JSON and padding, 64-byte aligned. `begin` and `end` of the
/// entries are counted from the end of it.
std::string format_safetensors_header(const safetensors_header&);

} // namespace banyan
