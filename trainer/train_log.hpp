#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

namespace banyan {

/// What the log says of an evaluation after so many steps: `evaluation` is the evaluate object as
/// JSON.
std::string evaluation_line(std::int64_t step, const std::string& evaluation);

/// `log.jsonl` of a run: one object per line, flushed line by line. Opened with the first line
/// written.
class train_log {
public:
  explicit train_log(std::filesystem::path);

  void write(const std::string& object); ///< one JSON object, on a line of its own
  void write_evaluation(std::int64_t step, const std::string& evaluation);

  /// Begins anew, without a line.
  void clear();

  /// Drops lines of later steps: a killed run may have logged more than it kept. Returns how many
  /// of the steps until then have no line.
  std::int64_t keep_until(std::int64_t step);

private:
  std::filesystem::path path_;
  std::ofstream out_;
};

} // namespace banyan
