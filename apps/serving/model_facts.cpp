#include "apps/serving/model_facts.hpp"

#include "apps/model_choice.hpp"
#include "model/checkpoint.hpp"

#include <chrono>
#include <filesystem>
#include <system_error>

namespace banyan {

namespace fs = std::filesystem;

std::string model_name(const fs::path& folder) {
  auto named = fs::absolute(folder).lexically_normal();
  if (!named.has_filename()) named = named.parent_path();
  return (named.filename() == "last" ? named.parent_path() : named).filename().string();
}

model_facts facts_of(const model_choice& chosen, const checkpoint& model) {
  model_facts facts;
  facts.folder = fs::absolute(chosen.folder).lexically_normal().string();
  facts.name = model_name(chosen.folder);
  facts.parameters = static_cast<std::uint64_t>(num_parameters(model.config));
  facts.context = model.config.max_positions;
  facts.vocabulary = model.config.vocab_size;
  std::error_code unknown;
  const auto written = fs::last_write_time(chosen.folder / "config.json", unknown);
  const auto since = std::chrono::file_clock::to_sys(written).time_since_epoch();
  facts.created_s = unknown ? 0 : std::chrono::duration_cast<std::chrono::seconds>(since).count();
  return facts;
}

} // namespace banyan
