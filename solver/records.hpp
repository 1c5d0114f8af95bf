#pragma once

#include "solver/request.hpp"
#include "solver/tree.hpp"

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace banyan {

/// The only schema on disk: length-delimited Protobuf messages of `records.proto`, files end in
/// `.trees`. A tree comes back as it was written, sound or not; `tree::inconsistent` tells.

struct bad_record : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// No record is larger, so that a damaged length cannot ask for all memory.
inline constexpr std::size_t max_record_bytes = std::size_t{256} << 20;

/// Throws `bad_record` for a tree of more than `max_record_bytes`.
std::string encode_tree(const tree&);

/// Throws `bad_record` where the bytes are not a tree.
tree decode_tree(std::string_view bytes);

/// What a store keeps of a tree that is not finished. They throw like the two for trees.
std::string encode_solve_request(const solve_request&);
solve_request decode_solve_request(std::string_view bytes);
std::string encode_thread(const thread_record&);
thread_record decode_thread(std::string_view bytes);

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
