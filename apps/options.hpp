#pragma once

#include "apps/failure.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <limits>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace banyan {

/// Bounds of a number, both ends included.
struct limits {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
};
inline constexpr limits positive{1}, not_negative{0}, share{0, 1};
inline constexpr limits in_float32{0, 1e30}; ///< what tensors multiply by must be finite there
inline constexpr limits os_threads{0, 1024}; ///< LibTorch makes as many as it is told to

/// One option: a name, how its text is read into a field, and how the field is written as text.
struct option {
  std::string name, value_name, help;
  std::string expects;                             ///< "a whole number from 1"
  std::function<bool(const std::string&)> read;    ///< false: not what it expects
  std::function<std::vector<std::string>()> write; ///< as many texts as the list has entries
  bool is_flag = false, is_list = false;
  bool is_single = false; ///< of a list: all of its values stand behind one name
  bool is_kept = true;    ///< in the resolved config
  bool is_in_files = true;
  bool is_shown = true; ///< in the help
};

/// The options of one command. Each is bound to a field, whose value at that time is the default;
/// every option is also a line `name = value` of a config file. What the command line says counts
/// more than the config. All errors are `bad_usage`.
///
/// A config file has general lines first; lines behind `[train sft]` are for that command alone and
/// count more than the general ones. A `#` begins a comment.
class option_list {
public:
  /// `command`: "train sft", or "banyand"; `usage`: what follows it; `about`: a paragraph;
  /// `examples`: lines.
  option_list(std::string command, std::string usage, std::string about, std::string examples);

  /// The program that has these options, where it is not one of `banyan`'s commands.
  option_list& program(std::string name);

  /// Options that follow stand under this title in the help.
  option_list& group(std::string title);

  option_list& text(const std::string& name, std::string& field, const std::string& value_name,
                    const std::string& help);
  option_list& path(const std::string& name, std::filesystem::path& field,
                    const std::string& value_name, const std::string& help);
  option_list& texts(const std::string& name, std::vector<std::string>& field,
                     const std::string& value_name, const std::string& help);
  option_list& flag(const std::string& name, bool& field, const std::string& help);

  /// A present value outside of the bounds is none: neither a default nor part of a config.
  template <class Number>
  option_list& number(const std::string& name, Number& field, const std::string& help,
                      limits bounds = {});

  /// "LOW:HIGH", or one number for both; with `alone_is_high`, one number means "0:HIGH".
  option_list& range(const std::string& name, int& low, int& high, const std::string& help,
                     bool alone_is_high = false);

  /// Also of a `std::optional<Enum>`: nothing is no default.
  template <class Enum>
  option_list& choice(const std::string& name, Enum& field,
                      std::vector<std::pair<std::string, Enum>> values, const std::string& help);

  /// An option of any other kind.
  option_list& add(option);

  /// What stands on the command line without a name; without this such words are errors.
  option_list& positional(std::vector<std::string>& field);

  /// The last option, a list, stands on the command line once.
  option_list& single();

  /// Leaves the last option out of the resolved config: it says how to run, not what.
  option_list& not_kept();

  /// The last option has no line in a config file, nor in the resolved one.
  option_list& not_in_files();

  /// Options of earlier versions: their lines in config files say nothing any more.
  void retired(std::initializer_list<std::string_view> names);

  /// Leaves options out of the help that the command knows only to refuse them.
  void not_shown(std::initializer_list<std::string_view> names);

  /// Reads the words after the command. False: `--help` was asked for and printed.
  bool parse(std::span<const std::string> words);

  /// Whose general lines a config file has: this command's, or those of all commands, of which
  /// each takes what it knows.
  enum class general_lines : std::uint8_t { mine, of_all };

  /// Reads a config file; options given before, here or on the command line, are left as they are.
  void read_config(const std::filesystem::path&, general_lines = general_lines::mine);

  /// The same of a config file's text; `name` is what errors call it.
  void read_config_text(std::string_view text, const std::string& name,
                        general_lines = general_lines::mine);

  /// Was the option given, on the command line or in a config?
  bool given(std::string_view name) const { return given_.contains(name); }
  const std::set<std::string, std::less<>>& given() const { return given_; }

  /// The options with their present values, in the syntax of a config file.
  std::string config() const;

  std::string help() const;

  const std::string& command() const { return command_; }

private:
  struct config_line;
  static std::vector<config_line> config_lines(std::string_view text, const std::string& name);
  bool concerns_us(const config_line&, general_lines) const;
  void take_lines(const std::vector<config_line>&, general_lines);
  const option* known_option(std::string_view name) const;
  option& find(std::string_view name, const std::string& source, const std::string& dashes);
  void take_words(const std::vector<std::string>&);
  void take_option(const std::string& name, const std::vector<std::string>& values);
  void apply(option&, const std::vector<std::string>& values, const std::string& shown);

  std::string command_, called_; ///< "train sft", "banyan train sft"
  std::string usage_, about_, examples_;
  std::vector<std::pair<std::string, std::vector<option>>> groups_;
  std::vector<std::string>* positional_ = nullptr;
  std::set<std::string, std::less<>> given_, retired_;
};

/// All commands that a config file may speak of, and the options of all of them (the tests hold
/// this list, apps/option_names.cpp, to what the commands say themselves).
std::span<const std::string_view> all_command_names();
std::span<const std::string_view> all_option_names();

/// Reads a whole text as a number; false for anything else, or outside of the type.
template <class Number>
bool read_number(std::string_view text, Number& value);
template <class Number>
std::string number_text(Number value);
std::string expectation(bool whole, const limits&);

template <class Number>
option_list& option_list::number(const std::string& name, Number& field, const std::string& help,
                                 limits bounds) {
  if (!std::numeric_limits<Number>::is_signed) bounds.low = std::max(bounds.low, 0.0);
  option o{name, "N", help, expectation(std::numeric_limits<Number>::is_integer, bounds)};
  const auto fits = [bounds](Number value) {
    return std::isfinite(double(value)) && double(value) >= bounds.low
           && double(value) <= bounds.high;
  };
  o.read = [&field, fits](const std::string& text) {
    Number value{};
    if (!read_number(text, value) || !fits(value)) return false;
    field = value;
    return true;
  };
  o.write = [&field, fits]() -> std::vector<std::string> {
    if (!fits(field)) return {};
    return {number_text(field)};
  };
  if (!std::numeric_limits<Number>::is_integer) o.value_name = "X";
  return add(std::move(o));
}

template <class Enum>
option_list& option_list::choice(const std::string& name, Enum& field,
                                 std::vector<std::pair<std::string, Enum>> values,
                                 const std::string& help) {
  option o{name, {}, help, "one of "};
  for (const auto& [text, value] : values) {
    o.value_name += (o.value_name.empty() ? "" : "|") + text;
    o.expects += (&text == &values.front().first ? "" : ", ") + text;
  }
  o.read = [&field, values](const std::string& text) {
    for (const auto& [known, value] : values)
      if (text == known) return field = value, true;
    return false;
  };
  o.write = [&field, values]() -> std::vector<std::string> {
    for (const auto& [known, value] : values)
      if (field == value) return {known};
    return {};
  };
  return add(std::move(o));
}

} // namespace banyan
