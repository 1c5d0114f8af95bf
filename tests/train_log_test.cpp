#include "trainer/train_log.hpp"

#include "tests/file_limit.hpp"
#include "tests/scratch_folder.hpp"

#include <fstream>
#include <sstream>
#include <string>
#include <system_error>

#include <catch2/catch.hpp>

namespace banyan {
namespace {

std::string text_of(const std::filesystem::path& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

TEST_CASE("a line that finds no room leaves nothing, and the next one has its place", "[trainer]") {
  const scratch_folder out;
  const auto file = out / "log.jsonl";
  train_log log(file);
  log.write(R"({"step":1})");
  {
    const file_limit full(std::filesystem::file_size(file) + 3);
    CHECK_THROWS_WITH(log.write(R"({"step":2})"),
                      Catch::Contains("log.jsonl") && Catch::Contains("File too large"));
  }
  log.write(R"({"step":2})");
  CHECK(text_of(file) == "{\"step\":1}\n{\"step\":2}\n");
}

TEST_CASE("lines of later steps go, those that are missing are counted", "[trainer]") {
  const scratch_folder out;
  const auto file = out / "log.jsonl";
  std::ofstream(file) << "{\"step\":1}\nnonsense\n{\"step\":3}\n{\"step\":3,\"eval\":{}}\n"
                         "{\"step\":4}\n{\"step\":4,\"eval\":{}}\n";
  train_log log(file);
  const auto kept = log.keep_until(3);
  CHECK(kept.lost == 1);
  CHECK(kept.evaluated == 3);
  log.write(R"({"step":4})");
  CHECK(text_of(file) == "{\"step\":1}\n{\"step\":3}\n{\"step\":3,\"eval\":{}}\n{\"step\":4}\n");
  train_log none(out / "other.jsonl");
  CHECK(none.keep_until(5).lost == 5);
}

} // namespace
} // namespace banyan
