#include "apps/model_choice.hpp"

#include "apps/failure.hpp"

#include <algorithm>
#include <cstdlib>
#include <set>

namespace banyan {

namespace fs = std::filesystem;

namespace {

/// The first problem that a model does not know, and why.
struct stranger {
  const listed_problem* problem = nullptr;
  std::string why;
};

std::optional<stranger> find_stranger(const task_range& range,
                                      std::span<const listed_problem> problems) {
  for (const auto& p : problems)
    if (auto why = range.misses(p.value)) return stranger{&p, std::move(*why)};
  return {};
}

[[noreturn]] void refuse(const listed_problem& p, const std::string& why) {
  throw bad_usage(p.where, why, "give another problem, or a --model DIR that was trained for it");
}

/// No shipped model knows all the problems; `s` is of the one that got farthest.
[[noreturn]] void refuse(const stranger& s, std::span<const model_choice> models) {
  std::set<int> known;
  for (const auto& m : models) {
    if (!m.range->misses(s.problem->value))
      throw bad_usage(s.problem->where, "no shipped model knows both it and the problems before it",
                      "solve problems of different kinds apart; " + m.folder.string()
                          + " knows this one");
    known.insert(m.range->numbers.begin(), m.range->numbers.end());
  }
  auto all = *models.front().range;
  all.numbers.assign(known.begin(), known.end());
  refuse(*s.problem, all.misses(s.problem->value).value_or(s.why));
}

/// The shipped models of the first folder that has any, in the order of their names.
std::vector<model_choice> shipped(const std::vector<fs::path>& folders) {
  std::vector<model_choice> models;
  for (const auto& folder : folders) {
    std::error_code missing;
    for (const auto& entry : fs::directory_iterator(folder, missing))
      if (fs::exists(entry.path() / "config.json", missing))
        models.push_back({entry.path(), read_task_range(entry.path())});
    if (!models.empty()) break;
  }
  std::sort(models.begin(), models.end(),
            [](const auto& a, const auto& b) { return a.folder < b.folder; });
  return models;
}

std::size_t breadth(const model_choice& m) {
  return m.range ? m.range->numbers.size() : std::size_t(-1);
}

} // namespace

std::vector<fs::path> model_folders() {
  if (const auto* asked = std::getenv("BANYAN_MODELS"); asked && *asked) return {asked};
  std::error_code unknown;
  const auto program = fs::read_symlink("/proc/self/exe", unknown).parent_path();
  std::vector<fs::path> folders;
  if (!program.empty()) folders = {program / "../share/banyan/models", program / "../../../models"};
  folders.emplace_back("models");
  return folders;
}

void require_known(const model_choice& model, std::span<const listed_problem> problems) {
  if (!model.range) return;
  if (auto s = find_stranger(*model.range, problems)) refuse(*s->problem, s->why);
}

model_choice choose_model(const fs::path& asked, std::span<const listed_problem> problems,
                          const std::vector<fs::path>& folders) {
  if (!asked.empty()) {
    model_choice chosen{asked, read_task_range(asked)};
    require_known(chosen, problems);
    return chosen;
  }
  const auto models = shipped(folders);
  const model_choice* best = nullptr;
  std::optional<stranger> closest;
  for (const auto& m : models) {
    auto s = m.range ? find_stranger(*m.range, problems) : std::nullopt;
    if (!s && (!best || breadth(m) < breadth(*best))) best = &m;
    // Of several reasons, the one of the model that got farthest says most.
    if (s && (!closest || s->problem > closest->problem)) closest = std::move(s);
  }
  if (best) return *best;
  if (closest) refuse(*closest, models);
  throw bad_environment("--model", "no shipped model was found",
                        "give --model DIR, or set BANYAN_MODELS to the folder that holds models");
}

} // namespace banyan
