#include "apps/did_you_mean.hpp"
#include "apps/json_list.hpp"
#include "apps/options.hpp"

#include <algorithm>

// Config files: how options are read from one, and written as one.

namespace banyan {

namespace {

bool contains(std::span<const std::string_view> names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

std::string_view trimmed(std::string_view text) {
  constexpr auto blank = " \t\r";
  const auto begin = text.find_first_not_of(blank);
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(blank) - begin + 1);
}

/// Such a character in a message could do things to a terminal, or end it.
bool is_control(unsigned char byte) { return byte < 0x20 ? byte != '\t' : byte == 0x7f; }

} // namespace

struct option_list::config_line {
  std::string section, name, value;
  std::string where; ///< "banyan.conf: line 3"
};

std::vector<option_list::config_line> option_list::config_lines(std::string_view text,
                                                                const std::string& name) {
  std::vector<config_line> lines;
  std::string section;
  for (int number = 1; !text.empty(); ++number) {
    const auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const auto where = name + ": line " + std::to_string(number);
    const auto said = trimmed(line.substr(0, line.find('#')));
    const auto equals = said.find('=');
    if (said.empty()) continue;
    if (std::ranges::any_of(said, is_control))
      throw bad_usage(where, "a character in it cannot be seen", "write plain text");
    if (said.starts_with('[') && said.ends_with(']')) {
      section = trimmed(said.substr(1, said.size() - 2));
      if (!contains(all_command_names(), section))
        throw bad_usage(where, "there is no command " + in_quotes(section),
                        "name a section after a command, as in [train sft]");
    } else if (equals == said.npos || equals == 0) {
      throw bad_usage(where, in_quotes(std::string(said)) + " says nothing",
                      "write lines of the form name = value");
    } else {
      lines.push_back({section, std::string(trimmed(said.substr(0, equals))),
                       std::string(trimmed(said.substr(equals + 1))), where});
    }
  }
  return lines;
}

/// False for what another command knows, and this one does not or only to refuse it.
bool option_list::concerns_us(const config_line& line, general_lines general) const {
  const bool of_all = line.section.empty() && general == general_lines::of_all;
  if (!of_all) return true;
  if (const auto* known = known_option(line.name); known && known->is_shown) return true;
  const auto names = all_option_names();
  if (contains(names, line.name)) return false;
  throw bad_usage(line.where + ": " + line.name, "no command has such an option",
                  did_you_mean(line.name, names, {}, "remove the line"));
}

/// Lines of one kind; those of a list add up.
void option_list::take_lines(const std::vector<config_line>& lines, general_lines general) {
  std::set<std::string, std::less<>> mine;
  for (const auto& line : lines) {
    if (retired_.contains(line.name) || !concerns_us(line, general)) continue;
    auto& o = find(line.name, line.where + ": ", {});
    const auto shown = line.where + ": " + o.name;
    if (!o.is_in_files) throw bad_usage(shown, "it belongs to the command line", "remove the line");
    if (given_.contains(o.name) && !mine.contains(o.name)) continue;
    if (mine.contains(o.name) && !o.is_list)
      throw bad_usage(shown, "it stands there twice", "give it once");
    apply(o, {line.value}, shown);
    given_.insert(o.name);
    mine.insert(o.name);
  }
}

void option_list::read_config(const std::filesystem::path& file, general_lines general) {
  read_config_text(read_text(file), file.string(), general);
}

void option_list::read_config_text(std::string_view text, const std::string& name,
                                   general_lines general) {
  std::vector<config_line> own, shared;
  for (auto& line : config_lines(text, name))
    if (line.section.empty())
      shared.push_back(std::move(line));
    else if (line.section == command_)
      own.push_back(std::move(line));
  take_lines(own, general);
  take_lines(shared, general);
}

std::string option_list::config() const {
  std::string lines;
  for (const auto& [title, options] : groups_) {
    std::string own;
    for (const auto& o : options)
      for (const auto& value : o.is_kept ? o.write() : std::vector<std::string>{}) {
        if (value.find('#') != value.npos || std::ranges::any_of(value, is_control)
            || trimmed(value) != value)
          throw bad_usage("--" + o.name, in_quotes(value) + " cannot stand in a config file",
                          "choose a name without '#' and without spaces at its ends");
        own += o.name + " = " + value + "\n";
      }
    if (!own.empty()) lines += (lines.empty() ? "# " : "\n# ") + title + "\n" + own;
  }
  return lines;
}

} // namespace banyan
