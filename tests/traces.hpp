#pragma once

#include "solver/trace.hpp"

#include <string>
#include <variant>
#include <vector>

#include <catch2/catch.hpp>

namespace banyan {

inline const problem example{{42, 61, 66}, 47};

inline const std::string two_nodes = "Exploring Operation: 66-42=24, Resulting Numbers: [61, 24]\n"
                                     "Generated Node #0,0: 47:[61, 24] Operation: 66-42=24\n"
                                     "Exploring Operation: 61-42=19, Resulting Numbers: [66, 19]\n"
                                     "Generated Node #0,1: 47:[66, 19] Operation: 61-42=19\n";
inline const std::string both_called = "<Calling Sub Searches>\n"
                                       "<Start Sub Search 0 at level 1> Moving to Node #0,1\n"
                                       "<Start Sub Search 1 at level 1> Moving to Node #0,0\n"
                                       "<End Calling Sub Searches>\n";
inline const std::string goal = "47,47 equal: Goal Reached\n";
inline const std::string child_path_text =
    "Moving to Node #0,1\n"
    "Current State: 47:[66, 19], Operations: ['61-42=19']\n"
    "Exploring Operation: 66-19=47, Resulting Numbers: [47]\n"
    + goal;
inline const std::string root_path_text =
    "Moving to Node #0\n"
    "Current State: 47:[42, 61, 66], Operations: []\n"
    "Exploring Operation: 61-42=19, Resulting Numbers: [66, 19]\n"
    "Generated Node #0,1: 47:[66, 19] Operation: 61-42=19\n"
    + child_path_text;
inline const std::string joined_text = "<Sub Searches>\n"
                                       "<Goal Reached in Sub Search 0 at level 1 at Node #0,1>\n"
                                       + child_path_text
                                       + "<No Solution in Sub Search 1 at level 1 at Node #0,0>\n"
                                         "<End Sub Searches>\n";

/// One verdict as text, so that verdicts can be compared and printed.
inline std::string shown(const trace_verdict& v) {
  if (auto* s = std::get_if<verdict::spawn>(&v)) {
    std::string all = "spawn";
    for (const auto& prompt : s->prompts) all += "|" + prompt;
    return all;
  }
  if (auto* d = std::get_if<verdict::done>(&v)) return "done|" + d->solution;
  if (auto* m = std::get_if<verdict::malformed>(&v)) return "malformed|" + m->why;
  return std::holds_alternative<verdict::more>(v) ? "more" : "gave_up";
}

inline trace root_trace(trace::options o = {}) { return {root_prompt(example), o}; }

/// What is wrong with a thread that writes two nodes and then `block`; "" if nothing is.
inline std::string fault_of(const std::string& block, trace::options o = {}) {
  auto t = root_trace(o);
  auto said = t.feed(two_nodes + block, true);
  auto* m = std::get_if<verdict::malformed>(&said);
  return m ? m->why : "";
}

inline std::vector<std::string> prompts_of(trace_verdict said) {
  auto* s = std::get_if<verdict::spawn>(&said);
  REQUIRE(s);
  return s->prompts;
}

} // namespace banyan
