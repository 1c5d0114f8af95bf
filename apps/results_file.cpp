#include "apps/results_file.hpp"

#include "apps/failure.hpp"
#include "apps/json_list.hpp"
#include "apps/problem_file.hpp"

#include <nlohmann/json.hpp>

namespace banyan {

void solved_shares::add(const problem& p, bool solved) {
  auto& c = problems_[canonical(p)];
  ++c.samples, ++samples_;
  c.solved += solved;
}

solved_shares solved_shares::read(const std::filesystem::path& file) {
  constexpr auto remedy = "take a file that `evaluate --results` wrote";
  solved_shares all;
  for_each_json(read_text(file), file.string(), remedy,
                [&](const nlohmann::ordered_json& j, const std::string& where) {
                  if (!j.is_object() || !j.contains("problem") || !j.contains("solved")
                      || !j["solved"].is_boolean())
                    throw bad_usage(where, "it is no result of a problem", remedy);
                  all.add(problem_from(j["problem"], where), j["solved"].get<bool>());
                });
  return all;
}

std::optional<problem> solved_shares::difference(const std::vector<problem>& problems) const {
  problem_set others;
  for (const auto& p : problems) {
    if (!problems_.contains(canonical(p))) return p;
    others.insert(canonical(p));
  }
  for (const auto& [p, count] : problems_)
    if (!others.contains(p)) return p;
  return {};
}

paired_comparison solved_shares::against(const solved_shares& other) const {
  std::vector<double> ours, theirs;
  for (const auto& [p, count] : problems_) {
    ours.push_back(count.share());
    theirs.push_back(other.problems_.at(p).share());
  }
  return compare(ours, double(samples_), theirs, double(other.samples_));
}

} // namespace banyan
