// How fast the solver makes problems and demonstrations, per core, and how often each search policy
// succeeds. Ratios are against the published Python implementation on one core.
//
//   solver_bench                                    speed (Google Benchmark; its options apply)
//   solver_bench --figures [problems] [seed]        success rates beside the published ones
#include "solver/problems.hpp"
#include "solver/search.hpp"

#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace banyan {
namespace {

search_options apr_as_published() { return {}; }

search_options apr_always_spawning(int beam, int sub_beam) {
  search_options options;
  options.beam_low = options.beam_high = beam;
  options.sub_beam_low = options.sub_beam_high = sub_beam;
  options.spawn_probability = 1;
  return options;
}

search_options serial(search_kind kind) {
  search_options options;
  options.kind = kind;
  options.beam_low = 1, options.beam_high = 5;
  options.spawn_probability = 0.5;
  return options;
}

/// Three numbers, every operation with a small result written out: what the shipped model learns
/// from.
search_options apr_for_three_numbers() {
  auto options = apr_always_spawning(15, 15);
  options.order = node_order::generation;
  options.max_result = 199;
  return options;
}

std::vector<problem> problems(int num_numbers, std::size_t count, std::uint64_t seed) {
  problem_options options;
  options.num_numbers = num_numbers;
  options.seed = seed;
  return generate_problems(options, count);
}

/// `reference`: what the published implementation makes per second, 0 where nobody measured it.
void rate(benchmark::State& state, std::size_t items, double reference) {
  auto count = static_cast<double>(items);
  state.SetItemsProcessed(static_cast<std::int64_t>(items));
  if (reference > 0)
    state.counters["x_reference"] = {count / reference, benchmark::Counter::kIsRate};
}

void demonstrations(benchmark::State& state, const search_options& options, int num_numbers,
                    double reference) {
  auto given = problems(num_numbers, 1000, 1);
  std::uint64_t index = 0, bytes = 0;
  for (auto _ : state) {
    auto t = demonstrate(given[index % given.size()], options, index);
    bytes += text_bytes(t);
    ++index;
    benchmark::DoNotOptimize(t);
  }
  rate(state, index, reference);
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes));
}

void solvable_problems(benchmark::State& state, double reference) {
  problem_options options;
  problem_set none;
  std::uint64_t index = 0;
  for (auto _ : state) benchmark::DoNotOptimize(draw_problem(options, index++, none));
  rate(state, index, reference);
}

void verified_solutions(benchmark::State& state) {
  auto given = problems(4, 1000, 1);
  std::vector<tree> solved;
  for (std::size_t i = 0; i < given.size(); ++i) {
    auto t = demonstrate(given[i], apr_as_published(), i);
    if (t.outcome.solved) solved.push_back(std::move(t));
  }
  std::size_t count = 0;
  for (auto _ : state) {
    auto& t = solved[count++ % solved.size()];
    benchmark::DoNotOptimize(judge(t.problem, t.outcome.solution));
  }
  rate(state, count, 0);
}

BENCHMARK_CAPTURE(demonstrations, apr_4, apr_as_published(), 4, 577);
BENCHMARK_CAPTURE(demonstrations, sos_plus_4, serial(search_kind::sos_plus), 4, 1802);
BENCHMARK_CAPTURE(demonstrations, sos_bfs_4, serial(search_kind::sos_bfs), 4, 0);
BENCHMARK_CAPTURE(demonstrations, sos_dfs_4, serial(search_kind::sos_dfs), 4, 0);
BENCHMARK_CAPTURE(demonstrations, apr_3_generation_order, apr_for_three_numbers(), 3, 0);
BENCHMARK_CAPTURE(solvable_problems, 4, 231);
BENCHMARK(verified_solutions);

/// One row: how often a policy solves, beside the published rate; children and rounds of its trees.
void print_figures(const char* name, const search_options& options, const char* published,
                   const std::vector<problem>& given) {
  std::size_t solved = 0, children = 0, rounds = 0, spawning = 0, most = 0, bytes = 0;
  for (std::size_t i = 0; i < given.size(); ++i) {
    auto t = demonstrate(given[i], options, i);
    if (t.outcome.claimed != t.outcome.solved) std::abort();
    solved += t.outcome.solved;
    children += t.threads.size() - 1;
    most = std::max(most, t.threads.size() - 1);
    rounds += t.root().rounds;
    spawning += t.root().rounds > 0;
    bytes += text_bytes(t);
  }
  auto count = static_cast<double>(given.size());
  auto of_spawning = spawning ? static_cast<double>(rounds) / static_cast<double>(spawning) : 0;
  std::printf("%-24s %.3f  %9s  %8.2f  %4zu  %6.2f  %7.0f\n", name,
              static_cast<double>(solved) / count, published, static_cast<double>(children) / count,
              most, of_spawning, static_cast<double>(bytes) / count);
}

int figures(std::size_t count, std::uint64_t seed) {
  auto four = problems(4, count, seed);
  auto three = problems(3, count, seed);
  std::printf("%zu problems a row; rounds: mean over trees that spawn\n", count);
  std::printf("%-24s solved published  children  most  rounds    bytes\n", "policy");
  print_figures("apr, sampled beams", apr_as_published(), ".714", four);
  print_figures("sos+, sampled beams", serial(search_kind::sos_plus), ".514", four);
  print_figures("apr 5x10, spawning", apr_always_spawning(5, 10), ".781", four);
  print_figures("apr 10x15, spawning", apr_always_spawning(10, 15), ".892", four);
  print_figures("apr 15x15, spawning", apr_always_spawning(15, 15), ".976", four);
  print_figures("apr 24x15, spawning", apr_always_spawning(24, 15), "1.000", four);
  print_figures("sos bfs", serial(search_kind::sos_bfs), "-", four);
  print_figures("sos dfs", serial(search_kind::sos_dfs), "-", four);
  print_figures("apr 10x10, 3 numbers", apr_always_spawning(10, 10), "1.000", three);
  print_figures("recipe, 3 numbers", apr_for_three_numbers(), "-", three);
  return 0;
}

} // namespace
} // namespace banyan

int main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], "--figures") == 0)
    return banyan::figures(argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 20000,
                           argc > 3 ? std::strtoul(argv[3], nullptr, 10) : 0);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
}
