#include "apps/banyan/commands.hpp"

#include "apps/failure.hpp"
#include "apps/interrupt.hpp"
#include "apps/terminal.hpp"
#include "model/atomic_file.hpp"

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <new>
#include <string>
#include <system_error>
#include <vector>

namespace banyan {

namespace {

constexpr auto help =
    "Banyan runs and trains language models that reason in trees of threads.\n"
    "\n"
    "Usage: banyan COMMAND [options]\n"
    "\n"
    "Commands:\n"
    "  solve                solve problems with a tree of reasoning threads\n"
    "  evaluate             accuracy, tokens and failures over a problem set\n"
    "  generate problems    draw a problem set\n"
    "  generate traces      write down symbolic searches as demonstrations\n"
    "  train sft            learn from demonstrations\n"
    "  train rl             learn from finished trees\n"
    "  model info           look at a checkpoint\n"
    "  model import         bring in a Llama checkpoint of Hugging Face's layout\n"
    "  model export         write a checkpoint for others, in another precision if need be\n"
    "\n"
    "Commands for a running daemon (`banyand`):\n"
    "  submit               send problems to it\n"
    "  ps                   list its trees\n"
    "  top                  its pools and trees, live\n"
    "  tree                 one tree, or one thread of it; --follow: as it grows\n"
    "  cancel               end a tree, or a thread and all below it\n"
    "  pause                stop one for a while\n"
    "  resume               let it go on\n"
    "  export               trees as JSON lines, records, or a trace for Perfetto\n"
    "\n"
    "`banyan COMMAND --help` explains a command, `banyan --version` tells the version.\n"
    "Results go to standard output, progress to standard error. Exit codes: 0 done, 1 a problem "
    "stayed\n"
    "unsolved or a threshold was missed, 2 wrong usage, 3 the environment is at fault, 130 "
    "Ctrl-C,\n"
    "141 who read standard output left before its end.\n"
    "\n"
    "Options may also stand in ~/.config/banyan/banyan.conf, as lines `name = value`: first those "
    "of "
    "all\n"
    "commands, behind `[solve]` or `[train sft]` those of one. The command line counts more.\n";

struct command {
  std::vector<std::string> name;
  int (*run)(command_words);
};

const std::vector<command>& commands() {
  static const std::vector<command> all{{{"solve"}, solve},
                                        {{"evaluate"}, evaluate},
                                        {{"generate", "problems"}, generate_problems_command},
                                        {{"generate", "traces"}, generate_traces_command},
                                        {{"train", "sft"}, train_sft},
                                        {{"train", "rl"}, train_rl},
                                        {{"model", "info"}, model_info},
                                        {{"model", "import"}, model_import},
                                        {{"model", "export"}, model_export},
                                        {{"submit"}, submit},
                                        {{"ps"}, ps},
                                        {{"top"}, top},
                                        {{"tree"}, tree_command},
                                        {{"cancel"}, cancel_command},
                                        {{"pause"}, pause_command},
                                        {{"resume"}, resume_command},
                                        {{"export"}, export_command}};
  return all;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

[[noreturn]] void refuse(const std::vector<std::string>& words) {
  std::string second;
  for (const auto& c : commands())
    if (c.name.size() > 1 && c.name[0] == words[0])
      second += (second.empty() ? "`banyan " : ", `banyan ") + joined(c.name) + "`";
  if (second.empty())
    throw bad_usage("'" + words[0] + "'", "there is no such command", "`banyan --help` lists them");
  if (words.size() == 1 || words[1].starts_with("-"))
    throw bad_usage(words[0], "it is not clear which one", "try " + second);
  throw bad_usage("'" + words[0] + " " + words[1] + "'", "there is no such command",
                  "try " + second);
}

int dispatch(const std::vector<std::string>& words) {
  if (words.empty())
    throw bad_usage("command line", "the command is missing", "`banyan --help` lists them");
  if (words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
    print(help);
    return exit_done;
  }
  if (words[0] == "--version") {
    print("banyan " BANYAN_VERSION "\n");
    return exit_done;
  }
  for (const auto& c : commands())
    if (words.size() >= c.name.size() && std::equal(c.name.begin(), c.name.end(), words.begin()))
      return c.run(command_words(words).subspan(c.name.size()));
  refuse(words);
}

const char* remedy(const std::error_code& code) {
  if (code == std::errc::no_space_on_device) return "make room, or write elsewhere";
  if (code == std::errc::permission_denied || code == std::errc::read_only_file_system)
    return "allow it, or use another place";
  if (code == std::errc::no_such_file_or_directory || code == std::errc::not_a_directory)
    return "check the name";
  return "see to it and try again";
}

/// Whatever went wrong, in one line and an exit code.
int run(const std::vector<std::string>& words) {
  const auto fail = [](int code, const std::string& line) {
    complain(line);
    return code;
  };
  try {
    return dispatch(words);
  } catch (const reader_left&) {
    return exit_cut_off;
  } catch (const was_interrupted&) {
    return 128 + interrupted();
  } catch (const bad_usage& e) {
    return fail(exit_usage, e.what());
  } catch (const std::filesystem::filesystem_error& e) {
    return fail(exit_environment, lasting_name(e.path1()).string() + ": " + e.code().message()
                                      + "; " + remedy(e.code()));
  } catch (const std::system_error& e) {
    return fail(exit_environment, std::string(e.what()) + "; " + remedy(e.code()));
  } catch (const std::bad_alloc&) {
    return fail(exit_environment,
                "memory: there is not enough; make the model or the batch smaller");
  } catch (const std::exception& e) {
    return fail(exit_environment, e.what());
  }
}

} // namespace

} // namespace banyan

int main(int argc, char** argv) {
  banyan::catch_interrupts();
  const auto code = banyan::run({argv + 1, argv + argc});
  // Everything is written. What an actor system or LibTorch would still take apart goes with the
  // process, and neither can hold it up.
  std::_Exit(code);
}
