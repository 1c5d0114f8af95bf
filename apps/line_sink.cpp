#include "apps/line_sink.hpp"

#include "apps/failure.hpp"
#include "apps/terminal.hpp"

#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <unistd.h>

namespace banyan {

namespace fs = std::filesystem;

namespace {

[[noreturn]] void fail(int error, const fs::path& path) {
  throw std::system_error(error, std::generic_category(), path.string());
}

/// What symbolic links lead to, whether it is there or not.
fs::path behind_links(const fs::path& out) {
  constexpr int most_links = 40; // as Linux has it
  std::error_code missing;
  auto path = out;
  for (int i = 0; fs::is_symlink(path, missing); ++i) {
    if (i == most_links) fail(ELOOP, out);
    path = path.parent_path() / fs::read_symlink(path);
  }
  return path;
}

} // namespace

line_sink::line_sink(const fs::path& out) : path_(out) {
  if (out.empty()) return;
  std::error_code missing;
  const auto there = fs::status(out, missing);
  if (fs::is_directory(there)) fail(EISDIR, out);
  if (!fs::exists(there) || fs::is_regular_file(there)) {
    file_.emplace(behind_links(out));
    return;
  }
  descriptor_ = ::open(out.c_str(), O_WRONLY | O_CLOEXEC);
  if (descriptor_ < 0) fail(errno, out);
}

line_sink::~line_sink() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void line_sink::write(std::string_view text) {
  if (file_) return file_->write(text);
  if (descriptor_ < 0) return print(text);
  while (!text.empty()) {
    const auto n = ::write(descriptor_, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EPIPE) throw reader_left();
    if (n < 0) fail(errno, path_);
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

void line_sink::commit() {
  if (file_) file_->commit();
}

} // namespace banyan
