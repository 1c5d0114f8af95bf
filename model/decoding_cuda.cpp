#include "model/cuda_runner.hpp"
#include "model/decoding.hpp"
#include "model/element_type.hpp"
#include "model/transformer.hpp"

namespace banyan {

namespace {

/// With room for whatever `check` lets through.
std::shared_ptr<cuda_runner> make_runner(const kv_cache& cache, const at::Device& device) {
  const auto tokens = cache.max_tokens();
  auto made = std::make_shared<cuda_runner>(
      device, padded_batch::numbers(padded_batch::size_for(tokens),
                                    tokens * cache.max_blocks_of_sequence()));
  made->wait_for(launched_so_far(device)); // on what may have been this memory before
  return made;
}

} // namespace

at::Tensor decode_on_cuda(const decoding& d, const model_weights& w, const decode_batch& b,
                          kv_cache& cache) {
  auto& cuda = cache.scratch().cuda;
  if (!cuda) cuda = make_runner(cache, w.embedding.device());
  cuda->wait_for(*d.ready());
  const cuda_runner::guard guard(*cuda);
  const padded_batch padded(b, padded_batch::size_for(static_cast<std::int64_t>(b.ids.size())));
  auto& a = cache.scratch().of(padded.tokens());
  const auto uploaded = cuda->upload(padded);
  return with_type(w.embedding, [&]<class T>(T) {
    const decode_step<T, on_stream> step(uploaded, w.config, d.rotary(), cache, {cuda->stream()});
    cuda->run({d.identity(), padded.tokens()}, [&] { d.layers(w, step, a); });
    return cuda->download(d.logits(w, step, a, static_cast<std::int64_t>(b.wanted.size())));
  });
}

} // namespace banyan
