# Every header of ours compiles alone: `ninja check_headers` (part of scripts/test).
add_custom_target(check_headers)

# banyan_check_headers(folder targets…): one source per header of the folder, with what these targets give their users.
function(banyan_check_headers folder)
  file(GLOB_RECURSE headers RELATIVE "${CMAKE_SOURCE_DIR}" CONFIGURE_DEPENDS "${folder}/*.hpp")
  set(sources)
  foreach(header IN LISTS headers)
    set(source "${CMAKE_BINARY_DIR}/check_headers/${header}.cpp")
    file(CONFIGURE OUTPUT "${source}" CONTENT "#include \"${header}\"\n")
    list(APPEND sources "${source}")
  endforeach()
  if(sources)
    add_library(check_headers_${folder} OBJECT EXCLUDE_FROM_ALL ${sources})
    banyan_own_target(check_headers_${folder})
    target_compile_options(check_headers_${folder} PRIVATE -O0 -g0)
    target_link_libraries(check_headers_${folder} PRIVATE ${ARGN})
    add_dependencies(check_headers check_headers_${folder})
  endif()
endfunction()

banyan_check_headers(solver banyan_solver)
banyan_check_headers(model banyan_model)
banyan_check_headers(actors banyan_actors)
banyan_check_headers(gpu_pool banyan_gpu_pool)
banyan_check_headers(trainer banyan_trainer)
banyan_check_headers(apps banyan_gpu_pool banyan_trainer banyan_records banyan_http
  Boost::program_options nlohmann_json::nlohmann_json restinio::restinio)
