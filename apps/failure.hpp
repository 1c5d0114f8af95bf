#pragma once

#include <stdexcept>
#include <string>

namespace banyan {

/// How a program ends; docs/interfaces.md. A signal ends it with 128 + its number.
enum exit_code : int {
  exit_done = 0,
  exit_unsolved = 1,    ///< ran, but a problem stayed unsolved or a stated threshold was missed
  exit_usage = 2,       ///< wrong usage or bad input
  exit_environment = 3, ///< missing or damaged file, no such device, no space
  exit_cut_off = 141,   ///< who read standard output left before the end; 128 + SIGPIPE
};

/// Wrong usage or bad input. `what()` reads "<input>: <what is wrong>; <what to do>".
struct bad_usage : std::runtime_error {
  using std::runtime_error::runtime_error;
  bad_usage(const std::string& input, const std::string& wrong, const std::string& remedy)
      : std::runtime_error(input + ": " + wrong + "; " + remedy) {}
};

/// Something around the program is not as it must be; `what()` as above.
struct bad_environment : std::runtime_error {
  using std::runtime_error::runtime_error;
  bad_environment(const std::string& input, const std::string& wrong, const std::string& remedy)
      : std::runtime_error(input + ": " + wrong + "; " + remedy) {}
};

/// Standard output takes no more.
struct output_failed : bad_environment {
  using bad_environment::bad_environment;
};

/// Who read our standard output has closed it: there is nobody left to work for.
struct reader_left : std::exception {};

} // namespace banyan
