#include "gpu_pool/stop_strings.hpp"

#include <catch2/catch.hpp>

#include <vector>

using namespace banyan;

namespace {

/// Feeds pieces until one completes a string: "<number of pieces> <string>", or "".
std::string stop_of(const std::vector<std::string>& pieces,
                    const std::vector<std::string>& strings) {
  std::string tail;
  for (std::size_t i = 0; i < pieces.size(); ++i)
    if (auto stop = find_stop(tail, pieces[i], strings))
      return std::to_string(i + 1) + " " + strings[*stop];
  return "";
}

} // namespace

TEST_CASE("a stop string is found across pieces", "[pool]") {
  CHECK(stop_of({"a", "b", "c", "d"}, {"bc"}) == "3 bc");
  CHECK(stop_of({"<Sub", " Sear", "ches>"}, {"<Sub Searches>"}) == "3 <Sub Searches>");
  CHECK(stop_of({"xx", "xaby"}, {"ab"}) == "2 ab");
  CHECK(stop_of({"a", "b"}, {"abc"}) == "");
  CHECK(stop_of({"a", "", "b"}, {"ab"}) == "3 ab");
}

TEST_CASE("a stop string may begin inside a false start", "[pool]") {
  CHECK(stop_of({"a", "a", "a", "b"}, {"aab"}) == "4 aab");
  CHECK(stop_of({"ab", "ab", "abc"}, {"ababc"}) == "3 ababc");
}

TEST_CASE("of several stop strings the one that ends first wins", "[pool]") {
  CHECK(stop_of({"abcd"}, {"cd", "bc"}) == "1 bc");
  CHECK(stop_of({"abc"}, {"bc", "abc"}) == "1 bc");
  CHECK(stop_of({"abc"}, {"abc", "bc"}) == "1 abc");
}

TEST_CASE("only what may still become a stop string is remembered", "[pool]") {
  std::string tail;
  const std::vector<std::string> strings{"never"};
  for (int i = 0; i < 1000; ++i) find_stop(tail, "nev", strings);
  CHECK(tail.size() < strings[0].size());
}
