#pragma once

#include "trainer/sft.hpp"

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

namespace banyan {

/// `log.jsonl` of a run: one object per line, flushed line by line. Opened with the first line
/// written.
class train_log {
public:
  explicit train_log(std::filesystem::path);

  void write(const sft_progress&);
  void write(const std::string& object); ///< one JSON object, on a line of its own
  /// `evaluation`: the evaluate object as JSON.
  void write_evaluation(std::int64_t step, const std::string& evaluation);

  /// Begins anew, without a line.
  void clear();

  /// Drops lines of later steps: a killed run may have logged more than it kept.
  void keep_until(std::int64_t step);

private:
  std::filesystem::path path_;
  std::ofstream out_;
};

/// Means of loss and gradient norm, and the rate of tokens, between two logged lines.
class progress_mean {
public:
  void add(const sft_progress&);
  sft_progress take();

private:
  sft_progress last_;
  double loss_ = 0, norm_ = 0, seconds_ = 0;
  std::uint64_t tokens_ = 0;
  std::int64_t count_ = 0;
};

} // namespace banyan
