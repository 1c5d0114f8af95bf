# Benchmarks; each prints ratios measured in one run.
find_package(benchmark REQUIRED)

banyan_program(solver_bench bench/solver_bench.cpp)
target_link_libraries(solver_bench PRIVATE banyan_solver benchmark::benchmark)

banyan_program(decode_bench bench/decode_bench.cpp)
target_link_libraries(decode_bench PRIVATE banyan_model)

banyan_program(pool_bench bench/pool_bench.cpp)
target_link_libraries(pool_bench PRIVATE banyan_gpu_pool Boost::program_options
  nlohmann_json::nlohmann_json)

banyan_program(store_bench bench/store_bench.cpp)
target_link_libraries(store_bench PRIVATE banyan_store benchmark::benchmark)

banyan_program(publish_bench bench/publish_bench.cpp)
target_link_libraries(publish_bench PRIVATE banyan_apps banyan_gpu_pool
  Boost::program_options)

banyan_program(forest_bench bench/forest_bench.cpp)
target_link_libraries(forest_bench PRIVATE banyan_forest banyan_http banyan_store_actor
  Boost::program_options)

banyan_program(tree_batch_bench bench/tree_batch_bench.cpp)
target_link_libraries(tree_batch_bench PRIVATE banyan_apps Boost::program_options
  nlohmann_json::nlohmann_json)

# The other side of bench/compare_training.py.
banyan_program(train_step_bench bench/train_step_bench.cpp)
target_link_libraries(train_step_bench PRIVATE banyan_apps Boost::program_options
  nlohmann_json::nlohmann_json)
