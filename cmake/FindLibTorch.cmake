# LibTorch inside a `torch` wheel. LIBTORCH_ROOT (variable or environment) is the wheel's `torch` folder;
# without it, the one that scripts/setup installed is taken.
#
#   LibTorch::cpu        libtorch_cpu and libc10
#   LibTorch::c10_cuda   streams and devices; needs no GPU and no CUDA library but the runtime
#
# The wheel's own package is not used: it turns the CUDA language on and probes for a GPU while configuring.
# libtorch_cuda itself is never linked: a program that is asked for a CUDA device loads it then.
if(NOT LIBTORCH_ROOT AND DEFINED ENV{LIBTORCH_ROOT})
  set(LIBTORCH_ROOT "$ENV{LIBTORCH_ROOT}")
endif()
set(_cache "$ENV{XDG_CACHE_HOME}")
if(NOT _cache)
  set(_cache "$ENV{HOME}/.cache")
endif()
find_path(LIBTORCH_ROOT lib/libtorch_cpu.so DOC "The `torch` folder of the torch wheel" NO_DEFAULT_PATH
  PATHS "${_cache}/banyan/libtorch-${LibTorch_FIND_VERSION}/torch")
if(EXISTS "${LIBTORCH_ROOT}/version.py")
  file(STRINGS "${LIBTORCH_ROOT}/version.py" _line REGEX "^__version__ = " LIMIT_COUNT 1)
  string(REGEX MATCH "[0-9]+\\.[0-9]+\\.[0-9]+" LibTorch_VERSION "${_line}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibTorch REQUIRED_VARS LIBTORCH_ROOT VERSION_VAR LibTorch_VERSION
  REASON_FAILURE_MESSAGE "run scripts/setup, or set LIBTORCH_ROOT to the `torch` folder of a torch 2.11.0 wheel")

if(LibTorch_FOUND AND NOT TARGET LibTorch::cpu)
  foreach(_name IN ITEMS torch_cpu c10 c10_cuda)
    if(EXISTS "${LIBTORCH_ROOT}/lib/lib${_name}.so")
      add_library(LibTorch::${_name} SHARED IMPORTED)
      set_target_properties(LibTorch::${_name} PROPERTIES
        IMPORTED_LOCATION "${LIBTORCH_ROOT}/lib/lib${_name}.so")
    endif()
  endforeach()
  # The OpenMP runtime that LibTorch itself uses; a second one would keep OS threads of its own.
  add_library(LibTorch::gomp SHARED IMPORTED)
  set_target_properties(LibTorch::gomp PROPERTIES IMPORTED_LOCATION "${LIBTORCH_ROOT}/lib/libgomp.so.1")
  add_library(LibTorch::cpu INTERFACE IMPORTED)
  target_link_libraries(LibTorch::cpu INTERFACE LibTorch::torch_cpu LibTorch::c10 LibTorch::gomp)
  target_include_directories(LibTorch::cpu SYSTEM INTERFACE
    "${LIBTORCH_ROOT}/include" "${LIBTORCH_ROOT}/include/torch/csrc/api/include")
endif()
