#pragma once

#include "solver/records.hpp"

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

namespace banyan {

/// A tree as it stands in a file: its length, then `encode_tree`. A file is a row of these.
std::string encode_record(const tree&);

/// Reads a file of them one by one.
class record_reader {
public:
  explicit record_reader(const std::filesystem::path&); ///< throws std::system_error
  ~record_reader();
  record_reader(record_reader&&) noexcept;
  /// The next tree; nothing at the end. Throws `bad_record` naming file and byte offset for a
  /// damaged record; a record cut off at the end of the file is damaged too. A reader that threw is
  /// of no more use.
  std::optional<tree> next();

private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

} // namespace banyan
