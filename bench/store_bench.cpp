// What the tree store takes: accepted and finished trees per second, a page of a list, all
// unfinished trees at a start, and making room. Trees are like those of Countdown with four
// numbers: 8 threads, 3,000 tokens.
//
//   store_bench [--benchmark_filter=…]     in $TMPDIR, else /tmp; a disk's sync is what it is
#include "trainer/tree_store.hpp"

#include <benchmark/benchmark.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

#include <stdlib.h>

namespace banyan {
namespace {

/// A store in a folder that goes with it.
class store_in_folder {
public:
  explicit store_in_folder(bool sync) : store_(make_folder() / "trees.db", {.sync = sync}) {}
  ~store_in_folder() { std::filesystem::remove_all(folder_); }
  store_in_folder(const store_in_folder&) = delete;

  tree_store* operator->() { return &store_; }

private:
  const std::filesystem::path& make_folder() {
    auto name = (std::filesystem::temp_directory_path() / "banyan-store-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error(name + ": cannot be made");
    return folder_ = name;
  }

  std::filesystem::path folder_;
  tree_store store_;
};

solve_request request_of(std::int64_t number) {
  solve_request r;
  r.id = "tree" + std::to_string(number);
  r.problem = {{5, 50, 79, 27}, 62};
  r.labels = {{"run", std::to_string(number % 10)}};
  return r;
}

segment sampled(segment_kind kind, std::size_t tokens) {
  segment s{.kind = kind, .text = std::string(4 * tokens, 'w')};
  s.ids.assign(tokens, 77);
  s.logprobs.assign(tokens, -0.5F);
  s.epochs.assign(tokens, 3);
  return s;
}

thread_record thread_of(const std::string& path, std::size_t tokens) {
  thread_record t;
  t.path = path;
  t.depth = path == "/" ? 0 : 1;
  t.phase = thread_phase::done;
  t.pool = "cpu:0";
  t.segments = {{.kind = segment_kind::prompt, .text = "prompt", .ids = {1, 2, 3}},
                sampled(segment_kind::written, tokens)};
  return t;
}

tree finished(std::int64_t number) {
  const auto request = request_of(number);
  tree t;
  t.id = request.id;
  t.problem = request.problem;
  t.labels = request.labels;
  t.phase = number % 4 == 0 ? tree_phase::failed : tree_phase::done;
  t.created_ms = number;
  t.finished_ms = number + 1;
  t.threads.push_back(thread_of("/", 900));
  for (int i = 0; i < 7; ++i) t.threads.push_back(thread_of("/" + std::to_string(i), 300));
  return t;
}

/// Writes trees in transactions of `batch`.
void trees(benchmark::State& state, bool sync) {
  store_in_folder store(sync);
  const auto batch = state.range(0);
  const auto root = thread_of("/", 300);
  auto t = finished(1);
  std::int64_t number = 0;
  for (auto _ : state) {
    store->begin();
    for (auto i = number; i < number + batch; ++i) store->accept(request_of(i), i);
    for (auto i = number; i < number + batch; ++i) store->record(request_of(i).id, root);
    store->commit();
    store->begin();
    for (auto i = number; i < number + batch; ++i) {
      t.id = request_of(i).id;
      t.finished_ms = i;
      store->finish(t);
    }
    store->commit();
    number += batch;
  }
  state.SetItemsProcessed(number);
  state.counters["file_bytes_per_tree"] =
      static_cast<double>(store->counts().bytes) / static_cast<double>(number);
}
BENCHMARK_CAPTURE(trees, synced, true)->Arg(1)->Arg(16)->Arg(256)->UseRealTime();
BENCHMARK_CAPTURE(trees, not_synced, false)->Arg(1)->Arg(16)->Arg(256)->UseRealTime();

/// Each step of a tree's life for itself, within one long transaction.
template <class Step>
void one_step(benchmark::State& state, Step step) {
  store_in_folder store(false);
  store->begin();
  for (std::int64_t i = 0; i < 1000; ++i) store->accept(request_of(i), i);
  std::int64_t number = 0;
  for (auto _ : state) {
    step(*store.operator->(), number++);
    if (number % 1000 == 0) {
      state.PauseTiming();
      store->commit();
      store->begin();
      state.ResumeTiming();
    }
  }
  store->commit();
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK_CAPTURE(one_step, accept,
                  [](tree_store& store, std::int64_t i) { store.accept(request_of(1000 + i), i); });
BENCHMARK_CAPTURE(one_step, record, [](tree_store& store, std::int64_t i) {
  static const auto root = thread_of("/", 300);
  store.record(request_of(i % 1000).id, root);
});
BENCHMARK_CAPTURE(one_step, finish, [](tree_store& store, std::int64_t i) {
  static auto t = finished(1);
  t.id = request_of(i).id;
  store.finish(t);
});

/// A store with so many finished trees, every fourth of them failed, and then one that waits.
void fill(tree_store& store, std::int64_t count) {
  store.begin();
  for (std::int64_t i = 0; i < count; ++i) store.finish(finished(i));
  store.accept(request_of(count), count);
  store.commit();
}

void page(benchmark::State& state, const tree_filter& filter) {
  store_in_folder store(false);
  fill(*store.operator->(), state.range(0));
  std::size_t listed = 0;
  for (auto _ : state) listed += store->list(filter).size();
  state.SetItemsProcessed(static_cast<std::int64_t>(listed));
}
BENCHMARK_CAPTURE(page, newest_100, {})->Arg(1000)->Arg(20000)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(page, failed_100, {.states = {tree_phase::failed}})
    ->Arg(20000)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(page, of_a_label_100, {.labels = {{"run", "3"}}})
    ->Arg(20000)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(page, the_one_that_waits, {.states = {tree_phase::queued, tree_phase::running}})
    ->Arg(20000)
    ->Unit(benchmark::kMicrosecond);

/// A list of two conditions, over small trees that all have the first one; one in 20,000 has what
/// is searched for.
void two_conditions(benchmark::State& state, const tree_filter& filter) {
  store_in_folder store(false);
  store->begin();
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    auto t = finished(i);
    t.threads = {thread_of("/", 30)};
    t.labels = {{"env", "prod"}, {"run", i % 20'000 == 0 ? "x" : "b"}};
    t.outcome.solved = i % 20'000 != 0;
    store->finish(t);
  }
  store->commit();
  std::size_t listed = 0;
  for (auto _ : state) listed += store->list(filter).size();
  state.counters["trees"] = static_cast<double>(listed) / static_cast<double>(state.iterations());
}
BENCHMARK_CAPTURE(two_conditions, label_and_state,
                  {.states = {tree_phase::running}, .labels = {{"env", "prod"}}})
    ->Arg(100'000)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(two_conditions, label_and_solved,
                  {.labels = {{"env", "prod"}}, .solved = false, .limit = 1000})
    ->Arg(100'000)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(two_conditions, two_labels, {.labels = {{"env", "prod"}, {"run", "x"}}})
    ->Arg(100'000)
    ->Unit(benchmark::kMicrosecond);
/// Every fourth has failed.
BENCHMARK_CAPTURE(two_conditions, two_common,
                  {.states = {tree_phase::failed}, .labels = {{"env", "prod"}}})
    ->Arg(100'000)
    ->Unit(benchmark::kMicrosecond);

void status(benchmark::State& state) {
  store_in_folder store(false);
  fill(*store.operator->(), state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(store->counts());
}
BENCHMARK(status)->Arg(20000)->Unit(benchmark::kMicrosecond);

void unfinished(benchmark::State& state) {
  store_in_folder store(false);
  store->begin();
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    store->accept(request_of(i), i);
    if (i % 4 != 0) continue; // the others have not begun
    store->record(request_of(i).id, thread_of("/", 300));
    store->record(request_of(i).id, thread_of("/0", 100));
  }
  store->commit();
  for (auto _ : state) benchmark::DoNotOptimize(store->unfinished());
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(unfinished)->Arg(10000)->Unit(benchmark::kMillisecond);

void sweep(benchmark::State& state) {
  std::int64_t dropped = 0;
  for (auto _ : state) {
    state.PauseTiming();
    {
      store_in_folder store(false);
      fill(*store.operator->(), state.range(0));
      state.ResumeTiming();
      dropped += static_cast<std::int64_t>(store->sweep({.max_bytes = 1}, 0));
      state.PauseTiming();
    }
    state.ResumeTiming();
  }
  state.SetItemsProcessed(dropped);
}
BENCHMARK(sweep)->Arg(1000)->Unit(benchmark::kMillisecond);

} // namespace
} // namespace banyan

BENCHMARK_MAIN();
