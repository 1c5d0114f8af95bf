#include "apps/asked_problems.hpp"

namespace banyan {

namespace {

std::int64_t whole_number(const std::string& text, const char* what) {
  std::int64_t value = 0;
  if (!read_number(text, value))
    throw bad_usage("'" + text + "'", std::string("not a ") + what,
                    "give whole numbers, as in `--target 54 25 7 3`");
  return value;
}

/// `--target T N N...`: what follows the target counts as its value or stands alone.
listed_problem problem_on_the_line(const asked_problems& o) {
  problem p;
  p.target = whole_number(o.target[0], "target");
  for (std::size_t i = 1; i < o.target.size(); ++i)
    p.numbers.push_back(whole_number(o.target[i], "number"));
  for (const auto& n : o.numbers) p.numbers.push_back(whole_number(n, "number"));
  const auto text = to_string(p);
  if (const auto why = malformed(p))
    throw bad_usage(p.numbers.empty() ? "--target " + o.target[0] : text, *why,
                    p.numbers.size() < 2 || p.numbers.size() > 6
                        ? "give two to six numbers behind the target"
                        : "give another one");
  return {p, text};
}

} // namespace

void declare(option_list& list, asked_problems& o) {
  list.group("What to solve");
  list.texts("target", o.target, "T", "the number to reach with the numbers that follow").single();
  list.path("problems", o.file, "FILE",
            "JSON array or JSON lines of objects with numbers (or nums) and target; `-`: standard "
            "input");
  list.positional(o.numbers);
}

std::vector<listed_problem> asked_problems::read(const std::string& command) const {
  if (target.empty() == file.empty())
    throw bad_usage(command,
                    target.empty() ? "there is nothing to solve"
                                   : "both --target and --problems are given",
                    "give `--target T N N...` or `--problems FILE`");
  if (target.empty() && !numbers.empty())
    throw bad_usage("'" + numbers[0] + "'", "a number without --target",
                    "give `--target T N N...`");
  return file.empty() ? std::vector{problem_on_the_line(*this)} : read_problems(file);
}

} // namespace banyan
