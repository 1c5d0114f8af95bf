#pragma once

#include "apps/common_options.hpp"
#include "apps/serving/http_options.hpp"
#include "trainer/tree_store.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace banyan {

/// All that a daemon is told, by its command line and its config file.
struct daemon_options {
  std::filesystem::path config;
  bool print_config = false;
  std::string listen = "127.0.0.1:8427"; ///< port 0: any free one
  std::filesystem::path data_dir;        ///< empty: $XDG_DATA_HOME/banyan
  std::filesystem::path model;           ///< empty: the best shipped one
  std::vector<std::string> devices;      ///< none: the CPU
  dtype precision = dtype::float32;
  int threads = 0; ///< OS threads of LibTorch; 0: one per core
  std::filesystem::path token_file;
  std::string user;       ///< who to become, where it is started by root
  std::uint64_t seed = 0; ///< of tree ids; 0: drawn

  std::size_t concurrency = 64, max_queued = 100000;
  double drain_s = 10;
  http_options http;
  retention keep;
  double keep_days = 0;
  std::uint64_t keep_megabytes = 0;
  bool sync = true;

  common_options::level log_level = common_options::level::info;
  enum class format : std::uint8_t { text, json } log_format = format::text;

  std::filesystem::path store_file() const { return data_dir / "trees.db"; }
};

/// Reads command line and config file. False: `--help` or `--version` was asked for and printed.
/// Throws `bad_usage`, and `bad_environment` for a token file that cannot be read; who only prints
/// the options needs none.
bool parse(daemon_options&, std::span<const std::string> words);

/// Reads the config file once more. What cannot change while the daemon runs is left as it is; the
/// names of such options that are now given otherwise come back. Throws as above and changes
/// nothing then.
std::vector<std::string> reload(daemon_options&, std::span<const std::string> words);

/// The resolved options in the syntax of a config file; those that are not set as comments.
std::string config_of(const daemon_options&);

} // namespace banyan
