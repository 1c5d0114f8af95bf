#pragma once

#include "solver/problems.hpp"
#include "solver/search.hpp"
#include "solver/search_space.hpp"
#include "solver/trace.hpp"

#include <cstdint>
#include <sstream>
#include <string>
#include <vector>

namespace banyan {

inline constexpr search_kind all_kinds[] = {search_kind::sos_bfs, search_kind::sos_dfs,
                                            search_kind::sos_plus, search_kind::apr};

inline search_options fixed_beams(int beam, int sub_beam) {
  search_options options;
  options.beam_low = options.beam_high = beam;
  options.sub_beam_low = options.sub_beam_high = sub_beam;
  return options;
}

inline search_options in_generation_order(search_kind kind, int beam, double probability) {
  auto options = fixed_beams(beam, beam);
  options.kind = kind;
  options.order = node_order::generation;
  options.spawn_probability = probability;
  return options;
}

inline std::string after(const std::string& line, const std::string& mark) {
  auto at = line.find(mark);
  return at == std::string::npos ? "" : line.substr(at + mark.size());
}

/// How far the state at which a child starts is from the target, by the `mult` heuristic.
inline double start_score(const thread_record& child) {
  auto state = after(child.segments[0].text, "Current State: ");
  state.resize(state.find(", Operations"));
  auto start =
      parse_root_prompt("Moving to Node #0\nCurrent State: " + state + ", Operations: []\n");
  double score = 0;
  for (auto number : start.value().numbers) {
    auto nearest = start->target;
    for (std::int64_t factor = 2; factor < start->target; ++factor)
      if (start->target % factor == 0 && std::abs(number - factor) < std::abs(number - nearest))
        nearest = factor;
    score += static_cast<double>(std::abs(number - nearest));
  }
  return score;
}

/// Calls `check(tree)` for demonstrations of many problems with sampled beams.
template <class Check>
inline void for_each_demonstration(search_options options, Check check, int num_numbers = 4,
                                   std::size_t count = 100) {
  problem_options wanted;
  wanted.num_numbers = num_numbers;
  std::uint64_t index = 0;
  for (auto& p : generate_problems(wanted, count)) check(demonstrate(p, options, index++));
}

inline std::string written_text(const thread_record& thread) {
  std::string text;
  for (auto& s : thread.segments)
    if (s.kind == segment_kind::written) text += s.text;
  return text;
}

inline std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

/// Feeds a demonstrated thread to the grammar and says where the two disagree.
inline std::string disagreement(const tree& t, const thread_record& thread,
                                std::uint32_t& next_child) {
  trace reader(thread.segments[0].text, {.level = thread.depth + 1});
  for (std::size_t i = 1; i < thread.segments.size(); ++i) {
    auto& s = thread.segments[i];
    bool last = i + 1 == thread.segments.size();
    if (s.kind == segment_kind::joined) continue;
    auto verdict = reader.feed(s.text, last);
    if (s.kind == segment_kind::spawn) {
      auto* spawn = std::get_if<verdict::spawn>(&verdict);
      if (!spawn) return "a spawn block that spawns nothing";
      std::vector<child_result> results;
      for (auto& prompt : spawn->prompts) {
        auto* child = t.find(child_path(thread.path, next_child++));
        if (!child || child->segments[0].text != prompt) return "another prompt: " + prompt;
        results.push_back({child->solution, child->failure});
      }
      if (reader.join(results) != thread.segments[i + 1].text) return "another join";
    } else if (auto* done = std::get_if<verdict::done>(&verdict)) {
      if (done->solution != thread.solution) return "another solution";
    } else if (last && (thread.solution || !std::holds_alternative<verdict::gave_up>(verdict))) {
      return "another ending";
    }
  }
  return "";
}

inline std::string disagreement(const tree& t) {
  std::uint32_t next_child = 0;
  for (auto& thread : t.threads)
    if (auto what = disagreement(t, thread, next_child); !what.empty())
      return thread.path + ": " + what;
  if (next_child + 1 != t.threads.size()) return "children that nobody spawned";
  return "";
}

inline std::string all_text(const tree& t) {
  std::string text;
  for (auto& thread : t.threads)
    for (auto& s : thread.segments) text += std::string(to_string(s.kind)) + "|" + s.text;
  return text;
}

} // namespace banyan
