# CAF as Debian ships it (0.17.6): headers and shared libraries, no CMake package of its own.
#
#   CAF::core  CAF::io  CAF::openssl     each only where its library exists
find_path(CAF_INCLUDE_DIR caf/config.hpp)
if(CAF_INCLUDE_DIR)
  file(STRINGS "${CAF_INCLUDE_DIR}/caf/config.hpp" _line REGEX "define CAF_VERSION [0-9]+" LIMIT_COUNT 1)
  string(REGEX MATCH "[0-9]+$" _number "${_line}") # 1706 is 0.17.6
  math(EXPR _major "${_number} / 10000")
  math(EXPR _minor "${_number} / 100 % 100")
  math(EXPR _patch "${_number} % 100")
  set(CAF_VERSION ${_major}.${_minor}.${_patch})
endif()
foreach(_part IN ITEMS core io openssl)
  find_library(CAF_${_part}_LIBRARY caf_${_part})
  set(CAF_${_part}_FOUND ${CAF_${_part}_LIBRARY})
endforeach()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(CAF REQUIRED_VARS CAF_INCLUDE_DIR CAF_core_LIBRARY
  VERSION_VAR CAF_VERSION HANDLE_COMPONENTS)

if(CAF_FOUND AND NOT TARGET CAF::core)
  find_package(Threads REQUIRED)
  set(_needs_core Threads::Threads)
  set(_needs_io CAF::core)
  set(_needs_openssl CAF::io)
  foreach(_part IN ITEMS core io openssl)
    if(CAF_${_part}_LIBRARY)
      add_library(CAF::${_part} UNKNOWN IMPORTED)
      set_target_properties(CAF::${_part} PROPERTIES
        IMPORTED_LOCATION "${CAF_${_part}_LIBRARY}"
        INTERFACE_INCLUDE_DIRECTORIES "${CAF_INCLUDE_DIR}"
        INTERFACE_LINK_LIBRARIES "${_needs_${_part}}")
    endif()
  endforeach()
endif()
