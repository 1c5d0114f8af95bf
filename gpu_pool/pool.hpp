#pragma once

#include "actors/interfaces.hpp"
#include "gpu_pool/scheduler.hpp"
#include "model/config.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include <caf/fwd.hpp>

namespace banyan {

class pool_gauge;
class tokenizer;
struct checkpoint;
struct evaluator;

struct pool_options {
  std::string name = "cpu:0";
  std::string device = "cpu";
  dtype precision = dtype::float32;
  /// At most; less where the batch could not use so much. 0: 512 MiB on the CPU, a third of what is
  /// free on a GPU.
  std::uint64_t cache_bytes = 0;
  std::uint32_t weights_epoch = 0; ///< of the weights it starts with
  std::size_t keep_epochs = 1;     ///< older than the newest, beside those that pinned threads need
  int os_threads = 0;              ///< for one operation on the CPU; 0: as LibTorch likes
  std::int64_t progress_ms = 50;   ///< between two `decode_progress` to a watched thread
  scheduler_options scheduling;
  std::function<void(std::string_view)> log; ///< one line each; may be null
  std::shared_ptr<pool_gauge> gauge;         ///< where it shows its status; may be null
};

/// Blocks of the cache that these options give a model.
std::int32_t num_cache_blocks(const pool_options&, const model_config&);

/// Starts a pool for the checkpoint on its own OS thread; `detached` false is for tests under a
/// deterministic scheduler. Throws in the caller if the device is not there or has no room.
pool_actor spawn_pool(caf::actor_system&, pool_options, const checkpoint&, bool detached = true);

/// The same over another evaluator, whose cache has `num_blocks` blocks of
/// `options.scheduling.block_size` tokens. Of the model only vocabulary size, end-of-sequence and
/// context matter; the tokenizer is needed for stop strings only.
pool_actor spawn_pool(caf::actor_system&, pool_options, std::unique_ptr<evaluator>,
                      std::int32_t num_blocks, const model_config&,
                      std::shared_ptr<const tokenizer>, bool detached = true);

} // namespace banyan
