# Compiler, warnings, sanitizers, ccache, mold and CUDA: everything that is the same for all our targets.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")

find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Without the sloppiness ccache never reuses a source that was compiled with a precompiled header;
  # with a base directory a second clone finds what the first one compiled.
  set(CMAKE_CXX_COMPILER_LAUNCHER env CCACHE_SLOPPINESS=pch_defines,time_macros
    "CCACHE_BASEDIR=${CMAKE_SOURCE_DIR}" CCACHE_NOHASHDIR=true "${CCACHE}")
endif()
find_program(MOLD mold)
if(MOLD)
  add_link_options(-fuse-ld=mold)
endif()

if(BANYAN_SANITIZE)
  # Kernels are tens of times slower at -O0.
  # CAF 0.17 binds a reference to a null pointer in `spawn` without arguments; hence no `null` check.
  add_compile_options(-fsanitize=address,undefined -fno-sanitize=null -fno-sanitize-recover=undefined
    -fno-omit-frame-pointer -O1)
  add_link_options(-fsanitize=address,undefined)
endif()

set(BANYAN_HAS_CUDA OFF)
if(NOT BANYAN_CUDA STREQUAL "OFF")
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    set(CMAKE_CUDA_ARCHITECTURES 80-real 90-real 90-virtual)
    set(CMAKE_CUDA_STANDARD 17) # CMake 3.25 takes 20 as unknown to nvcc 13
    set(CMAKE_CUDA_RUNTIME_LIBRARY Shared) # a static one would be a second runtime beside LibTorch's
    enable_language(CUDA)
    find_package(CUDAToolkit REQUIRED)
    set(BANYAN_HAS_CUDA ON)
  elseif(BANYAN_CUDA STREQUAL "ON")
    message(FATAL_ERROR "BANYAN_CUDA is ON but no nvcc was found; put it on PATH or set CMAKE_CUDA_COMPILER")
  endif()
endif()

function(banyan_own_target name)
  target_include_directories(${name} PUBLIC "$<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}>")
  # The last three are wrong about sound code in GCC 12, and unknown to clang.
  target_compile_options(${name} PRIVATE
    $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wno-missing-field-initializers
      $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict -Wno-stringop-overflow -Wno-array-bounds>
      $<$<BOOL:${BANYAN_WERROR}>:-Werror>>)
endfunction()

# banyan_library(name sources…): a static library of ours.
function(banyan_library name)
  add_library(${name} STATIC ${ARGN})
  banyan_own_target(${name})
endfunction()

# banyan_program(name sources…): a program of ours in bin/.
function(banyan_program name)
  add_executable(${name} ${ARGN})
  banyan_own_target(${name})
endfunction()

# banyan_precompile(name headers…): heavy outside headers, compiled once per target.
function(banyan_precompile name)
  target_precompile_headers(${name} PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:${ARGN}>")
  target_compile_options(${name} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-fpch-preprocess>)
endfunction()
