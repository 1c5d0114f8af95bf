#include "model/config.hpp"
#include "model/safetensors.hpp"
#include "model/safetensors_header.hpp"
#include "tests/file_limit.hpp"
#include "tests/scratch_folder.hpp"

#include <ATen/ATen.h>
#include <catch2/catch.hpp>

using namespace banyan;

namespace {

// A file's bytes: little-endian length, JSON, data.
std::string file_bytes(const std::string& json, std::size_t data_size) {
  std::string bytes(8, '\0');
  for (std::size_t i = 0, length = json.size(); i < 8; ++i, length >>= 8)
    bytes[i] = static_cast<char>(length & 0xff);
  return bytes + json + std::string(data_size, 'x');
}

std::string one_tensor(const std::string& dtype, const std::string& shape,
                       const std::string& offsets) {
  return R"({"a":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets
         + "}}";
}

std::size_t files_in(const scratch_folder& folder) {
  const std::filesystem::directory_iterator all(folder.path());
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

} // namespace

TEST_CASE("tensors written are the tensors mapped in every type", "[model]") {
  const scratch_folder folder;
  const std::map<std::string, at::Tensor> tensors{
      {"bytes", at::arange(7, at::kByte)},
      {"floats", at::arange(6, at::kFloat).view({2, 3}) / 7},
      {"bfloats", at::arange(5, at::kBFloat16)},
      {"halves", at::arange(3, at::kHalf)},
      {"ints", at::arange(3, at::kInt)},
      {"longs", at::full({}, std::int64_t{1} << 40, at::kLong)},
      {"nothing", at::empty({0, 4}, at::kFloat)},
      {"turned", at::arange(6, at::kFloat).view({2, 3}).t()},
  };
  write_safetensors(folder / "t.safetensors", tensors, {{"format", "pt"}, {"step", "7"}});
  const auto file = map_safetensors(folder / "t.safetensors");
  CHECK(file.metadata == std::map<std::string, std::string>{{"format", "pt"}, {"step", "7"}});
  REQUIRE(file.tensors.size() == tensors.size());
  for (const auto& [name, tensor] : tensors) {
    CAPTURE(name);
    CHECK(file.tensors.at(name).scalar_type() == tensor.scalar_type());
    CHECK(at::equal(file.tensors.at(name), tensor));
  }
}

TEST_CASE("a mapped tensor outlives its file and its neighbours", "[model]") {
  at::Tensor kept;
  {
    const scratch_folder folder;
    write_safetensors(folder / "t", {{"a", at::ones({1000})}, {"b", at::zeros({1000})}});
    kept = map_safetensors(folder / "t").tensors.at("a");
  }
  CHECK(kept.sum().item<float>() == 1000);
}

TEST_CASE("a tensor at an odd place in the file is read all the same", "[model]") {
  const scratch_folder folder;
  const auto json = one_tensor("F32", "[1]", "[0,4]");
  const auto padded = json + std::string(json.size() % 2, ' '); // even, so that 9 + it is odd
  auto bytes = file_bytes(padded + " ", 0);
  REQUIRE(bytes.size() % 4 != 0);
  const float value = 2.5;
  bytes.append(reinterpret_cast<const char*>(&value), 4);
  folder.write("t", bytes);
  CHECK(map_safetensors(folder / "t").tensors.at("a").item<float>() == value);
}

TEST_CASE("a safetensors header that lies is refused", "[model]") {
  CHECK_NOTHROW(parse_safetensors_header(file_bytes(one_tensor("F32", "[2,2]", "[0,16]"), 16)));
  const std::string a = R"("a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]})";
  const std::vector<std::pair<const char*, std::string>> bad{
      {"empty", ""},
      {"a length alone", file_bytes("", 0).substr(0, 5)},
      {"a length beyond the file", file_bytes("{}", 0).substr(0, 9)},
      {"a huge length", std::string(8, '\xff') + "{}"},
      {"no JSON", file_bytes("{\"a\":", 0)},
      {"no object", file_bytes("[1]", 0)},
      {"a tensor that is no object", file_bytes(R"({"a":1})", 0)},
      {"no dtype", file_bytes(R"({"a":{"shape":[4],"data_offsets":[0,4]}})", 4)},
      {"no shape", file_bytes(R"({"a":{"dtype":"U8","data_offsets":[0,4]}})", 4)},
      {"no offsets", file_bytes(R"({"a":{"dtype":"U8","shape":[4]}})", 4)},
      {"an unknown type", file_bytes(one_tensor("F8_E4M3", "[4]", "[0,4]"), 4)},
      {"a negative size", file_bytes(one_tensor("F32", "[-1]", "[0,4]"), 4)},
      {"a fractional size", file_bytes(one_tensor("F32", "[1.0]", "[0,4]"), 4)},
      {"a shape of another length", file_bytes(one_tensor("F32", "[2]", "[0,4]"), 4)},
      {"an overflowing shape", file_bytes(one_tensor("U8", "[4294967296,4294967296]", "[0,0]"), 0)},
      {"an overflow behind a zero",
       file_bytes(one_tensor("U8", "[0,4294967296,4294967296]", "[0,0]"), 0)},
      {"a size above 63 bits",
       file_bytes(one_tensor("U8", "[0,18446744073709551615]", "[0,0]"), 0)},
      {"offsets turned round", file_bytes(one_tensor("U8", "[4]", "[4,0]"), 4)},
      {"one offset", file_bytes(one_tensor("U8", "[4]", "[4]"), 4)},
      {"an end beyond the file", file_bytes(one_tensor("U8", "[4]", "[0,4]"), 3)},
      {"bytes of no tensor", file_bytes(one_tensor("U8", "[4]", "[0,4]"), 5)},
      {"a gap", file_bytes(one_tensor("U8", "[4]", "[1,5]"), 5)},
      {"an overlap",
       file_bytes("{" + a + R"(,"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})", 6)},
      {"a name used twice", file_bytes("{" + a + "," + a + "}", 4)},
      {"metadata that is no text", file_bytes(R"({"__metadata__":{"step":7}})", 0)},
  };
  for (const auto& [what, bytes] : bad) {
    CAPTURE(what);
    CHECK_THROWS_AS(parse_safetensors_header(bytes), bad_header);
  }
}

