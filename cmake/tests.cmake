# One program per folder, so that solver tests link no LibTorch; every test case is a ctest of its own.
find_package(Catch2 2.13 REQUIRED)
include(Catch)

add_library(banyan_test_main STATIC tests/main.cpp)
target_link_libraries(banyan_test_main PUBLIC Catch2::Catch2)

# How long a script may take that runs whole programs; under sanitizers they are several times slower.
set(script_seconds 900)
if(BANYAN_SANITIZE)
  set(script_seconds 3600)
endif()

# banyan_tests(name LINK libraries… SOURCES files…)
function(banyan_tests name)
  cmake_parse_arguments(arg "" "" "LINK;SOURCES" ${ARGN})
  banyan_program(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE banyan_test_main ${arg_LINK})
  target_compile_definitions(${name} PRIVATE BANYAN_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  string(REPLACE "_tests" "" folder ${name})
  # Tests run side by side: OpenMP threads that spin while they wait would take each other's cores.
  catch_discover_tests(${name} TEST_PREFIX "${name}: "
    PROPERTIES TIMEOUT 300 LABELS ${folder} ENVIRONMENT OMP_WAIT_POLICY=passive)
endfunction()

banyan_tests(solver_tests LINK banyan_solver banyan_records SOURCES
  tests/countdown_test.cpp
  tests/records_test.cpp
  tests/search_test.cpp
  tests/search_conditions_test.cpp
  tests/search_text_test.cpp
  tests/trace_test.cpp
  tests/trace_join_test.cpp
  tests/tree_test.cpp)

find_library(SENTENCEPIECE_TRAIN_LIBRARY sentencepiece_train REQUIRED)
banyan_tests(model_tests
  LINK banyan_model banyan_solver nlohmann_json::nlohmann_json ${SENTENCEPIECE_TRAIN_LIBRARY} SOURCES
  tests/checkpoint_test.cpp
  tests/config_test.cpp
  tests/device_name_test.cpp
  tests/device_test.cpp
  tests/lanes_test.cpp
  tests/padded_batch_test.cpp
  tests/product_test.cpp
  tests/recording_turn_test.cpp
  tests/safetensors_test.cpp
  tests/sampler_test.cpp
  tests/tokenizer_test.cpp
  tests/training_attention_test.cpp
  tests/training_forward_test.cpp
  tests/transformer_test.cpp
  tests/tree_tiles_test.cpp)

# What only a GPU can tell: `ctest -L cuda`, or the program itself. scripts/test leaves it out where there is none.
if(BANYAN_HAS_CUDA)
  banyan_tests(cuda_tests LINK banyan_trainer SOURCES
    tests/cuda_attention_test.cpp
    tests/cuda_decode_test.cpp
    tests/cuda_training_test.cpp)
endif()

# The other side of scripts/check_transformers.py.
banyan_program(reference_dump tests/reference_dump.cpp)
target_link_libraries(reference_dump PRIVATE banyan_model banyan_solver nlohmann_json::nlohmann_json)

banyan_tests(actors_tests LINK banyan_actors SOURCES
  tests/budget_test.cpp
  tests/detokenizer_test.cpp
  tests/event_hub_test.cpp
  tests/in_flight_test.cpp
  tests/join_test.cpp
  tests/node_test.cpp
  tests/pause_test.cpp
  tests/watching_test.cpp
  tests/node_end_test.cpp
  tests/node_store_test.cpp
  tests/recovery_test.cpp
  tests/steered_recovery_test.cpp
  tests/session_test.cpp
  tests/session_joins_test.cpp
  tests/session_weights_test.cpp
  tests/status_board_test.cpp
  tests/thread_past_test.cpp
  tests/thread_test.cpp
  tests/transcript_test.cpp
  tests/tree_ids_test.cpp
  tests/tree_queue_test.cpp
  tests/waiting_tree_test.cpp)

banyan_tests(pool_tests LINK banyan_gpu_pool SOURCES
  tests/blocks_test.cpp
  tests/leases_test.cpp
  tests/epochs_test.cpp
  tests/pool_faults_test.cpp
  tests/pool_test.cpp
  tests/prefix_cache_test.cpp
  tests/scheduler_test.cpp
  tests/scheduler_cache_test.cpp
  tests/scheduler_epochs_test.cpp
  tests/stop_strings_test.cpp
  tests/transformer_pool_test.cpp)

banyan_tests(trainer_tests LINK banyan_trainer nlohmann_json::nlohmann_json ${SENTENCEPIECE_TRAIN_LIBRARY} SOURCES
  tests/batch_test.cpp
  tests/credit_test.cpp
  tests/curriculum_test.cpp
  tests/grpo_test.cpp
  tests/evaluation_test.cpp
  tests/lay_out_test.cpp
  tests/learner_memory_test.cpp
  tests/logprob_gap_test.cpp
  tests/optimizer_test.cpp
  tests/policy_learner_test.cpp
  tests/rl_warnings_test.cpp
  tests/rollout_plan_test.cpp
  tests/rollout_restart_test.cpp
  tests/returning_problems_test.cpp
  tests/run_course_test.cpp
  tests/run_folder_test.cpp
  tests/sft_test.cpp
  tests/shared_prefix_test.cpp
  tests/skipped_steps_test.cpp
  tests/statistics_test.cpp
  tests/train_log_test.cpp)

banyan_tests(rl_tests
  LINK banyan_trainer_actors banyan_gpu_pool banyan_store_actor nlohmann_json::nlohmann_json SOURCES
  tests/publishing_test.cpp
  tests/rl_bad_steps_test.cpp
  tests/rl_faults_test.cpp
  tests/rl_idle_test.cpp
  tests/rl_resume_test.cpp
  tests/rl_run_test.cpp
  tests/rollout_actor_test.cpp)

banyan_tests(store_tests LINK banyan_store banyan_store_actor SQLite::SQLite3 SOURCES
  tests/damaged_trees_test.cpp
  tests/database_test.cpp
  tests/store_actor_test.cpp
  tests/store_search_test.cpp
  tests/tree_search_test.cpp
  tests/tree_store_faults_test.cpp
  tests/tree_store_test.cpp)

banyan_tests(http_tests LINK banyan_http SOURCES
  tests/event_streams_test.cpp
  tests/http_completion_test.cpp
  tests/http_description_test.cpp
  tests/http_probes_test.cpp
  tests/http_limits_test.cpp
  tests/http_malformed_test.cpp
  tests/http_parse_test.cpp
  tests/speaking_socket_test.cpp
  tests/tree_body_test.cpp
  tests/completion_body_test.cpp
  tests/forest_stream_test.cpp
  tests/http_stream_test.cpp
  tests/stream_readers_test.cpp
  tests/http_test.cpp
  tests/http_server_test.cpp)

banyan_tests(forest_tests LINK banyan_forest banyan_store_actor ${SENTENCEPIECE_TRAIN_LIBRARY} SOURCES
  tests/completions_test.cpp
  tests/imported_text_test.cpp
  tests/store_reader_test.cpp)

banyan_tests(daemon_tests LINK banyan_daemon banyan_log SOURCES
  tests/data_folder_test.cpp
  tests/daemon_options_test.cpp
  tests/log_test.cpp)

banyan_tests(apps_tests LINK banyan_apps nlohmann_json::nlohmann_json SOURCES
  tests/apps_test.cpp
  tests/published_test.cpp
  tests/text_width_test.cpp
  tests/chrome_trace_test.cpp
  tests/client_test.cpp
  tests/options_test.cpp
  tests/option_fields_test.cpp
  tests/command_options_test.cpp
  tests/rollout_problems_test.cpp
  tests/runtime_test.cpp)

# banyan_script_tests([PROGRAM program] LABEL label [SERIAL] SCRIPTS files…): every tests/scripts/<subject>_<area>_test.py runs its
# cases, against the program where they have one, as a test "<area>: <subject>". Each has ports and folders of its own; SERIAL ones are disturbed by others all the same.
function(banyan_script_tests)
  cmake_parse_arguments(arg "SERIAL" "PROGRAM;LABEL" "SCRIPTS" ${ARGN})
  if(arg_PROGRAM)
    set(program $<TARGET_FILE:${arg_PROGRAM}>)
  endif()
  foreach(script IN LISTS arg_SCRIPTS)
    string(REGEX REPLACE "^(.+)_([a-z]+)_test\\.py$" "\\2: \\1" name "${script}")
    string(REPLACE "_" " " name "${name}")
    add_test(NAME "${name}" COMMAND python3 -B "${CMAKE_SOURCE_DIR}/tests/scripts/${script}" ${program})
    set_tests_properties("${name}" PROPERTIES LABELS ${arg_LABEL} TIMEOUT ${script_seconds} RUN_SERIAL ${arg_SERIAL}
      ENVIRONMENT OMP_WAIT_POLICY=passive)
  endforeach()
  set(script_tests ${script_tests} ${arg_SCRIPTS} PARENT_SCOPE)
endfunction()

banyan_script_tests(PROGRAM banyan LABEL cli SCRIPTS
  evaluate_cli_test.py
  generate_cli_test.py
  model_cli_test.py
  solve_cli_test.py
  train_rl_cli_test.py
  train_sft_cli_test.py
  usage_cli_test.py
  runs_paper_test.py
  tables_paper_test.py
  connection_client_test.py
  export_client_test.py
  follow_client_test.py
  ps_client_test.py
  submit_client_test.py
  terminal_client_test.py
  top_client_test.py
  tree_client_test.py
  usage_client_test.py)

banyan_script_tests(LABEL cli SCRIPTS
  page_paper_test.py
  runner_paper_test.py
  statistics_paper_test.py)

banyan_script_tests(PROGRAM banyand LABEL daemon SCRIPTS
  begin_daemon_test.py
  completions_daemon_test.py
  crash_daemon_test.py
  end_daemon_test.py
  events_daemon_test.py
  manager_daemon_test.py
  metrics_and_log_daemon_test.py
  reload_daemon_test.py
  steering_daemon_test.py
  store_trouble_daemon_test.py
  trees_daemon_test.py
  waiting_line_daemon_test.py)
banyan_script_tests(PROGRAM banyand LABEL daemon SERIAL SCRIPTS
  idle_daemon_test.py)

banyan_script_tests(PROGRAM banyand LABEL page SERIAL SCRIPTS
  frame_page_test.py
  list_page_test.py
  looks_page_test.py
  tree_page_test.py
  work_page_test.py)

file(GLOB forgotten RELATIVE "${CMAKE_SOURCE_DIR}/tests/scripts" CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/tests/scripts/*_test.py")
list(REMOVE_ITEM forgotten ${script_tests})
if(forgotten)
  message(FATAL_ERROR "cmake/tests.cmake names no test for these of tests/scripts: ${forgotten}")
endif()

banyan_check_headers(tests banyan_gpu_pool banyan_trainer banyan_http Catch2::Catch2)

# banyan_source_test(name script): a cmake script that looks at the sources.
function(banyan_source_test name script)
  add_test(NAME "${name}" COMMAND ${CMAKE_COMMAND} -P "${CMAKE_SOURCE_DIR}/cmake/${script}"
    WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}")
endfunction()
banyan_source_test("layering: folders include only what they may know" layering.cmake)
banyan_source_test("source map: docs/architecture.md names every source" source_map.cmake)
banyan_source_test("format: sources are as clang-format writes them" formatted.cmake)

add_test(NAME "scripts: setup installs what is missing and nothing else"
  COMMAND "${CMAKE_SOURCE_DIR}/tests/scripts/setup_test.sh")
if(NOT BANYAN_SANITIZE) # a bundle is for release builds
  add_test(NAME "apps: an installed bundle runs from wherever it is put"
    COMMAND "${CMAKE_SOURCE_DIR}/tests/scripts/bundle_test.sh" "${CMAKE_BINARY_DIR}")
  add_test(NAME "apps: a Debian package keeps settings and trees"
    COMMAND "${CMAKE_SOURCE_DIR}/tests/scripts/package_test.sh" "${CMAKE_BINARY_DIR}"
    WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}")
endif()
