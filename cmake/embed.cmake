# Puts files into a program: banyan_embed(target files…) adds a generated source to the target, with each file as an
# array of bytes, under its path below apps/serving (apps/serving/embedded.hpp). Called once per target.
# With OUT and FILES set (cmake -P) this script is the generator itself.
if(NOT CMAKE_SCRIPT_MODE_FILE)
  set(BANYAN_EMBED_SCRIPT "${CMAKE_CURRENT_LIST_FILE}")

  function(banyan_embed target)
    set(source "${CMAKE_BINARY_DIR}/generated/${target}_files.cpp")
    string(REPLACE ";" "," list "${ARGN}")
    add_custom_command(OUTPUT "${source}"
      COMMAND ${CMAKE_COMMAND} "-DOUT=${source}" "-DFILES=${list}" -P "${BANYAN_EMBED_SCRIPT}"
      WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}" DEPENDS ${ARGN} "${BANYAN_EMBED_SCRIPT}" VERBATIM)
    target_sources(${target} PRIVATE "${source}")
  endfunction()
  return()
endif()

string(REPLACE "," ";" files "${FILES}")
set(arrays)
set(table)
set(index 0)
foreach(file IN LISTS files)
  file(READ "${file}" hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(REGEX REPLACE "(................................................................................)" "\\1\n" bytes "${bytes}")
  string(REGEX REPLACE "^apps/serving/" "" name "${file}")
  file(SIZE "${file}" size)
  string(APPEND arrays "const unsigned char file_${index}[] = {\n${bytes}0};\n")
  string(APPEND table "    {\"${name}\", {reinterpret_cast<const char*>(file_${index}), ${size}}},\n")
  math(EXPR index "${index} + 1")
endforeach()
file(WRITE "${OUT}" "#include \"apps/serving/embedded.hpp\"

namespace banyan {
namespace {
${arrays}
const embedded_file files[] = {
${table}};
} // namespace

const embedded_file* find_embedded(std::string_view name) {
  for (const auto& file : files)
    if (file.name == name) return &file;
  return nullptr;
}
} // namespace banyan
")
