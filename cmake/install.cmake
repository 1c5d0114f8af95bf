# `cmake --install` and CPack make a bundle that runs wherever it is put, on a machine with a torch wheel:
#
#   bin/banyan           finds LibTorch, then starts
#   libexec/banyan       the program
#   lib/                 the shared libraries of Debian's that it needs
#   share/banyan/models  the shipped models
set(libtorch_version ${LibTorch_VERSION})
configure_file(cmake/launcher.in "${CMAKE_BINARY_DIR}/launcher" @ONLY)

# banyan_install(program)
function(banyan_install program)
  # DT_RPATH, not DT_RUNPATH: it also serves the libraries' own libraries, and those loaded at run time.
  target_link_options(${program} PRIVATE -Wl,--disable-new-dtags)
  set_target_properties(${program} PROPERTIES INSTALL_RPATH "$ORIGIN/../lib")
  install(TARGETS ${program} RUNTIME_DEPENDENCY_SET needed RUNTIME DESTINATION libexec)
  install(PROGRAMS "${CMAKE_BINARY_DIR}/launcher" DESTINATION bin RENAME ${program})
endfunction()

banyan_install(banyan)

# Left to the machine: the C and C++ runtimes, which LibTorch needs as well, and LibTorch with all of CUDA.
install(RUNTIME_DEPENDENCY_SET needed DESTINATION lib
  PRE_EXCLUDE_REGEXES "^ld-linux" "^lib(c|m|dl|rt|pthread|gcc_s|stdc\\+\\+|gomp)\\.so"
    "^lib(torch|c10|cud|cupti|nv)")
install(DIRECTORY models/ DESTINATION share/banyan/models)

set(CPACK_GENERATOR TGZ)
set(CPACK_STRIP_FILES ON)
string(TOLOWER "banyan-${PROJECT_VERSION}-${CMAKE_SYSTEM_NAME}-${CMAKE_SYSTEM_PROCESSOR}" CPACK_PACKAGE_FILE_NAME)
include(CPack)
