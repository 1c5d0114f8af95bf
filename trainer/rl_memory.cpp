#include "trainer/rl_memory.hpp"

#include "model/checkpoint.hpp"
#include "model/safetensors.hpp"
#include "model/weights.hpp"
#include "trainer/run_state.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

namespace banyan {

namespace fs = std::filesystem;
using json = nlohmann::ordered_json;

namespace {

std::map<std::string, at::Tensor> by_name(const model_weights& w) {
  std::map<std::string, at::Tensor> all;
  for (const auto& [name, value] : named_views(w)) all[name] = value.detach().cpu().contiguous();
  return all;
}

std::shared_ptr<const model_weights> read_epoch(const fs::path& file, const model_weights& like) {
  auto read = std::make_shared<model_weights>(
      empty_weights(like.config, dtype::float32, like.embedding.device().str()));
  const auto saved_tensors = read_tensors(file);
  for (auto& [name, value] : named_views(*read)) {
    const auto found = saved_tensors.find(name);
    if (found == saved_tensors.end() || found->second.sizes() != value.sizes())
      throw bad_checkpoint(file.string()
                           + ": weights of another shape; go back to an earlier checkpoint");
    value.copy_(found->second);
  }
  return read;
}

/// The last one is that of the checkpoint itself.
std::vector<std::uint32_t> epochs_in(const json& state, std::int64_t step) {
  auto all = state.at("epochs").get<std::vector<std::int64_t>>();
  if (all.empty() || all.front() < 0 || all.back() != step
      || !std::ranges::is_sorted(all, std::less_equal()))
    throw std::domain_error("its step and its epochs do not fit each other");
  return {all.begin(), all.end()};
}

json to_json(const problem_places& places) {
  json j;
  for (const auto* list : {"returning", "drops", "open"}) j[list] = json::array();
  for (const auto& problem : places.waiting)
    j["returning"].push_back({problem.source.step, problem.source.group});
  for (const auto& [source, times] : places.drops)
    j["drops"].push_back({source.step, source.group, times});
  for (const auto& [place, source] : places.open)
    j["open"].push_back({place.step, place.group, source.step, source.group});
  return j;
}

problem_places places_in(const json& state) {
  problem_places places;
  for (const auto& entry : state.at("returning"))
    places.waiting.push_back({{entry.at(0), entry.at(1)}});
  for (const auto& entry : state.value("drops", json::array()))
    places.drops[{entry.at(0), entry.at(1)}] = entry.at(2);
  for (const auto& entry : state.value("open", json::array()))
    places.open[{entry.at(0), entry.at(1)}] = {entry.at(2), entry.at(3)};
  return places;
}

} // namespace

void rl_memory::forget_epochs(std::size_t count) {
  while (epochs.size() > count) epochs.pop_front();
}

void rl_memory::save(const fs::path& folder, json& state) const {
  state["epochs"] = json::array();
  for (const auto& [epoch, published] : epochs) {
    state["epochs"].push_back(epoch);
    if (epoch != epochs.back().epoch) // whose weights are the checkpoint's own
      write_safetensors(folder / epoch_file(epoch), by_name(*published));
  }
  state.update(to_json(places));
  state["made_by"] = makers.entries();
}

rl_memory rl_memory::read(const fs::path& folder, const json& state, std::int64_t step,
                          std::shared_ptr<const model_weights> present) {
  rl_memory memory{.places = places_in(state)};
  for (const auto epoch : epochs_in(state, step))
    memory.epochs.push_back(
        {epoch, epoch == step ? present : read_epoch(folder / epoch_file(epoch), *present)});
  for (const weight_makers::entry by : state.at("made_by"))
    memory.makers.begin(by.first, by.second);
  return memory;
}

} // namespace banyan
