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

/// What turns a step's tokens into logits. It has the memory of the cache too: what it computes for
/// a token it keeps in the token's slot, and finds the tokens before it through the block tables.
struct evaluator {
  virtual ~evaluator() = default;

  /// Logits of the wanted tokens, [wanted, vocab], row after row; valid until the next call. Throws
  /// if the device fails.
  virtual std::span<const float> run(const decode_batch&) = 0;

  /// Decodes with the weights under `folder` from the next run on. Throws `bad_checkpoint` if they
  /// cannot be read or do not fit, and then goes on with those it has.
  virtual void load(const std::filesystem::path& folder) = 0;
};

struct evaluator_options {
  std::string device = "cpu";
  dtype precision = dtype::float32;
  std::int32_t num_blocks = 0, block_size = 0;
  int os_threads = 0; ///< for one operation on the CPU; 0: as LibTorch likes
};

/// The transformer of a checkpoint over a paged cache on a device. Throws if the device has no
/// room.
std::unique_ptr<evaluator> make_transformer_evaluator(const checkpoint&, const evaluator_options&);

} // namespace banyan
