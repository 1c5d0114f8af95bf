#include "apps/serving/tree_body.hpp"

#include "apps/join_text.hpp"
#include "apps/serving/fields.hpp"
#include "apps/serving/http.hpp"
#include "solver/trace.hpp"

#include <algorithm>

namespace banyan {

using nlohmann::json;

namespace {

constexpr auto problem_form = R"(write it as {"numbers": [3, 5, 7], "target": 22})";

/// Where `malformed` found fault: it looks at the numbers first.
std::string place_of_fault(problem p) {
  p.target = 0;
  return malformed(p) ? "problem.numbers" : "problem.target";
}

std::int64_t whole_number(const json& j, const std::string& field) {
  if (!is_whole(j) || (j.is_number_unsigned() && j.get<std::uint64_t>() > INT64_MAX))
    refuse_field(field, "it is not a whole number in 0..9999", problem_form);
  return j.get<std::int64_t>();
}

/// As a line of a problem file, which may have further fields.
problem read_problem(const json& j) {
  fields given(j, "problem");
  const auto* numbers = given.find("numbers");
  const auto* nums = given.find("nums");
  if (numbers && nums) refuse_field("problem.nums", "`numbers` is there too", "give one of them");
  if (!numbers) numbers = nums;
  if (!numbers || !numbers->is_array())
    refuse_field("problem.numbers", "it is not a list", problem_form);
  problem p;
  for (const auto& number : *numbers) p.numbers.push_back(whole_number(number, "problem.numbers"));
  const auto* target = given.find("target");
  if (!target) refuse_field("problem.target", "it is missing", problem_form);
  p.target = whole_number(*target, "problem.target");
  if (const auto why = malformed(p)) refuse_field(place_of_fault(p), *why, problem_form);
  return p;
}

/// "children" and "token_budget": what the first prompt line is conditioned on.
conditioning read_conditioning(fields& given) {
  conditioning said;
  int children = 0, tokens = 0;
  given.whole("children", children, 0, 1'000'000);
  given.whole("token_budget", tokens, 0);
  if (given.has("children")) said.sub_call_budget = children;
  if (given.has("token_budget") && tokens > 0) said.token_budget = tokens;
  if (said.sub_call_budget && said.token_budget)
    refuse_field("token_budget", "`children` is there too, and no demonstration has both",
                 "give one of them");
  return said;
}

constexpr auto prompt_form =
    R"(write it as "Moving to Node #0\nCurrent State: 54:[25, 7, 36], Operations: []\n", or give a problem)";

/// White space around a prompt and in its list of numbers is nobody's meaning.
std::string tidy_prompt(const std::string& given) {
  constexpr std::string_view space = " \t\r\n";
  const auto begin = std::min(given.find_first_not_of(space), given.size());
  auto text = given.substr(begin, given.find_last_not_of(space) + 1 - begin);
  std::erase(text, '\r');
  const auto open = text.find('['), close = std::min(text.find(']', open), text.size());
  if (open != text.npos) {
    std::string numbers;
    for (const char c : text.substr(open, close - open))
      if (space.find(c) == space.npos) numbers += c == ',' ? ", " : std::string(1, c);
    text.replace(open, close - open, numbers);
  }
  return text + '\n';
}

/// A prompt that has no condition gets the given one.
void read_prompt(fields& given, const conditioning& said, solve_request& request) {
  given.text("prompt", request.prompt);
  request.prompt = tidy_prompt(request.prompt);
  auto read = parse_root_prompt(request.prompt);
  if (!read) refuse_field("prompt", "it is not a problem's first text and no more", prompt_form);
  request.problem = std::move(*read);
  if (const auto why = malformed(request.problem)) refuse_field("prompt", *why, problem_form);
  if (!said.sub_call_budget && !said.token_budget) return;
  if (request.prompt != root_prompt(request.problem))
    refuse_field(said.sub_call_budget ? "children" : "token_budget",
                 "the prompt has a condition itself", "say it in one of the two places");
  request.prompt = root_prompt(request.problem, said);
}

void read_start(fields& given, solve_request& request) {
  const auto said = read_conditioning(given);
  const auto* problem = given.find("problem");
  if (given.has("prompt")) {
    if (problem) refuse_field("prompt", "`problem` is there too", "give one of them");
    return read_prompt(given, said, request);
  }
  if (!problem) refuse_field("problem", "it is missing", problem_form);
  request.problem = read_problem(*problem);
  request.prompt = root_prompt(request.problem, said);
}

void read_sampling(fields& whole, tree_body& read) {
  const auto* j = whole.find("sampling");
  if (!j) return;
  fields given(*j, "sampling");
  given.sampling(read.request.sampling);
  read.seeded = given.has("seed");
  given.end();
}

void read_join_field(fields& given, join_policy& join) {
  std::string text = "all";
  given.text("join", text);
  if (!read_join(text, join))
    refuse_field("join", "'" + shortened(text) + "' does not fit",
                 std::string("give ") + join_forms);
}

void read_budget(fields& whole, budget& b) {
  const auto* j = whole.find("budget");
  if (!j) return;
  fields given(*j, "budget");
  given.whole("max_tokens", b.max_tokens);
  given.whole("max_context", b.max_context);
  given.whole("max_tree_tokens", b.max_tree_tokens);
  given.whole("max_threads", b.max_threads, 1);
  given.whole("max_depth", b.max_depth);
  given.whole("max_rounds", b.max_rounds);
  given.real("deadline_s", b.deadline_s, 0, 1e9);
  given.end();
}

void read_task(fields& given, std::string& task) {
  given.text("task", task);
  if (task != "countdown") refuse_field("task", "there is no such task", "give countdown");
}

} // namespace

tree_body parse_tree_body(std::string_view body) {
  const auto object = parse_body(body);
  fields given(object);
  tree_body read;
  read_task(given, read.request.task);
  read_start(given, read.request);
  read_sampling(given, read);
  read_join_field(given, read.request.join);
  read_budget(given, read.request.budget);
  given.labels("labels", read.request.labels);
  given.flag("wait", read.wait);
  given.flag("stay", read.stay);
  given.end();
  return read;
}

std::string parse_action_body(std::string_view body) {
  const auto object = parse_body(body, true);
  fields given(object);
  std::string thread = "/";
  given.text("thread", thread);
  given.end();
  if (!thread.starts_with('/')) refuse_field("thread", "it is not a path", "write it as /0/3");
  return thread;
}

} // namespace banyan
