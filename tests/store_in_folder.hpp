#pragma once

#include "solver/records.hpp"
#include "solver/trace.hpp"
#include "tests/scratch_folder.hpp"
#include "trainer/tree_store.hpp"

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>

namespace banyan {

using ids = std::vector<std::string>;

inline const problem some_problem{{5, 50, 79, 27}, 62};

inline solve_request request_of(std::string id) {
  solve_request r;
  r.id = std::move(id);
  r.problem = some_problem;
  r.labels = {{"run", "a"}};
  r.sampling.seed = 7;
  return r;
}

inline segment sampled(segment_kind kind, std::size_t tokens) {
  segment s{.kind = kind, .text = std::string(4 * tokens, 'w')};
  s.ids.assign(tokens, 77);
  s.logprobs.assign(tokens, -0.5F);
  s.epochs.assign(tokens, 3);
  return s;
}

/// A thread that has written so much and waits for a child.
inline thread_record thread_of(const std::string& path, std::size_t tokens = 10) {
  thread_record t;
  t.path = path;
  t.depth = path == "/" ? 0 : static_cast<std::uint32_t>(std::ranges::count(path, '/'));
  t.phase = thread_phase::waiting;
  t.pool = "cpu:0";
  t.segments = {{.kind = segment_kind::prompt, .text = "p", .ids = {1, 2}},
                sampled(segment_kind::written, tokens),
                sampled(segment_kind::spawn, 2)};
  return t;
}

/// What `request_of` became.
inline tree finished_tree_of(std::string id, std::int64_t created_ms = 1000,
                             std::size_t tokens = 10) {
  tree t;
  t.id = std::move(id);
  t.problem = some_problem;
  t.prompt = root_prompt(t.problem);
  t.labels = {{"run", "a"}};
  t.phase = tree_phase::done;
  t.outcome = {true, true, {"50/5=10"}, "solution"};
  t.created_ms = created_ms;
  t.finished_ms = created_ms + 500;
  t.weights_epoch = 3;
  t.wall_ms = 499.5;
  t.threads = {thread_of("/", tokens), thread_of("/0", tokens)};
  t.threads[0].rounds = 1;
  t.threads[1].solution = "solution";
  return t;
}

inline void write(tree_store& store, const std::function<void()>& what) {
  store.begin();
  what();
  store.commit();
}

inline void accept_all(tree_store& store, const ids& names, std::int64_t created_ms = 1000) {
  write(store, [&] {
    for (const auto& id : names) store.accept(request_of(id), created_ms++);
  });
}

inline void finish_all(tree_store& store, const ids& names, std::int64_t created_ms = 1000) {
  write(store, [&] {
    for (const auto& id : names) store.finish(finished_tree_of(id, created_ms++));
  });
}

inline ids names_of(const std::vector<tree>& trees) {
  ids names;
  for (const auto& t : trees) names.push_back(t.id);
  return names;
}

inline ids listed(const tree_store& store, const tree_filter& filter = {}) {
  return names_of(store.list(filter));
}

inline ids visited(const tree_store& store, const tree_filter& filter = {}) {
  ids names;
  store.for_each(filter, [&](tree&& t) {
    names.push_back(t.id);
    return true;
  });
  return names;
}

inline ids unfinished_names(const tree_store& store) {
  ids names;
  for (const auto& t : store.unfinished()) names.push_back(t.request.id);
  return names;
}

inline ids paths_of(const std::vector<thread_record>& threads) {
  ids paths;
  for (const auto& t : threads) paths.push_back(t.path);
  return paths;
}

inline void check_same(const std::optional<tree>& a, const tree& b) {
  REQUIRE(a);
  CHECK(encode_tree(*a) == encode_tree(b));
}

inline std::string_view name_of(store_error::kind k) {
  switch (k) {
  case store_error::kind::full: return "full";
  case store_error::kind::locked: return "locked";
  case store_error::kind::damaged: return "damaged";
  case store_error::kind::newer: return "newer";
  case store_error::kind::io: return "io";
  }
  return "unknown";
}

/// Why it failed; that it says so in one line with the file and a remedy is checked here.
template <class Action>
std::string_view trouble_with(const std::filesystem::path& file, Action action) {
  try {
    action();
  } catch (const store_error& why) {
    INFO(why.what());
    const std::string text = why.what();
    CHECK(text.starts_with(file.string() + ": "));
    CHECK(text.find("; ") != std::string::npos);
    CHECK(text.find('\n') == std::string::npos);
    return name_of(why.why);
  }
  return "none";
}

struct store_in_folder {
  scratch_folder folder;
  std::filesystem::path file = folder / "trees.db";
  std::optional<tree_store> opened{std::in_place, file};
  tree_store& store = *opened;

  /// As after a restart.
  void reopen(store_options options = {}) {
    opened.reset();
    opened.emplace(file, options);
  }
};

/// Each of about 100 kB, in several transactions.
inline void finish_large(tree_store& store, int count, int first = 0) {
  for (int i = first; i < first + count; ++i)
    write(store, [&] { store.finish(finished_tree_of("t" + std::to_string(i), 1000 + i, 3800)); });
}

} // namespace banyan
