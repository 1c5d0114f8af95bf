#pragma once

#include "apps/common_options.hpp"
#include "model/checkpoint.hpp"
#include "model/tokenizer.hpp"
#include "model/weights.hpp"

#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace banyan {

/// The options of a benchmark, under the same rules as those of the programs.
inline option_list bench_options_of(const std::string& program, std::string usage,
                                    std::string about) {
  option_list list(program, std::move(usage), std::move(about), {});
  list.program(program);
  return list;
}

/// Reads the command line; `--help` prints and ends with 0. Throws bad_usage.
inline void read_words(option_list& list, int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (!list.parse(words)) std::exit(exit_done);
}

/// What a benchmark's `main` does about the exception in flight: a line, and the exit code.
inline int told_failure(const char* program) {
  try {
    throw;
  } catch (const bad_usage& why) {
    std::cerr << program << ": " << why.what() << "\n";
    return exit_usage;
  } catch (const std::exception& why) {
    std::cerr << program << ": " << why.what() << "\n";
    return exit_environment;
  }
}

/// The shape of models/countdown-3.
inline model_config shipped_shape(const tokenizer& vocabulary) {
  model_config c;
  c.vocab_size = vocabulary.vocab_size();
  c.bos_id = vocabulary.bos_id();
  c.eos_id = vocabulary.eos_id();
  c.pad_id = vocabulary.pad_id();
  return c;
}

/// A checkpoint, or without a folder random weights of the shipped shape.
inline checkpoint model_to_measure(const std::string& folder, dtype precision,
                                   const std::string& device) {
  if (!folder.empty()) return load_checkpoint(folder, precision, device);
  auto vocabulary = countdown_tokenizer();
  const auto c = shipped_shape(*vocabulary);
  return {c, vocabulary,
          std::make_shared<model_weights>(copy_weights(random_weights(c, 1), precision, device))};
}

} // namespace banyan
