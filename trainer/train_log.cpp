#include "trainer/train_log.hpp"

#include "model/checkpoint.hpp"
#include "model/read_file.hpp"

#include <cerrno>
#include <sstream>
#include <system_error>

#include <nlohmann/json.hpp>

namespace banyan {

namespace {

[[noreturn]] void fail(const std::filesystem::path& path) {
  throw std::system_error(errno, std::generic_category(), path.string());
}

} // namespace

train_log::train_log(std::filesystem::path path) : path_(std::move(path)) {}

void train_log::write_evaluation(std::int64_t step, const std::string& evaluation) {
  write(nlohmann::ordered_json{{"step", step}, {"eval", nlohmann::ordered_json::parse(evaluation)}}
            .dump());
}

void train_log::write(const std::string& text) {
  if (!out_.is_open()) out_.open(path_, std::ios::app);
  out_ << text << '\n' << std::flush;
  if (!out_) fail(path_);
}

void train_log::clear() {
  out_.close();
  std::filesystem::remove(path_);
}

void train_log::keep_until(std::int64_t step) {
  out_.close();
  if (!std::filesystem::exists(path_)) return;
  std::istringstream lines(read_file(path_));
  std::string kept;
  for (std::string text; std::getline(lines, text);) {
    const auto j = nlohmann::json::parse(text, nullptr, false);
    if (j.is_object() && j.value("step", step + 1) <= step) kept += text + '\n';
  }
  write_file_atomically(path_, kept);
}

} // namespace banyan
