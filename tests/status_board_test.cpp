#include "actors/status_board.hpp"

#include <algorithm>
#include <optional>

#include <catch2/catch.hpp>

namespace banyan {
namespace {

TEST_CASE("a row shows what its thread last wrote", "[actors]") {
  status_board board;
  auto cell = board.add("tree", "/0");
  cell.enter(thread_phase::waiting, 42);
  cell.set_tokens(7);
  cell.set_waiting(3);
  const auto rows = board.snapshot();
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].tree == "tree");
  CHECK(rows[0].thread == "/0");
  CHECK(rows[0].phase == thread_phase::waiting);
  CHECK(rows[0].since_ms == 42);
  CHECK(rows[0].tokens == 7);
  CHECK(rows[0].waiting_for == 3);
}

TEST_CASE("a row goes with its loan", "[actors]") {
  status_board board;
  std::optional cell = board.add("tree", "/");
  auto moved = std::move(*cell);
  cell.reset();
  CHECK(board.size() == 1);
  moved = board.add("tree", "/1"); // gives up the first one
  CHECK(board.size() == 1);
  CHECK(board.snapshot().front().thread == "/1");
  moved = {};
  CHECK(board.size() == 0);
}

TEST_CASE("a loan may outlive its board", "[actors]") {
  std::optional<status_board> board(std::in_place);
  auto cell = board->add("tree", "/");
  board.reset();
  cell.set_tokens(1);
}

TEST_CASE("an empty loan shows nothing", "[actors]") {
  status_board::loan cell;
  cell.enter(thread_phase::done, 1);
  cell.set_tokens(1);
  cell.set_waiting(1);
}

TEST_CASE("pages of a snapshot make up the whole", "[actors]") {
  status_board board;
  std::vector<status_board::loan> cells;
  for (int i = 0; i < 200; ++i) cells.push_back(board.add("tree", "/" + std::to_string(i)));
  std::vector<std::string> paged, whole;
  for (std::size_t at = 0; at < 210; at += 30)
    for (const auto& row : board.snapshot(at, 30)) paged.push_back(row.thread);
  for (const auto& row : board.snapshot()) whole.push_back(row.thread);
  CHECK(paged == whole);
  CHECK(whole.size() == 200);
}

TEST_CASE("a tree finds its own rows", "[actors]") {
  status_board board;
  const auto a = board.add("a", "/"), b = board.add("b", "/"), c = board.add("b", "/0");
  CHECK(board.snapshot_of("b").size() == 2);
  CHECK(board.snapshot_of("c").empty());
}

TEST_CASE("a board counts its threads by what they do", "[actors]") {
  status_board board;
  auto a = board.add("t", "/"), b = board.add("t", "/0"), c = board.add("u", "/");
  a.enter(thread_phase::waiting, 1);
  b.enter(thread_phase::decoding, 1);
  c.enter(thread_phase::decoding, 1);
  using counts = std::map<thread_phase, std::uint64_t>;
  CHECK(board.counts() == counts{{thread_phase::decoding, 2}, {thread_phase::waiting, 1}});
  { const auto gone = std::move(c); }
  CHECK(board.counts() == counts{{thread_phase::decoding, 1}, {thread_phase::waiting, 1}});
}

} // namespace
} // namespace banyan
