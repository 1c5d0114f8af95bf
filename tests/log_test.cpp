#include "apps/banyand/log.hpp"

#include <string>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace banyan {
namespace {

using namespace std::string_literals;
using form = daemon_options::format;
using level = daemon_log::level;

constexpr std::int64_t half_past_nine = 1795339800000;

std::string text_of(std::string_view message, std::string_view tree = {}) {
  return daemon_log::line(form::text, half_past_nine, level::info, message, tree);
}

std::string json_of(std::string_view message, std::string_view tree = {}) {
  return daemon_log::line(form::json, half_past_nine, level::info, message, tree);
}

TEST_CASE("a log line says when and how grave and which tree", "[apps]") {
  CHECK(text_of("accepted", "01J9") == "2026-11-22T09:30:00.000Z info [01J9] accepted");
  CHECK(text_of("ended") == "2026-11-22T09:30:00.000Z info ended");
  CHECK(json_of("accepted", "01J9")
        == R"({"time":"2026-11-22T09:30:00.000Z","level":"info",)"
           R"("tree":"01J9","message":"accepted"})");
}

TEST_CASE("nothing that is said begins another line or steers a terminal", "[apps]") {
  const auto all = "a\n\r\t\0\x1b[2J\x7f b \u009b2J \x9b"s;
  const auto shown = R"(a\x0a\x0d\x09\x00\x1b[2J\x7f b \x9b2J \x9b)"s;
  CHECK(text_of(all) == "2026-11-22T09:30:00.000Z info " + shown);
  CHECK(text_of("", all) == "2026-11-22T09:30:00.000Z info [" + shown + "] ");
  CHECK(json_of("\x1b\x7f\u009b\n").ends_with(R"("\u001b\u007f\u009b\n"})"));
}

TEST_CASE("a JSON log line gives what was said", "[apps]") {
  const auto said = "25 × 4 → 100 …\n\x1b\x7f\u0085"s;
  CHECK(nlohmann::json::parse(json_of(said, said)).at("message") == said);
  CHECK(nlohmann::json::parse(json_of(said, said)).at("tree") == said);
}

TEST_CASE("a log line keeps what is no control character", "[apps]") {
  const auto said = "25 × 4 → 100 … \u00a0 \xf0\x9f\x8c\xb3"s;
  CHECK(text_of(said).ends_with(said));
  CHECK(json_of(said).find(said) != std::string::npos);
}

TEST_CASE("a log line shows bytes that are no UTF-8 by their number", "[apps]") {
  CHECK(text_of("\xff\xe2\x82").ends_with(R"(\xff\xe2\x82)"));
  CHECK(text_of("\xc3").ends_with(R"(\xc3)"));
}

} // namespace
} // namespace banyan
