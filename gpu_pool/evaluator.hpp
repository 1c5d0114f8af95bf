#pragma once

#include "model/config.hpp"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

namespace banyan {

struct checkpoint;
struct decode_batch;
class transformer;

/// What turns a step's tokens into logits. It has the memory of the cache too: what it computes for
/// a token it keeps in the token's slot, and finds the tokens before it through the block tables.
struct evaluator {
  virtual ~evaluator() = default;

  /// Logits of the wanted tokens under the weights of `epoch`, [wanted, vocab], row after row;
  /// valid until the next call. Throws if the device fails, and std::out_of_range for weights that
  /// it does not have.
  virtual std::span<const float> run(const decode_batch&, std::uint32_t epoch) = 0;

  /// Has the model's weights too from now on. Takes no copy: they must be on the device, in its
  /// precision and stay as they are. Throws `bad_checkpoint` if they do not fit.
  virtual void take(std::uint32_t epoch, std::shared_ptr<const transformer> model) = 0;

  /// The same with the weights under `folder`. Throws `bad_checkpoint` if they cannot be read or do
  /// not fit.
  virtual void load(std::uint32_t epoch, const std::filesystem::path& folder) = 0;

  /// Weights that it will not be asked for again.
  virtual void forget(std::uint32_t epoch) = 0;
};

struct evaluator_options {
  std::string device = "cpu";
  dtype precision = dtype::float32;
  std::int32_t num_blocks = 0, block_size = 0;
  std::size_t max_tokens = 768;    ///< of one `run`
  int os_threads = 0;              ///< for one operation on the CPU; 0: as LibTorch likes
  std::uint32_t weights_epoch = 0; ///< of the checkpoint
};

/// The transformer of a checkpoint over a paged cache on a device. Throws if the device has no
/// room.
std::unique_ptr<evaluator> make_transformer_evaluator(const checkpoint&, const evaluator_options&);

} // namespace banyan
