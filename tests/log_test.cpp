#include "apps/banyand/log.hpp"

#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

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
  CHECK(text_of("a\u202eb\u2069\u2026").ends_with("a\\u202eb\\u2069\u2026")); // runs the other way
  CHECK(json_of("a\u202eb\u2069\u2026").ends_with("\"a\\u202eb\\u2069\u2026\"}"));
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

/// Standard error is a pipe until the fixture goes.
struct piped_errors {
  int saved = ::dup(STDERR_FILENO);
  int reading = -1;

  piped_errors() {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    ::fcntl(ends[1], F_SETPIPE_SZ, 4096);
    ::dup2(ends[1], STDERR_FILENO);
    ::close(ends[1]);
    reading = ends[0];
  }

  ~piped_errors() { ::close(reading); }

  /// All lines to the end of the log.
  std::vector<std::string> end_and_read() {
    std::string all;
    std::thread reader([&] {
      char some[4096];
      for (ssize_t n; (n = ::read(reading, some, sizeof some)) > 0;)
        all.append(some, static_cast<std::size_t>(n));
    });
    CHECK(daemon_log::end("the last word"));
    ::dup2(saved, STDERR_FILENO);
    ::close(saved);
    reader.join();
    std::vector<std::string> lines;
    std::istringstream in(all);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }
};

TEST_CASE("a log that nobody reads holds nobody up and says what it dropped", "[apps]") {
  constexpr std::size_t count = 6000;
  piped_errors errors;
  daemon_log::begin(form::text, level::debug);
  for (std::size_t i = 0; i < count; ++i)
    daemon_log::write(level::debug, "line " + std::to_string(i) + std::string(50, '.'));
  const auto lines = errors.end_and_read();
  REQUIRE(lines.size() > 2);
  CHECK(lines.back() == "the last word");
  CHECK(lines.at(lines.size() - 2).find("line 5999.") != std::string::npos);
  std::size_t dropped = 0, notes = 0;
  for (const auto& line : lines) {
    const auto at = line.find("warning ");
    if (at == line.npos || !line.ends_with(" lines of the log were not written: nobody reads it"))
      continue;
    dropped += std::stoul(line.substr(at + 8));
    ++notes;
  }
  CHECK(notes > 0);
  CHECK(dropped + lines.size() - notes - 1 == count);
}

TEST_CASE("a log that has not begun has no last word", "[apps]") {
  CHECK_FALSE(daemon_log::end("nobody hears this"));
}

} // namespace
} // namespace banyan
