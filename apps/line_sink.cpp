#include "apps/line_sink.hpp"

#include "apps/terminal.hpp"

#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <unistd.h>

namespace banyan {

namespace fs = std::filesystem;

line_sink::line_sink(const fs::path& out) : path_(out) {
  std::error_code missing;
  if (out.empty()) return;
  // Behind a symbolic link the file is replaced, not the link.
  if (fs::exists(out, missing)) path_ = fs::canonical(out);
  if (fs::is_directory(path_, missing))
    throw std::system_error(EISDIR, std::generic_category(), out.string());
  if (!fs::exists(path_, missing) || fs::is_regular_file(path_, missing)) {
    file_.emplace(path_);
    return;
  }
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
  if (descriptor_ < 0) throw std::system_error(errno, std::generic_category(), path_.string());
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
    if (n < 0) throw std::system_error(errno, std::generic_category(), path_.string());
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

void line_sink::commit() {
  if (file_) file_->commit();
}

} // namespace banyan
