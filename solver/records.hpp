#pragma once

#include "solver/request.hpp"
#include "solver/tree.hpp"

#include <cstddef>
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

} // namespace banyan
