# Fuzzers, with clang's libFuzzer: the plain sources that read what others wrote, under AddressSanitizer and UBSan.
# `cmake --preset fuzz && cmake --build --preset fuzz && ctest --preset fuzz` tries each for some seconds with
# a fixed seed; to look longer, and elsewhere each time: build/fuzz/bin/trace_fuzz -max_total_time=3600
if(NOT CMAKE_CXX_COMPILER_ID MATCHES Clang)
  message(FATAL_ERROR "BANYAN_FUZZ needs clang; use the preset `fuzz`, or set CMAKE_CXX_COMPILER=clang++")
endif()
enable_testing()
set(BANYAN_FUZZ_SECONDS 5 CACHE STRING "How long ctest tries each fuzzer")
set(fuzz_flags -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined)

get_target_property(solver_sources banyan_solver SOURCES)
get_target_property(json_sources banyan_json SOURCES)
banyan_library(banyan_fuzzed EXCLUDE_FROM_ALL ${solver_sources} ${json_sources}
  apps/serving/completion_body.cpp
  apps/serving/fields.cpp
  apps/serving/http.cpp
  apps/serving/tree_body.cpp
  apps/serving/urls.cpp
  apps/event_reader.cpp
  apps/json_list.cpp
  apps/option_names.cpp
  apps/did_you_mean.cpp
  apps/option_config.cpp
  apps/options.cpp
  apps/safe_text.cpp
  apps/terminal.cpp
  apps/text_width.cpp
  apps/tree_mirror.cpp
  model/safetensors_header.cpp)
target_link_libraries(banyan_fuzzed PRIVATE nlohmann_json::nlohmann_json PUBLIC Boost::program_options)
target_compile_options(banyan_fuzzed PRIVATE -fsanitize=fuzzer-no-link ${fuzz_flags})

target_compile_options(banyan_records PRIVATE -fsanitize=fuzzer-no-link ${fuzz_flags})

add_custom_target(fuzzers)
file(GLOB fuzz_sources CONFIGURE_DEPENDS tests/fuzz/*_fuzz.cpp)
foreach(source IN LISTS fuzz_sources)
  cmake_path(GET source STEM name)
  add_executable(${name} EXCLUDE_FROM_ALL ${source})
  banyan_own_target(${name})
  target_compile_options(${name} PRIVATE -fsanitize=fuzzer ${fuzz_flags})
  target_link_options(${name} PRIVATE -fsanitize=fuzzer,address,undefined)
  target_link_libraries(${name} PRIVATE banyan_fuzzed banyan_records)
  add_dependencies(fuzzers ${name})
  add_test(NAME "fuzz: ${name} finds no fault"
    COMMAND ${name} -seed=1 -max_total_time=${BANYAN_FUZZ_SECONDS} -timeout=10 -print_final_stats=1)
  set_tests_properties("fuzz: ${name} finds no fault" PROPERTIES LABELS fuzz)
endforeach()
