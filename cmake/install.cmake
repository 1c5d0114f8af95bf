# `cmake --install` and CPack make a bundle that runs wherever it is put, on a machine with a torch wheel:
#
#   bin/banyan, bin/banyand  find LibTorch, then start
#   libexec/                 the programs
#   lib/                     the shared libraries of Debian's that they need
#   share/banyan/            the shipped models, the daemon's service and config
#
# The Debian package (`cpack -G DEB`) is the same bundle in /opt/banyan, with a user, a service and its settings in /etc.
set(libtorch_version ${LibTorch_VERSION})
set(cudart "")
if(BANYAN_HAS_CUDA)
  set(cudart libcudart.so.${CUDAToolkit_VERSION_MAJOR})
endif()
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
banyan_install(banyand)

# Left to the machine: the C and C++ runtimes, which LibTorch needs as well, and LibTorch with all of CUDA.
install(RUNTIME_DEPENDENCY_SET needed DESTINATION lib
  PRE_EXCLUDE_REGEXES "^ld-linux" "^lib(c|m|dl|rt|pthread|gcc_s|stdc\\+\\+|gomp)\\.so"
    "^lib(torch|c10|cud|cupti|nv)")
install(DIRECTORY models/ DESTINATION share/banyan/models)
install(FILES packaging/banyand.service packaging/banyand.conf packaging/banyand.default DESTINATION share/banyan)

set(CPACK_GENERATOR TGZ DEB)
set(CPACK_DEBIAN_PACKAGE_MAINTAINER "The Banyan engineers")
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "libc6 (>= 2.36), libstdc++6 (>= 12), libgomp1, passwd")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "python3-venv")
set(control_files conffiles postinst prerm postrm)
list(TRANSFORM control_files PREPEND "${CMAKE_SOURCE_DIR}/packaging/debian/")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${control_files})
set(CPACK_PRE_BUILD_SCRIPTS "${CMAKE_SOURCE_DIR}/packaging/debian/stage.cmake")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_PROJECT_CONFIG_FILE "${CMAKE_SOURCE_DIR}/cmake/cpack_by_generator.cmake")
set(CPACK_STRIP_FILES ON)
string(TOLOWER "banyan-${PROJECT_VERSION}-${CMAKE_SYSTEM_NAME}-${CMAKE_SYSTEM_PROCESSOR}" CPACK_PACKAGE_FILE_NAME)
include(CPack)
