#pragma once

#include "solver/tree.hpp"

#include <filesystem>
#include <iosfwd>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace banyan {

/// The only schema on disk: length-delimited Protobuf messages of `records.proto`, files end in `.trees`.

std::string encode_tree(const tree&);

/// Throws `bad_record` where the bytes are not a tree.
tree decode_tree(std::string_view bytes);

struct bad_record : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Appends trees to a stream; each is flushed as one unit so that a killed writer leaves whole records.
class record_writer {
public:
  explicit record_writer(const std::filesystem::path&); ///< truncates; throws std::system_error
  ~record_writer();
  record_writer(record_writer&&) noexcept;
  void write(const tree&); ///< throws std::system_error (no space, …)
  void close();            ///< throws where buffered bytes cannot be written

private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

/// Reads them back one by one.
class record_reader {
public:
  explicit record_reader(const std::filesystem::path&); ///< throws std::system_error
  ~record_reader();
  record_reader(record_reader&&) noexcept;
  /// The next tree; nothing at the end. Throws `bad_record` naming file and byte offset for a damaged
  /// record; a record cut off at the end of the file is damaged too.
  std::optional<tree> next();

private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

} // namespace banyan
