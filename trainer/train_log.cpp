#include "trainer/train_log.hpp"

#include "model/checkpoint.hpp"
#include "model/read_file.hpp"

#include <algorithm>
#include <cerrno>
#include <set>
#include <sstream>
#include <system_error>

#include <nlohmann/json.hpp>

namespace banyan {

namespace {

[[noreturn]] void fail(const std::filesystem::path& path) {
  throw std::system_error(errno, std::generic_category(), path.string());
}

} // namespace

std::string evaluation_line(std::int64_t step, const std::string& evaluation) {
  using json = nlohmann::ordered_json;
  return json{{"step", step}, {"eval", json::parse(evaluation)}}.dump();
}

train_log::train_log(std::filesystem::path path) : path_(std::move(path)) {}

void train_log::write_evaluation(std::int64_t step, const std::string& evaluation) {
  write(evaluation_line(step, evaluation));
}

void train_log::write(const std::string& text) {
  std::error_code unknown;
  const auto before = std::filesystem::file_size(path_, unknown);
  const bool was_there = !unknown;
  errno = 0;
  if (!out_.is_open()) out_.open(path_, std::ios::app);
  out_ << text << '\n' << std::flush;
  if (out_) return;
  const auto why = errno;
  out_.close();
  out_.clear();
  if (was_there) std::filesystem::resize_file(path_, before, unknown);
  errno = why;
  fail(path_);
}

void train_log::clear() {
  out_.close();
  std::filesystem::remove(path_);
}

train_log::kept_lines train_log::keep_until(std::int64_t step) {
  out_.close();
  if (!std::filesystem::exists(path_)) return {.lost = step};
  if (std::filesystem::is_directory(path_)) errno = EISDIR, fail(path_);
  std::istringstream lines(read_file(path_));
  kept_lines found;
  std::string kept;
  std::set<std::int64_t> steps;
  for (std::string text; std::getline(lines, text);) {
    const auto j = nlohmann::json::parse(text, nullptr, false);
    if (!j.is_object() || !j.contains("step") || !j["step"].is_number_integer()) continue;
    const std::int64_t of = j["step"];
    if (of > step) continue;
    if (!j.contains("eval"))
      steps.insert(of);
    else
      found.evaluated = std::max(found.evaluated, of);
    kept += text + '\n';
  }
  write_file_atomically(path_, kept);
  found.lost = step - static_cast<std::int64_t>(steps.size());
  return found;
}

} // namespace banyan
