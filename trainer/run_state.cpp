#include "trainer/run_state.hpp"

#include "model/atomic_file.hpp"
#include "model/checkpoint.hpp"
#include "model/read_file.hpp"
#include "model/safetensors.hpp"
#include "model/weights.hpp"
#include "trainer/checksums.hpp"
#include "trainer/not_finite.hpp"
#include "trainer/optimizer.hpp"

#include <algorithm>
#include <stdexcept>

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

namespace banyan {

namespace fs = std::filesystem;

void save_state(const fs::path& folder, const optimizer& update,
                const nlohmann::ordered_json& state) {
  write_safetensors(folder / "trainer.safetensors", update.state());
  write_file_atomically(folder / "trainer.json", state.dump(2) + "\n");
}

std::map<std::string, at::Tensor> read_tensors(const fs::path& file) {
  auto all = map_safetensors(file).tensors;
  if (const auto name = find_not_finite(all); !name.empty())
    throw bad_checkpoint(file.string() + ": " + name
                         + " has values that are not finite; go back to an earlier checkpoint");
  return all;
}

void restore_state(const fs::path& folder, optimizer& update,
                   const std::function<void(const nlohmann::ordered_json&)>& take) {
  const auto damaged = [&folder](const std::string& what) {
    throw bad_checkpoint((folder / "trainer.json").string() + ": " + what
                         + "; go back to an earlier checkpoint");
  };
  try {
    update.restore(read_tensors(folder / "trainer.safetensors"));
    take(nlohmann::ordered_json::parse(read_file(folder / "trainer.json")));
  } catch (const nlohmann::json::parse_error&) {
    damaged("not JSON");
  } catch (const nlohmann::json::exception&) {
    damaged("an entry is missing, or is not what it should be");
  } catch (const std::domain_error& e) {
    damaged(e.what());
  } catch (const std::invalid_argument& e) {
    throw bad_checkpoint((folder / "trainer.safetensors").string() + ": " + e.what()
                         + "; it is another run's: go back to an earlier checkpoint");
  }
}

void require_unchanged(const fs::path& folder) {
  const auto other = "go back to an earlier checkpoint";
  try {
    if (const auto file = changed_file(folder); !file.empty())
      throw bad_checkpoint(file.string() + ": it is not as it was written (its checksum differs); "
                           + other);
  } catch (const nlohmann::json::exception&) {
    throw bad_checkpoint((folder / checksum_file).string() + ": not JSON; " + other);
  }
}

void require_shape(const model_weights& ours, const model_weights& theirs, const fs::path& folder) {
  const auto mine = named_views(ours), given = named_views(theirs);
  const auto alike = [](const named_tensor& a, const named_tensor& b) {
    return a.name == b.name && a.value.sizes() == b.value.sizes();
  };
  if (std::ranges::equal(mine, given, alike) && ours.config.num_heads == theirs.config.num_heads
      && ours.config.rope_theta == theirs.config.rope_theta)
    return;
  throw bad_checkpoint(
      (folder / "config.json").string()
      + ": another shape than the run's; resume with the options it was started with");
}

std::string epoch_file(std::int64_t epoch) {
  return "epoch-" + std::to_string(epoch) + ".safetensors";
}

std::optional<std::int64_t> step_of_checkpoint(const fs::path& folder) {
  try {
    load_checkpoint(folder, dtype::float32, "cpu");
    map_safetensors(folder / "trainer.safetensors"); // it must be there, others may
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (entry.path().extension() == ".safetensors") read_tensors(entry.path());
      if (entry.path().extension() == ".json" && !nlohmann::json::accept(read_file(entry.path())))
        return {};
    }
    const auto state = nlohmann::json::parse(read_file(folder / "trainer.json"));
    const std::int64_t step = state.at("step");
    for (const std::int64_t epoch : state.value("epochs", nlohmann::json::array()))
      if (epoch != step && !fs::exists(folder / epoch_file(epoch))) return {};
    return changed_file(folder).empty() ? std::optional(step) : std::nullopt;
  } catch (const std::exception&) {
    return {}; // whatever is wrong with it
  }
}

void load_into(model_weights& weights, const fs::path& folder) {
  const auto from = load_checkpoint(folder, dtype::float32, weights.embedding.device().str());
  require_shape(weights, *from.weights, folder);
  auto mine = named_views(weights), saved = named_views(*from.weights);
  for (std::size_t i = 0; i < mine.size(); ++i) mine[i].value.detach().copy_(saved[i].value);
}

} // namespace banyan
