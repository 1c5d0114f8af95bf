#pragma once

#include "apps/serving/live_forest.hpp"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

namespace banyan {

class actor_house;
class http_server;
struct common_options;

/// What others see of a run that listens: its node, pools and store over HTTP, as banyand's. Must
/// go before the house does.
class run_service {
public:
  /// Goes on with the trees of others that an earlier process left, and says where it listens.
  /// Throws bad_usage or bad_environment for an address that cannot be had.
  run_service(actor_house&, const common_options&, const std::string& listen, forest_options);
  ~run_service();

  /// Says when more threads are paused than before: a step that waits for them would look as if it
  /// hung. Looks at most once a second.
  void look();

  /// No more work is taken; who reads a completion is told that the run ends.
  void close();

private:
  actor_house& actors_;
  const common_options& common_;
  std::unique_ptr<live_forest> forest_;
  std::unique_ptr<http_server> server_; // goes first
  std::uint64_t paused_ = 0;
  std::chrono::steady_clock::time_point next_look_{};
};

/// Says how many trees of others a run leaves in its store, and what goes on with them. That it
/// cannot be found out is told, and no reason to fail the run.
void tell_unfinished(const common_options&, const std::filesystem::path& store);

/// Nobody is asked for a token, so only this machine may come. Throws `bad_usage` for an address
/// that others can reach.
void require_listenable(const std::string& listen);

} // namespace banyan
