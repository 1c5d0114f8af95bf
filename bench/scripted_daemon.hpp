#pragma once

#include "apps/actor_house.hpp"
#include "apps/serving/http_server.hpp"
#include "apps/serving/live_forest.hpp"
#include "gpu_pool/pool.hpp"
#include "gpu_pool/scripted_evaluator.hpp"
#include "model/tokenizer.hpp"
#include "trainer/store_actor.hpp"

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace banyan {

/// Takes at least this long for a step.
class timed_device : public evaluator {
public:
  timed_device(std::unique_ptr<evaluator> says, const std::atomic<double>& step_ms, bool spin)
      : says_(std::move(says)), step_ms_(step_ms), spin_(spin) {}

  std::span<const float> run(const decode_batch& batch, std::uint32_t epoch) override {
    const auto until = std::chrono::steady_clock::now()
                       + std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                           std::chrono::duration<double, std::milli>(step_ms_.load()));
    const auto logits = says_->run(batch, epoch);
    if (!spin_) std::this_thread::sleep_until(until);
    while (std::chrono::steady_clock::now() < until) {
    }
    return logits;
  }
  void take(std::uint32_t epoch, std::shared_ptr<const transformer> model) override {
    says_->take(epoch, std::move(model));
  }
  void load(std::uint32_t epoch, const std::filesystem::path& folder) override {
    says_->load(epoch, folder);
  }
  void forget(std::uint32_t epoch) override { says_->forget(epoch); }

private:
  std::unique_ptr<evaluator> says_;
  const std::atomic<double>& step_ms_;
  bool spin_;
};

/// What a device answers to which prompt.
class scripts {
public:
  void add(const std::string& prompt, const std::string& continuation, bool ends = false) {
    all_.push_back({words_->encode(prompt), words_->encode(continuation)});
    if (ends) all_.back().continuation.push_back(words_->eos_id());
  }

  /// What nobody wrote down goes on with empty lines.
  std::unique_ptr<evaluator> device(std::int32_t num_blocks, std::int32_t block_size) const {
    const auto filler = words_->encode("\n").front();
    return std::make_unique<scripted_evaluator>(all_, filler, num_blocks, block_size,
                                                words_->vocab_size());
  }

private:
  std::shared_ptr<const tokenizer> words_ = countdown_tokenizer();
  std::vector<script> all_;
};

inline pool_source scripted_source() {
  pool_source s;
  s.model.vocabulary = countdown_tokenizer();
  s.model.config.vocab_size = s.model.vocabulary->vocab_size();
  s.model.config.eos_id = s.model.vocabulary->eos_id();
  s.model.config.max_positions = 1 << 17;
  return s;
}

struct scripted_daemon_options {
  std::string folder = std::filesystem::temp_directory_path(); ///< for its store
  bool synced = true;                                          ///< the store, `--sync full`
  bool spins = false;        ///< a step keeps a core busy instead of sleeping
  std::size_t clients = 200; ///< that connect
};

/// The real server, node, actors and store over a device that says what is in a script. Its steps
/// take no time until `set_step`.
class scripted_daemon {
public:
  /// Throws std::runtime_error where no folder can be made.
  scripted_daemon(const scripted_daemon_options& o, const scripts& says) : step_ms_(0) {
    auto name = o.folder + "/forest-bench-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr)
      throw std::runtime_error(o.folder + ": no folder can be made there; name another --folder");
    folder_ = name;
    auto events = std::make_shared<event_hub>();
    house_options house;
    house.concurrency = 1 << 20;
    house.events = events;
    forest_options trees;
    house.make_store = [&](caf::actor_system& system) {
      tree_store file(folder_ / "trees.db", {.sync = o.synced});
      trees.gauge = file.gauge();
      return spawn_store(system, std::move(file), {});
    };
    house.make_pool = [&](caf::actor_system& system, pool_options options,
                          const pool_source& from) {
      constexpr std::int32_t num_blocks = 1 << 16;
      auto device = std::make_unique<timed_device>(
          says.device(num_blocks, options.scheduling.block_size), step_ms_, o.spins);
      return spawn_pool(system, std::move(options), std::move(device), num_blocks,
                        from.model.config, from.model.vocabulary);
    };
    house_ = std::make_unique<actor_house>(std::vector{scripted_source()}, std::move(house));
    trees.store = folder_ / "trees.db";
    trees.events = events;
    forest_ = std::make_unique<live_forest>(*house_, std::move(trees));
    http_options http;
    http.port = 0;
    http.max_connections = 4 * o.clients;
    server_ = std::make_unique<http_server>(*forest_, std::move(http));
  }

  ~scripted_daemon() {
    step_ms_ = 0;
    server_.reset();
    house_->park(std::chrono::seconds(10));
    forest_.reset();
    house_.reset();
    std::filesystem::remove_all(folder_);
  }

  void set_step(double ms) { step_ms_ = ms; }
  std::uint16_t port() const { return server_->port(); }

private:
  std::filesystem::path folder_;
  std::atomic<double> step_ms_;
  std::unique_ptr<actor_house> house_;
  std::unique_ptr<live_forest> forest_;
  std::unique_ptr<http_server> server_;
};

} // namespace banyan
