// Whatever a disk gives back: a reader reads or refuses, and what it read can be written and read
// again.

#include "solver/record_file.hpp"

#include <cstdint>
#include <cstdlib>
#include <sys/mman.h>
#include <unistd.h>

namespace {

using namespace banyan;

void require(bool holds) {
  if (!holds) std::abort();
}

/// A file that is only in memory.
class memory_file {
public:
  explicit memory_file(std::string_view bytes) : file_(::memfd_create("records", MFD_CLOEXEC)) {
    require(file_ >= 0);
    require(::write(file_, bytes.data(), bytes.size()) == static_cast<::ssize_t>(bytes.size()));
  }
  memory_file(const memory_file&) = delete;
  ~memory_file() { ::close(file_); }

  std::filesystem::path path() const { return "/proc/self/fd/" + std::to_string(file_); }

private:
  int file_;
};

void read_all(std::string_view bytes) {
  const memory_file file(bytes);
  record_reader reader(file.path());
  try {
    while (reader.next()) {
    }
  } catch (const bad_record& why) {
    require(std::string_view(why.what()).find(": record at byte ") != std::string_view::npos);
  }
}

void read_tree(std::string_view bytes) {
  try {
    const auto once = decode_tree(bytes);
    static_cast<void>(once.inconsistent());
    static_cast<void>(once.usage());
    const auto again = encode_tree(once);
    require(encode_tree(decode_tree(again)) == again);
  } catch (const bad_record&) {
    return; // refused
  }
}

template <class Encode, class Decode>
void read_and_write(std::string_view bytes, Encode encode, Decode decode) {
  try {
    const auto once = encode(decode(bytes));
    require(encode(decode(once)) == once);
  } catch (const bad_record&) {
    return; // refused
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  read_all(input);
  read_tree(input);
  read_and_write(input, encode_solve_request, decode_solve_request);
  read_and_write(input, encode_thread, decode_thread);
  return 0;
}
