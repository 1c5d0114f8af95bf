#pragma once

#include "model/atomic_file.hpp"

#include <filesystem>
#include <optional>
#include <string_view>

namespace banyan {

/// Where a command's results go: standard output, or a file that appears whole or not at all.
/// Behind a symbolic link the file is replaced, not the link. Something that is there and is no
/// ordinary file (a pipe, /dev/null) is written as it comes. Writing throws std::system_error, or
/// `reader_left`.
class line_sink {
public:
  /// Empty: standard output.
  explicit line_sink(const std::filesystem::path& out);
  ~line_sink();
  line_sink(const line_sink&) = delete;
  line_sink& operator=(const line_sink&) = delete;

  void write(std::string_view text);
  void commit();

private:
  std::optional<atomic_file> file_;
  std::filesystem::path path_;
  int descriptor_ = -1;
};

} // namespace banyan
