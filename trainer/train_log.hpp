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
/// written, and after one that could not be written, of which nothing stays.
class train_log {
public:
  explicit train_log(std::filesystem::path);
  const std::filesystem::path& path() const { return path_; }

  /// One JSON object, on a line of its own. Throws std::system_error.
  void write(const std::string& object);
  void write_evaluation(std::int64_t step, const std::string& evaluation);

  /// Begins anew, without a line.
  void clear();

  struct kept_lines {
    std::int64_t lost = 0;       ///< steps without a line
    std::int64_t evaluated = -1; ///< the last step with an evaluation
  };

  /// Drops lines of later steps: a killed run may have logged more than it kept.
  kept_lines keep_until(std::int64_t step);

private:
  std::filesystem::path path_;
  std::ofstream out_;
};

} // namespace banyan
