#include "model/read_file.hpp"

#include "model/config.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

namespace banyan {

std::string read_file(const std::filesystem::path& path) {
  auto fail = [&](int error) {
    throw bad_checkpoint(path.string() + ": cannot be read (" + std::strerror(error)
                         + "); restore it from the checkpoint");
  };
  auto close = [](std::FILE* file) { std::fclose(file); };
  const std::unique_ptr<std::FILE, decltype(close)> file(std::fopen(path.c_str(), "rbe"), close);
  if (!file) fail(errno);
  std::string bytes;
  char chunk[1 << 16];
  while (const auto count = std::fread(chunk, 1, sizeof chunk, file.get()))
    bytes.append(chunk, count);
  if (std::ferror(file.get())) fail(errno);
  return bytes;
}

} // namespace banyan
