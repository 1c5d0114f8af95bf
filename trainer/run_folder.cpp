#include "trainer/run_folder.hpp"

#include "model/checkpoint.hpp"
#include "model/read_file.hpp"
#include "model/safetensors.hpp"
#include "model/weights.hpp"
#include "trainer/optimizer.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

namespace banyan {

namespace fs = std::filesystem;

namespace {

/// Points `link` at `target` in one rename, so that it always names a whole checkpoint.
void point_link(const fs::path& link, const fs::path& target) {
  auto fresh = link;
  fresh += ".new";
  fs::remove(fresh);
  fs::create_directory_symlink(target, fresh);
  fs::rename(fresh, link);
}

} // namespace

run_folder::run_folder(fs::path out, std::int64_t keep) : out_(std::move(out)), keep_(keep) {
  fs::create_directories(out_);
}

fs::path run_folder::folder_of(std::int64_t step) const {
  auto digits = std::to_string(step);
  return out_ / ("step-" + std::string(digits.size() < 6 ? 6 - digits.size() : 0, '0') + digits);
}

void run_folder::save(std::int64_t step, const model_weights& weights, const tokenizer& vocabulary,
                      const std::function<void(const fs::path&)>& also) {
  const auto folder = folder_of(step);
  save_checkpoint(folder, weights, vocabulary, also);
  point_link(last(), folder.filename());
  forget_old();
}

void run_folder::forget_old() const {
  std::vector<fs::path> all;
  for (const auto& entry : fs::directory_iterator(out_))
    if (entry.is_directory() && entry.path().filename().string().starts_with("step-")
        && entry.path().filename().string().find(".tmp") == std::string::npos)
      all.push_back(entry.path());
  std::sort(all.begin(), all.end());
  const auto keep = static_cast<std::size_t>(std::max<std::int64_t>(keep_, 1));
  for (std::size_t i = 0; i + keep < all.size(); ++i) fs::remove_all(all[i]);
}

void save_state(const fs::path& folder, const optimizer& update,
                const nlohmann::ordered_json& state) {
  write_safetensors(folder / "trainer.safetensors", update.state());
  write_file_atomically(folder / "trainer.json", state.dump(2) + "\n");
}

void restore_state(const fs::path& folder, optimizer& update,
                   const std::function<void(const nlohmann::ordered_json&)>& take) {
  try {
    update.restore(map_safetensors(folder / "trainer.safetensors").tensors);
    take(nlohmann::ordered_json::parse(read_file(folder / "trainer.json")));
  } catch (const nlohmann::json::exception& e) {
    throw bad_checkpoint((folder / "trainer.json").string() + ": " + e.what()
                         + "; resume from an earlier checkpoint");
  } catch (const std::invalid_argument& e) {
    throw bad_checkpoint((folder / "trainer.safetensors").string() + ": " + e.what()
                         + "; resume with the options it was started with");
  }
}

void load_into(model_weights& weights, const fs::path& folder) {
  const auto from = load_checkpoint(folder, dtype::float32, weights.embedding.device().str());
  if (num_parameters(from.config) != num_parameters(weights.config))
    throw bad_checkpoint(
        (folder / "config.json").string()
        + ": another shape than the run's; resume with the options it was started with");
  auto mine = named_views(weights), saved = named_views(*from.weights);
  for (std::size_t i = 0; i < mine.size(); ++i) mine[i].value.detach().copy_(saved[i].value);
}

} // namespace banyan
