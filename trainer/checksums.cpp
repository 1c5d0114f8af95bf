#include "trainer/checksums.hpp"

#include "model/checkpoint.hpp"
#include "model/read_file.hpp"
#include "solver/fnv.hpp"

#include <algorithm>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace banyan {

namespace fs = std::filesystem;

namespace {

/// Of a file, eight bytes at a time.
std::string checksum_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::uint64_t hash = fnv1a({});
  std::vector<char> part(1 << 20);
  while (in.read(part.data(), std::ssize(part)) || in.gcount() > 0) {
    std::fill(part.begin() + in.gcount(), part.end(), '\0');
    for (std::ptrdiff_t i = 0; i < in.gcount(); i += 8) {
      std::uint64_t word;
      std::memcpy(&word, part.data() + i, sizeof word);
      hash = (hash ^ word) * fnv_prime;
    }
  }
  char text[17];
  std::snprintf(text, sizeof text, "%016" PRIx64, hash);
  return text;
}

nlohmann::ordered_json checksums_of(const fs::path& folder) {
  std::map<std::string, std::string> all;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == ".safetensors")
      all[entry.path().filename().string()] = checksum_of(entry.path());
  return all;
}

} // namespace

void write_checksums(const fs::path& folder) {
  write_file_atomically(folder / checksum_file, checksums_of(folder).dump(2) + "\n");
}

fs::path changed_file(const fs::path& folder) {
  if (!fs::exists(folder / checksum_file)) return {};
  const auto written = nlohmann::json::parse(read_file(folder / checksum_file));
  for (const auto& [name, checksum] : written.items())
    if (checksum_of(folder / name) != checksum) return folder / name;
  return {};
}

} // namespace banyan
