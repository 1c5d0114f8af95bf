#include "model/safetensors.hpp"

#include "model/atomic_file.hpp"
#include "model/config.hpp"
#include "model/safetensors_header.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <stdexcept>

#include <ATen/ATen.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace banyan {
namespace {

at::ScalarType scalar_type(element_type type) {
  switch (type) {
  case element_type::f32: return at::kFloat;
  case element_type::f16: return at::kHalf;
  case element_type::bf16: return at::kBFloat16;
  case element_type::i64: return at::kLong;
  case element_type::i32: return at::kInt;
  case element_type::u8: return at::kByte;
  }
  throw std::logic_error("unknown element type");
}

element_type element_type_of(const std::string& name, const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
  case at::kFloat: return element_type::f32;
  case at::kHalf: return element_type::f16;
  case at::kBFloat16: return element_type::bf16;
  case at::kLong: return element_type::i64;
  case at::kInt: return element_type::i32;
  case at::kByte: return element_type::u8;
  default:
    throw std::invalid_argument("tensor " + name
                                + " has a type that safetensors files do not hold here");
  }
}

/// A file in memory, read-only, as long as anybody holds it.
class mapping {
public:
  explicit mapping(const std::filesystem::path& file) {
    const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) fail(file, errno);
    struct stat about {};
    int error = ::fstat(descriptor, &about) == 0 ? 0 : errno;
    if (error == 0 && S_ISDIR(about.st_mode)) error = EISDIR;
    size_ = static_cast<std::size_t>(about.st_size);
    if (error == 0 && size_ > 0) { // an empty file cannot be mapped, and needs not
      data_ = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor, 0);
      if (data_ == MAP_FAILED) error = errno;
    }
    ::close(descriptor);
    if (error != 0) fail(file, error);
  }
  ~mapping() {
    if (size_ > 0) ::munmap(data_, size_);
  }
  mapping(const mapping&) = delete;
  mapping& operator=(const mapping&) = delete;

  std::string_view bytes() const { return {static_cast<const char*>(data_), size_}; }
  char* at(std::uint64_t offset) const { return static_cast<char*>(data_) + offset; }

private:
  [[noreturn]] static void fail(const std::filesystem::path& file, int error) {
    throw bad_checkpoint(file.string() + ": cannot be read (" + std::strerror(error)
                         + "); restore it from the checkpoint");
  }

  void* data_ = nullptr;
  std::size_t size_ = 0;
};

at::Tensor tensor_in(const std::shared_ptr<const mapping>& file, const tensor_entry& entry) {
  const auto options = at::TensorOptions(scalar_type(entry.type));
  if (entry.begin == entry.end) return at::empty(entry.shape, options);
  auto* data = file->at(entry.begin);
  if (entry.begin % size_of(entry.type) == 0) // the mapping itself begins at a page
    return at::from_blob(
        data, entry.shape, [file](void*) {}, options);
  auto copy = at::empty(entry.shape, options); // others align nothing when their header is odd
  std::memcpy(copy.data_ptr(), data, entry.end - entry.begin);
  return copy;
}

/// What is written: plain tensors, the widest elements first, so that all are aligned.
struct plain_tensor {
  tensor_entry entry;
  at::Tensor value; // on the CPU, contiguous
};

std::vector<plain_tensor> plain_tensors(const std::map<std::string, at::Tensor>& tensors) {
  std::vector<plain_tensor> all;
  for (const auto& [name, tensor] : tensors)
    all.push_back(
        {{.name = name, .type = element_type_of(name, tensor), .shape = tensor.sizes().vec()},
         tensor.detach().to(at::kCPU).contiguous()});
  std::stable_sort(all.begin(), all.end(),
                   [](auto& a, auto& b) { return size_of(a.entry.type) > size_of(b.entry.type); });
  std::uint64_t offset = 0;
  for (auto& tensor : all) {
    tensor.entry.begin = offset;
    tensor.entry.end = offset += tensor.value.nbytes();
  }
  return all;
}

} // namespace

tensor_file map_safetensors(const std::filesystem::path& path) {
  const auto file = std::make_shared<const mapping>(path);
  try {
    auto header = parse_safetensors_header(file->bytes());
    tensor_file result;
    result.metadata = std::move(header.metadata);
    for (const auto& entry : header.tensors) result.tensors[entry.name] = tensor_in(file, entry);
    return result;
  } catch (const bad_header& why) {
    throw bad_checkpoint(path.string() + ": " + why.what() + "; restore it from the checkpoint");
  }
}

void write_safetensors(const std::filesystem::path& path,
                       const std::map<std::string, at::Tensor>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  const auto all = plain_tensors(tensors);
  safetensors_header header;
  header.metadata = metadata;
  for (const auto& tensor : all) header.tensors.push_back(tensor.entry);
  atomic_file file(path);
  file.write(format_safetensors_header(header));
  for (const auto& tensor : all) file.write(tensor.value.data_ptr(), tensor.value.nbytes());
  file.commit();
}

} // namespace banyan
