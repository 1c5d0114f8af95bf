#include "solver/record_file.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <system_error>

namespace banyan {

namespace {

[[noreturn]] void throw_errno(const std::filesystem::path& file, const char* doing) {
  throw std::system_error(errno, std::generic_category(), file.string() + ": cannot " + doing);
}

/// Seven bits a byte, the lowest first; the highest bit says that there is more.
std::string varint(std::size_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes += static_cast<char>(value);
}

} // namespace

// ---- writing

std::string encode_record(const tree& t) {
  const auto message = encode_tree(t);
  return varint(message.size()) + message;
}

// ---- reading

struct record_reader::impl {
  struct close_file {
    void operator()(std::FILE* f) const { std::fclose(f); }
  };

  std::filesystem::path path;
  std::unique_ptr<std::FILE, close_file> file;
  std::uint64_t offset = 0; ///< of the record that is being read

  explicit impl(const std::filesystem::path& p) : path(p), file(std::fopen(p.c_str(), "rbe")) {
    if (!file) throw_errno(path, "open");
  }

  [[noreturn]] void refuse(const std::string& why) const {
    throw bad_record(path.string() + ": record at byte " + std::to_string(offset) + ": " + why
                     + "; give a file that is whole");
  }

  /// The next byte of a length, or nothing at the end of the file.
  std::optional<std::uint8_t> byte() {
    const int read = std::getc(file.get());
    if (read != EOF) return static_cast<std::uint8_t>(read);
    if (std::ferror(file.get())) throw_errno(path, "read");
    return {};
  }

  struct length {
    std::size_t value = 0;
    std::size_t bytes = 0; ///< that it takes in the file; 0: the file is at its end
  };

  length read_length() {
    length l;
    for (std::uint8_t next = 0x80; next & 0x80; ++l.bytes) {
      const auto read = byte();
      if (!read && l.bytes == 0) return {};
      if (!read) refuse("cut off in its length");
      next = *read;
      if (l.bytes == 5) refuse("its length is no number");
      l.value |= static_cast<std::size_t>(next & 0x7f) << (7 * l.bytes);
    }
    if (l.value > max_record_bytes)
      refuse(std::to_string(l.value) + " bytes long; at most " + std::to_string(max_record_bytes)
             + " are allowed");
    return l;
  }

  /// A damaged length may promise anything: memory grows with what the file really holds.
  std::string read_message(std::size_t size) {
    std::string bytes;
    std::array<char, 64 * 1024> piece;
    while (bytes.size() < size) {
      const auto wanted = std::min(piece.size(), size - bytes.size());
      const auto read = std::fread(piece.data(), 1, wanted, file.get());
      bytes.append(piece.data(), read);
      if (read == wanted) continue;
      if (std::ferror(file.get())) throw_errno(path, "read");
      refuse("cut off after " + std::to_string(bytes.size()) + " of " + std::to_string(size)
             + " bytes");
    }
    return bytes;
  }

  std::optional<tree> next() {
    const auto [size, length_bytes] = read_length();
    if (length_bytes == 0) return {};
    const auto message = read_message(size);
    try {
      auto read = decode_tree(message);
      offset += length_bytes + size;
      return read;
    } catch (const bad_record& why) {
      refuse(why.what());
    }
  }
};

record_reader::record_reader(const std::filesystem::path& p) : impl_(std::make_unique<impl>(p)) {}
record_reader::~record_reader() = default;
record_reader::record_reader(record_reader&&) noexcept = default;

std::optional<tree> record_reader::next() { return impl_->next(); }

} // namespace banyan
