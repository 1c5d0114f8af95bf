# Benchmarks; each prints ratios measured in one run.
find_package(benchmark REQUIRED)

banyan_program(solver_bench bench/solver_bench.cpp)
target_link_libraries(solver_bench PRIVATE banyan_solver benchmark::benchmark)

banyan_program(decode_bench bench/decode_bench.cpp)
target_link_libraries(decode_bench PRIVATE banyan_apps)

banyan_program(pool_bench bench/pool_bench.cpp)
target_link_libraries(pool_bench PRIVATE banyan_apps nlohmann_json::nlohmann_json)

banyan_program(store_bench bench/store_bench.cpp)
target_link_libraries(store_bench PRIVATE banyan_store benchmark::benchmark)

banyan_program(publish_bench bench/publish_bench.cpp)
target_link_libraries(publish_bench PRIVATE banyan_apps)

banyan_program(forest_bench bench/forest_bench.cpp)
target_link_libraries(forest_bench PRIVATE banyan_forest banyan_http banyan_store_actor)

banyan_program(tree_batch_bench bench/tree_batch_bench.cpp)
target_link_libraries(tree_batch_bench PRIVATE banyan_apps nlohmann_json::nlohmann_json)

# The other side of bench/compare_training.py.
banyan_program(train_step_bench bench/train_step_bench.cpp)
target_link_libraries(train_step_bench PRIVATE banyan_apps nlohmann_json::nlohmann_json)

# They still run, and what they check of themselves holds. How fast is nobody's business here.
function(banyan_bench_runs program)
  add_test(NAME "bench: ${program} runs" COMMAND ${program} ${ARGN})
  set_tests_properties("bench: ${program} runs" PROPERTIES LABELS bench TIMEOUT 300
    WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}")
endfunction()
if(NOT BANYAN_SANITIZE)
  banyan_bench_runs(solver_bench --benchmark_min_time=0.001)
  banyan_bench_runs(decode_bench --batch 1 --context 32)
  banyan_bench_runs(pool_bench --threads 4 --batch 4 --tokens 8)
  banyan_bench_runs(store_bench --benchmark_min_time=0.001 "--benchmark_filter=trees|one_step|sweep")
  banyan_bench_runs(publish_bench --model models/countdown-3 --publishes 2)
  banyan_bench_runs(forest_bench overhead looks --seconds 0.3 --threads 1000 --clients 4)
  banyan_bench_runs(tree_batch_bench --trees 2 --repeats 1)

  set(sequences "${CMAKE_BINARY_DIR}/bench_sequences")
  file(MAKE_DIRECTORY "${sequences}")
  add_test(NAME "bench: tree_batch_bench writes its sequences"
    COMMAND tree_batch_bench --trees 1 --write "${sequences}")
  banyan_bench_runs(train_step_bench --model models/countdown-3 --sequences "${sequences}/tree.jsonl" --steps 1)
  set_tests_properties("bench: tree_batch_bench writes its sequences"
    PROPERTIES LABELS bench TIMEOUT 300 FIXTURES_SETUP sequences)
  set_tests_properties("bench: train_step_bench runs" PROPERTIES FIXTURES_REQUIRED sequences)
endif()
