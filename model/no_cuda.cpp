// What stands in for the CUDA kernels, and for what launches them, where nvcc was not found.

#include "model/decoding.hpp"
#include "model/device_cuda.hpp"
#include "model/transformer.hpp"
#include "model/tree_attention_cuda.hpp"

namespace banyan {

namespace {

constexpr std::string_view what_is_wrong =
    "this build has no CUDA kernels; build where nvcc is found or use the device cpu";

} // namespace

void require_cuda(std::string_view device, int) { refuse_device(device, what_is_wrong); }

std::uint64_t free_bytes_cuda(std::string_view device, int) {
  refuse_device(device, what_is_wrong);
}

at::Tensor decode_on_cuda(const decoding&, const model_weights& w, const decode_batch&, kv_cache&) {
  refuse_device(w.embedding.device().str(), what_is_wrong);
}

bool tree_attention_cuda_fits(std::int64_t) { return false; }

void tree_attention_forward_cuda(const tree_attention_cuda_args&, void*) {
  refuse_device("cuda", what_is_wrong);
}

void tree_attention_backward_cuda(const tree_attention_cuda_args&, void*) {
  refuse_device("cuda", what_is_wrong);
}

} // namespace banyan
