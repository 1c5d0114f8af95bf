#include "model/safetensors_header.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <set>

#include <nlohmann/json.hpp>

namespace banyan {
namespace {

using json = nlohmann::json;

constexpr std::size_t length_size = 8; // little-endian length of the JSON in front of it
constexpr std::uint64_t longest_json = 100
                                       << 20; // more is no header, but an attack or another format
constexpr std::size_t alignment = 64;
constexpr std::size_t most_dimensions = 64; // LibTorch has no more
constexpr std::string_view metadata_key = "__metadata__";

struct type_row {
  element_type type;
  std::string_view name;
  std::size_t size;
};
constexpr std::array<type_row, 6> types{{{element_type::f32, "F32", 4},
                                         {element_type::f16, "F16", 2},
                                         {element_type::bf16, "BF16", 2},
                                         {element_type::i64, "I64", 8},
                                         {element_type::i32, "I32", 4},
                                         {element_type::u8, "U8", 1}}};

const type_row& row_of(element_type type) { return types[static_cast<std::size_t>(type)]; }

std::string quoted(const std::string& name) { return json(name).dump(); } // stays on one line

std::uint64_t read_length(std::string_view bytes) {
  std::uint64_t length = 0;
  for (std::size_t i = length_size; i-- > 0;)
    length = length << 8 | static_cast<unsigned char>(bytes[i]);
  return length;
}

std::string write_length(std::uint64_t length) {
  std::string bytes(length_size, '\0');
  for (auto& byte : bytes) byte = static_cast<char>(length & 0xff), length >>= 8;
  return bytes;
}

// A second tensor of a name would hide the first.
json parse_without_repeats(std::string_view text) {
  std::set<std::string> names;
  auto once = [&](int depth, json::parse_event_t event, json& key) {
    if (event == json::parse_event_t::key && depth == 1
        && !names.insert(key.get<std::string>()).second)
      throw bad_header("names a tensor twice");
    return true;
  };
  try {
    return json::parse(text, once);
  } catch (const json::exception&) {
    throw bad_header("the header is not JSON");
  }
}

json parse_json(std::string_view file) {
  if (file.size() < length_size) throw bad_header("too short to be a safetensors file");
  const auto length = read_length(file);
  if (length > longest_json) throw bad_header("not a safetensors file");
  if (length > file.size() - length_size) throw bad_header("cut off within its header");
  auto header = parse_without_repeats(file.substr(length_size, length));
  if (!header.is_object()) throw bad_header("the header is not a JSON object");
  return header;
}

element_type type_from(const json& value, const std::string& name) {
  const auto found =
      std::find_if(types.begin(), types.end(), [&](auto& row) { return value == row.name; });
  if (found == types.end())
    throw bad_header("tensor " + quoted(name) + " has no type that is known here");
  return found->type;
}

std::uint64_t number(const json& value, const std::string& name) {
  if (!value.is_number_unsigned())
    throw bad_header("tensor " + quoted(name) + " has a size that is no number");
  return value.get<std::uint64_t>();
}

const json& field(const json& tensor, const char* key, const std::string& name) {
  const auto found = tensor.find(key);
  if (found == tensor.end()) throw bad_header("tensor " + quoted(name) + " has no " + key);
  return *found;
}

const json& array(const json& tensor, const char* key, const std::string& name) {
  const auto& value = field(tensor, key, name);
  if (!value.is_array())
    throw bad_header("tensor " + quoted(name) + " has a " + key + " that is no list");
  return value;
}

// Bytes that the shape needs. Dimensions of zero make a tensor empty, but hide no overflow of the
// others.
std::uint64_t bytes_of(const tensor_entry& entry) {
  constexpr std::uint64_t most = std::numeric_limits<std::int64_t>::max();
  std::uint64_t bytes = size_of(entry.type);
  bool empty = false;
  for (const auto size : entry.shape) {
    const auto factor = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(size));
    if (bytes > most / factor) throw bad_header("tensor " + quoted(entry.name) + " is too large");
    bytes *= factor;
    empty = empty || size == 0;
  }
  return empty ? 0 : bytes;
}

tensor_entry entry_from(const std::string& name, const json& tensor, std::uint64_t data_size) {
  if (!tensor.is_object()) throw bad_header("tensor " + quoted(name) + " is not described");
  tensor_entry entry;
  entry.name = name;
  entry.type = type_from(field(tensor, "dtype", name), name);
  const auto& shape = array(tensor, "shape", name);
  if (shape.size() > most_dimensions)
    throw bad_header("tensor " + quoted(name) + " has too many dimensions");
  for (const auto& size : shape) {
    const auto value = number(size, name);
    if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
      throw bad_header("tensor " + quoted(name) + " is too large");
    entry.shape.push_back(static_cast<std::int64_t>(value));
  }
  const auto& offsets = array(tensor, "data_offsets", name);
  if (offsets.size() != 2) throw bad_header("tensor " + quoted(name) + " has no two data_offsets");
  entry.begin = number(offsets[0], name);
  entry.end = number(offsets[1], name);
  if (entry.begin > entry.end || entry.end > data_size)
    throw bad_header("tensor " + quoted(name)
                     + " reaches beyond the end of the file; it was cut off");
  if (entry.end - entry.begin != bytes_of(entry))
    throw bad_header("tensor " + quoted(name) + " has another length than its shape");
  return entry;
}

std::map<std::string, std::string> metadata_from(const json& value) {
  std::map<std::string, std::string> metadata;
  if (!value.is_object()) throw bad_header("the metadata is not a table");
  for (const auto& [key, text] : value.items()) {
    if (!text.is_string()) throw bad_header("the metadata holds something else than text");
    metadata[key] = text.get<std::string>();
  }
  return metadata;
}

void check_coverage(const std::vector<tensor_entry>& sorted, std::uint64_t data_size) {
  std::uint64_t covered = 0;
  for (const auto& entry : sorted) {
    if (entry.begin != covered)
      throw bad_header("tensor " + quoted(entry.name) + " overlaps or leaves a gap");
    covered = entry.end;
  }
  if (covered != data_size) throw bad_header("has bytes that belong to no tensor");
}

} // namespace

std::string_view to_string(element_type type) { return row_of(type).name; }
std::size_t size_of(element_type type) { return row_of(type).size; }

safetensors_header parse_safetensors_header(std::string_view file) {
  const auto parsed = parse_json(file);
  const auto data_begin = length_size + read_length(file);
  const auto data_size = file.size() - data_begin;
  safetensors_header header;
  for (const auto& [name, value] : parsed.items()) {
    if (name == metadata_key)
      header.metadata = metadata_from(value);
    else
      header.tensors.push_back(entry_from(name, value, data_size));
  }
  std::sort(header.tensors.begin(), header.tensors.end(),
            [](auto& a, auto& b) { return std::tie(a.begin, a.end) < std::tie(b.begin, b.end); });
  check_coverage(header.tensors, data_size);
  for (auto& entry : header.tensors) entry.begin += data_begin, entry.end += data_begin;
  return header;
}

std::string format_safetensors_header(const safetensors_header& header) {
  auto table = json::object();
  if (!header.metadata.empty()) table[std::string(metadata_key)] = header.metadata;
  for (const auto& entry : header.tensors)
    table[entry.name] = {{"dtype", to_string(entry.type)},
                         {"shape", entry.shape},
                         {"data_offsets", {entry.begin, entry.end}}};
  auto text = table.dump();
  const auto used = (length_size + text.size()) % alignment;
  if (used != 0) text.append(alignment - used, ' ');
  return write_length(text.size()) + text;
}

} // namespace banyan
