#include "apps/banyan/commands.hpp"

#include "apps/failure.hpp"
#include "apps/interrupt.hpp"
#include "apps/terminal.hpp"
#include "model/atomic_file.hpp"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <new>
#include <string>
#include <system_error>
#include <vector>

namespace banyan {

namespace {

constexpr auto about = "Banyan runs and trains language models that reason in trees of threads.\n"
                       "\n"
                       "Usage: banyan COMMAND [options]\n";

constexpr auto notes =
    "`banyan COMMAND --help` explains a command, `banyan --version` tells the version.\n"
    "Results go to standard output, progress to standard error. Exit codes: 0 done, 1 a problem "
    "stayed\n"
    "unsolved or a threshold was missed, 2 wrong usage, 3 the environment is at fault, 130 "
    "Ctrl-C,\n"
    "143 SIGTERM, 141 who read standard output left before its end.\n"
    "\n"
    "Options may also stand in ~/.config/banyan/banyan.conf, as lines `name = value`: first those "
    "of all\n"
    "commands, behind `[solve]` or `[train sft]` those of one. The command line counts more.\n";

struct command {
  std::vector<std::string> name;
  int (*run)(command_words);
  const char* does;
};

/// Those that work alone, then those for a daemon.
const std::vector<command>& local_commands() {
  static const std::vector<command> all{
      {{"solve"}, solve, "solve problems with a tree of reasoning threads"},
      {{"evaluate"}, evaluate, "accuracy, tokens and failures over a problem set"},
      {{"generate", "problems"}, generate_problems_command, "draw a problem set"},
      {{"generate", "traces"},
       generate_traces_command,
       "write down symbolic searches as demonstrations"},
      {{"train", "sft"}, train_sft, "learn from demonstrations"},
      {{"train", "rl"}, train_rl, "learn from finished trees"},
      {{"model", "info"}, model_info, "look at a checkpoint"},
      {{"model", "import"}, model_import, "bring in a Llama checkpoint of Hugging Face's layout"},
      {{"model", "export"},
       model_export,
       "write a checkpoint for others, in another precision if need be"}};
  return all;
}

const std::vector<command>& daemon_commands() {
  static const std::vector<command> all{
      {{"submit"}, submit, "send problems to it"},
      {{"ps"}, ps, "list its trees"},
      {{"top"}, top, "its pools and trees, live"},
      {{"tree"}, tree_command, "one tree, or one thread of it; --follow: as it grows"},
      {{"cancel"}, cancel_command, "end a tree, or a thread and all below it"},
      {{"pause"}, pause_command, "stop one for a while"},
      {{"resume"}, resume_command, "let it go on"},
      {{"export"}, export_command, "trees as JSON lines, records, or a trace for Perfetto"}};
  return all;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

bool begins_with(const command_words& words, const std::vector<std::string>& name) {
  return words.size() >= name.size() && std::equal(name.begin(), name.end(), words.begin());
}

/// What begins with these words does, a line each.
std::string listed(const std::vector<command>& commands, const std::vector<std::string>& group) {
  std::string lines;
  for (const auto& c : commands) {
    if (!begins_with(c.name, group)) continue;
    auto name = joined(c.name);
    name.resize(std::max<std::size_t>(name.size(), 20), ' ');
    lines += "  " + name + " " + c.does + "\n";
  }
  return lines;
}

std::string help() {
  return std::string(about) + "\nCommands:\n" + listed(local_commands(), {})
         + "\nCommands for a running daemon (`banyand`):\n" + listed(daemon_commands(), {}) + "\n"
         + notes;
}

const command* find_command(command_words words) {
  for (const auto* all : {&local_commands(), &daemon_commands()})
    for (const auto& c : *all)
      if (begins_with(words, c.name)) return &c;
  return nullptr;
}

[[noreturn]] void refuse(command_words words) {
  std::string second;
  for (const auto& c : local_commands())
    if (c.name.size() > 1 && c.name[0] == words[0])
      second += (second.empty() ? "`banyan " : ", `banyan ") + joined(c.name) + "`";
  if (second.empty())
    throw bad_usage("'" + words[0] + "'", "there is no such command", "`banyan --help` lists them");
  if (words.size() == 1 || words[1].starts_with("-"))
    throw bad_usage(words[0], "it is not clear which one", "try " + second);
  throw bad_usage("'" + words[0] + " " + words[1] + "'", "there is no such command",
                  "try " + second);
}

bool asks_for_help(const std::string& word) { return word == "--help" || word == "-h"; }

/// Of everything, of a group of commands, or of one command.
int print_help(command_words words) {
  if (words.empty()) return print(help()), exit_done;
  const std::vector<std::string> name(words.begin(), words.end());
  if (const auto* c = find_command(words); c && c->name.size() == words.size())
    return c->run(std::vector<std::string>{"--help"});
  const auto lines = listed(local_commands(), name);
  if (lines.empty()) refuse(words);
  print("Usage: banyan " + joined(name) + " COMMAND [options]\n\nCommands:\n" + lines + "\n`banyan "
        + joined(name) + " COMMAND --help` explains one.\n");
  return exit_done;
}

int dispatch(command_words words) {
  if (words.empty())
    throw bad_usage("command line", "the command is missing", "`banyan --help` lists them");
  if (words[0] == "help") return print_help(words.subspan(1));
  if (words[0] == "--version") return print("banyan " BANYAN_VERSION "\n"), exit_done;
  if (const auto* c = find_command(words)) return c->run(words.subspan(c->name.size()));
  if (asks_for_help(words[0])) return print_help({});
  if (words.size() > 1 && asks_for_help(words[1])) return print_help(words.first(1));
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
  banyan::hold_standard_descriptors();
  banyan::catch_interrupts();
  std::signal(SIGXFSZ, SIG_IGN); // a file at its limit is an error of its write
  const auto code = banyan::run({argv + 1, argv + argc});
  // Everything is written. What an actor system or LibTorch would still take apart goes with the
  // process, and neither can hold it up.
  std::_Exit(code);
}
