#include "apps/table.hpp"
#include "apps/terminal.hpp"
#include "apps/text_width.hpp"

#include <string>

#include <catch2/catch.hpp>

namespace banyan {
namespace {

TEST_CASE("a text is as wide as a terminal draws it", "[apps]") {
  CHECK(width_of("") == 0);
  CHECK(width_of("abc") == 3);
  CHECK(width_of("äöü") == 3);
  CHECK(width_of("日本語") == 6);
  CHECK(width_of("\U0001F333") == 2);         // a tree
  CHECK(width_of("e\u0301") == 1);            // its accent stands on it
  CHECK(width_of("\xff\xc3") == 2);           // no UTF-8
  CHECK(width_of(std::string(1, '\0')) == 1); // ends nothing
}

TEST_CASE("a text is cut at columns and not within a character", "[apps]") {
  CHECK(first_columns("日本語", 4) == "日本");
  CHECK(first_columns("日本語", 5) == "日本");
  CHECK(first_columns("e\u0301x", 1) == "e\u0301");
  CHECK(first_columns("abc", 0).empty());
  CHECK(first_columns("abc", 9) == "abc");
  CHECK(last_columns("日本語", 4) == "本語");
  CHECK(last_columns("日本語", 3) == "語");
  CHECK(last_columns("abc", 0).empty());
  CHECK(last_columns("abc", 9) == "abc");
  CHECK(fit("日本語の木", 9) == "日本語...");
}

TEST_CASE("columns of a table stand under each other whatever is in them", "[apps]") {
  table t({{"NAME"}, {"N"}});
  t.add({"日本", "1"});
  t.add({"ab", "2"});
  const auto lines = t.lines(80);
  REQUIRE(lines.size() == 3);
  const auto place = [](const std::string& line, char what) {
    return width_of(std::string_view(line).substr(0, line.find(what)));
  };
  CHECK(place(lines[1], '1') == place(lines[2], '2'));
  CHECK(place(lines[1], '1') == place(lines[0], 'N') + 6);
}

} // namespace
} // namespace banyan
