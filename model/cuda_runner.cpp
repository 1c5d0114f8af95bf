#include "model/cuda_runner.hpp"

#include "model/device_cuda.hpp"
#include "model/recording_turn.hpp"

#include <cassert>
#include <exception>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <c10/core/Event.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

namespace banyan {

namespace {

/// Beyond this many tokens a step takes longer than its launches.
constexpr std::int64_t most_recorded_tokens = 1024;

/// Trees that began with older weights may still run, from as many steps ago as rollouts run ahead;
/// the graphs of more are recorded anew each time. Each keeps memory of the device.
constexpr std::size_t most_models = 16;

void check(cudaError_t result, const char* what) {
  if (result == cudaSuccess) return;
  static_cast<void>(cudaGetLastError());
  throw_cuda_error(std::string("CUDA: ") + what, result);
}

struct graph_deleter {
  void operator()(cudaGraphExec_t graph) const { cudaGraphExecDestroy(graph); }
};
using graph_ptr = std::unique_ptr<std::remove_pointer_t<cudaGraphExec_t>, graph_deleter>;

graph_ptr record(cudaStream_t stream, const std::function<void()>& launches) {
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "recording a step");
  cudaGraph_t graph = nullptr;
  try {
    launches();
  } catch (...) {
    if (cudaStreamEndCapture(stream, &graph) == cudaSuccess) cudaGraphDestroy(graph);
    throw;
  }
  check(cudaStreamEndCapture(stream, &graph), "recording a step");
  cudaGraphExec_t exec = nullptr;
  const auto result = cudaGraphInstantiate(&exec, graph, 0);
  cudaGraphDestroy(graph);
  check(result, "making a graph of a step");
  return graph_ptr(exec);
}

/// Null where that fails, by what another OS thread did, say. If the step itself is at fault, it
/// says so when it is launched.
graph_ptr try_to_record(cudaStream_t stream, const std::function<void()>& launches) {
  try {
    return record(stream, launches);
  } catch (const std::exception&) {
    static_cast<void>(cudaGetLastError());
    return nullptr;
  }
}

/// Lends each of a device's streams to one runner at a time, up to the 32 that LibTorch has. It
/// hands them out in turn, so the 33rd of a process would be that of a pool: what came back is lent
/// first.
class stream_lender {
public:
  c10::cuda::CUDAStream lend(c10::DeviceIndex device) {
    const std::lock_guard lock(mutex_);
    auto& free = free_[device];
    if (free.empty()) return c10::cuda::getStreamFromPool(/*isHighPriority=*/true, device);
    const auto stream = free.back();
    free.pop_back();
    return stream;
  }

  void take_back(const c10::cuda::CUDAStream& stream) {
    const std::lock_guard lock(mutex_);
    free_[stream.device_index()].push_back(stream);
  }

private:
  std::mutex mutex_;
  std::map<c10::DeviceIndex, std::vector<c10::cuda::CUDAStream>> free_;
};

stream_lender& streams() {
  static stream_lender one;
  return one;
}

} // namespace

struct cuda_runner::impl {
  struct recorded {
    recording_turn turn;
    graph_ptr graph;
  };

  at::Tensor host, numbers;     // [room] int32 of the batch, pinned and on the device
  c10::cuda::CUDAStream stream; // lent last, and so never lost by an exception
  std::map<step, recorded> steps;
  std::vector<std::uint64_t> models; // that have run, the last one at the end

  /// Its memory may be gone once a model is forgotten, but not while it runs.
  void note_use(std::uint64_t model) {
    if (!models.empty() && models.back() == model) return;
    std::erase(models, model);
    models.push_back(model);
    if (models.size() <= most_models) return;
    std::erase_if(steps, [this](const auto& s) { return s.first.model == models.front(); });
    models.erase(models.begin());
  }

  impl(const at::Device& device, std::int64_t room)
      : host(at::empty({room}, at::TensorOptions(at::kInt).pinned_memory(true))),
        numbers(at::empty({room}, at::TensorOptions(at::kInt).device(device))),
        stream(streams().lend(device.index())) {}
  ~impl() { streams().take_back(stream); }
  impl(const impl&) = delete;
  impl& operator=(const impl&) = delete;
};

struct cuda_runner::guard::impl {
  explicit impl(const c10::cuda::CUDAStream& s) : stream(s) {}

  /// Left by an exception: what was launched may still read the batch in the host's memory, which
  /// the next step writes. That one says what is wrong with the device, if anything is.
  ~impl() {
    if (std::uncaught_exceptions() > exceptions)
      static_cast<void>(cudaStreamSynchronize(stream.current_stream().stream()));
  }

  c10::cuda::CUDAStreamGuard stream;
  int exceptions = std::uncaught_exceptions();
};

cuda_runner::guard::guard(const cuda_runner& runner) : impl_(new impl(runner.impl_->stream)) {}
cuda_runner::guard::~guard() = default;

cuda_runner::cuda_runner(const at::Device& device, std::size_t max_numbers)
    : impl_(std::make_unique<impl>(device, static_cast<std::int64_t>(max_numbers))) {}
cuda_runner::~cuda_runner() = default;

void* cuda_runner::stream() const { return impl_->stream.stream(); }

void cuda_runner::wait_for(const c10::Event& event) { event.block(impl_->stream); }

step_batch cuda_runner::upload(const padded_batch& batch) {
  const auto& [host, numbers] = std::tie(impl_->host, impl_->numbers);
  assert(static_cast<std::int64_t>(batch.size()) <= numbers.numel());
  batch.write(host.data_ptr<std::int32_t>());
  check(cudaMemcpyAsync(numbers.data_ptr(), host.data_ptr(), batch.size() * sizeof(std::int32_t),
                        cudaMemcpyHostToDevice, impl_->stream.stream()),
        "copying a batch to the device");
  return batch.at(numbers.data_ptr<std::int32_t>());
}

void cuda_runner::run(step which, const std::function<void()>& launches) {
  if (which.tokens > most_recorded_tokens) return launches();
  impl_->note_use(which.model);
  auto& known = impl_->steps[which];
  if (!known.graph && known.turn.comes(std::this_thread::get_id())) {
    known.graph = try_to_record(impl_->stream.stream(), launches);
    if (!known.graph) known.turn.failed();
  }
  if (!known.graph) return launches();
  const auto result = cudaGraphLaunch(known.graph.get(), impl_->stream.stream());
  if (result != cudaErrorMemoryAllocation) return check(result, "a step");
  // It takes memory of its own, of which LibTorch may keep all; launches have theirs.
  static_cast<void>(cudaGetLastError());
  known.graph.reset();
  known.turn.failed();
  launches();
}

at::Tensor cuda_runner::download(const at::Tensor& from) const {
  auto to = at::empty(from.sizes(), from.options().device(at::kCPU).pinned_memory(true));
  const auto stream = impl_->stream.stream();
  check(cudaMemcpyAsync(to.data_ptr(), from.data_ptr(), from.nbytes(), cudaMemcpyDeviceToHost,
                        stream),
        "copying logits from the device");
  check(cudaStreamSynchronize(stream), "a step");
  return to;
}

} // namespace banyan
