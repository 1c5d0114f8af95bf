#include "apps/trace_file.hpp"

#include "apps/failure.hpp"
#include "apps/json_list.hpp"
#include "apps/published.hpp"
#include "solver/record_file.hpp"

#include <iterator>

namespace banyan {

namespace {

std::vector<tree> read_file(const std::string& file) {
  if (!file.ends_with(".trees")) return parse_traces(read_text(file), file);
  std::vector<tree> trees;
  record_reader reader(file);
  while (auto t = reader.next()) trees.push_back(std::move(*t));
  return trees;
}

} // namespace

std::vector<tree> read_traces(const std::vector<std::string>& files, const problem_set& held_out) {
  std::vector<tree> all;
  std::size_t num_read = 0;
  for (const auto& file : files) {
    auto trees = read_file(file);
    num_read += trees.size();
    std::erase_if(trees, [&](const tree& t) { return held_out.contains(canonical(t.problem)); });
    all.insert(all.end(), std::make_move_iterator(trees.begin()),
               std::make_move_iterator(trees.end()));
  }
  if (!files.empty() && num_read == 0)
    throw bad_usage(files.front(), "there is no demonstration in it", "give one that has some");
  if (!files.empty() && all.empty())
    throw bad_usage(files.front(), "no demonstration is left to learn from",
                    "give files with problems that are not held out");
  return all;
}

} // namespace banyan