TEST_CASE("every way to cut a safetensors file off is noticed", "[model]") {
  const auto whole = file_bytes(one_tensor("F32", "[2,2]", "[0,16]"), 16);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CAPTURE(size);
    CHECK_THROWS_AS(parse_safetensors_header(std::string_view(whole).substr(0, size)), bad_header);
  }
}

TEST_CASE("a safetensors file that cannot be read is named", "[model]") {
  const scratch_folder folder;
  CHECK_THROWS_WITH(map_safetensors(folder / "none"), Catch::Contains("none: cannot be read"));
  CHECK_THROWS_AS(map_safetensors(folder.path()), bad_checkpoint);
  folder.write("empty", "");
  CHECK_THROWS_WITH(map_safetensors(folder / "empty"), Catch::Contains("empty: too short"));
}

TEST_CASE("a file that does not fit on the disk leaves the earlier one whole", "[model]") {
  const scratch_folder folder;
  write_safetensors(folder / "t", {{"a", at::ones({8})}});
  const auto before = folder.read("t");
  {
    const file_limit limit(4096);
    CHECK_THROWS_AS(write_safetensors(folder / "t", {{"a", at::zeros({100'000})}}),
                    std::system_error);
  }
  CHECK(folder.read("t") == before);
  CHECK(files_in(folder) == 1);
}

TEST_CASE("a tensor type that the format lacks is refused before anything is written", "[model]") {
  const scratch_folder folder;
  CHECK_THROWS_AS(write_safetensors(folder / "t", {{"a", at::ones({2}, at::kDouble)}}),
                  std::invalid_argument);
  CHECK(files_in(folder) == 0);
}
