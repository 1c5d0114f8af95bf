#include "apps/options.hpp"

#include "apps/json_list.hpp"
#include "apps/terminal.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>
#include <sstream>

#include <boost/program_options.hpp>

namespace banyan {

namespace po = boost::program_options;

namespace {

/// Levenshtein's distance: how many characters to change, for "did you mean".
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    auto diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const auto replaced = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = std::min({diagonal + 1, row[j] + 1, replaced});
    }
  }
  return row[b.size()];
}

std::string did_you_mean(std::string_view name, std::span<const std::string_view> names,
                         const std::string& dashes, const std::string& otherwise) {
  const auto nearest = std::ranges::min_element(
      names, {}, [name](std::string_view known) { return distance(known, name); });
  if (nearest == names.end() || distance(*nearest, name) > 1 + name.size() / 4) return otherwise;
  return "did you mean " + dashes + std::string(*nearest) + "?";
}

std::string in_quotes(const std::string& text) { return "'" + text + "'"; }

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

std::string without_dashes(std::string name) {
  name.erase(0, std::min(name.find_first_not_of('-'), name.size()));
  return name.substr(0, name.find('='));
}

} // namespace

template <class Number>
bool read_number(std::string_view text, Number& value) {
  const auto* end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, value);
  return error == std::errc{} && stopped == end;
}

template <class Number>
std::string number_text(Number value) {
  char buffer[64];
  return {buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr};
}

#define BANYAN_NUMBER(type)                                                                        \
  template bool read_number(std::string_view, type&);                                              \
  template std::string number_text(type);
BANYAN_NUMBER(int)
BANYAN_NUMBER(std::int64_t)
BANYAN_NUMBER(std::uint32_t)
BANYAN_NUMBER(std::uint64_t)
BANYAN_NUMBER(float)
BANYAN_NUMBER(double)
#undef BANYAN_NUMBER

std::string expectation(bool whole, const limits& bounds) {
  std::string says = whole ? "a whole number" : "a number";
  if (std::isfinite(bounds.low)) says += " from " + number_text(bounds.low);
  if (std::isfinite(bounds.high)) says += " to " + number_text(bounds.high);
  return says;
}

option_list::option_list(std::string command, std::string usage, std::string about,
                         std::string examples)
    : command_(std::move(command)),
      usage_(std::move(usage)),
      about_(std::move(about)),
      examples_(std::move(examples)) {
  group("Options");
}

option_list& option_list::group(std::string title) {
  groups_.emplace_back(std::move(title), std::vector<option>{});
  return *this;
}

option_list& option_list::add(option o) {
  groups_.back().second.push_back(std::move(o));
  return *this;
}

option_list& option_list::single() {
  groups_.back().second.back().is_single = true;
  return *this;
}

option_list& option_list::not_kept() {
  groups_.back().second.back().is_kept = false;
  return *this;
}

option_list& option_list::not_in_files() {
  groups_.back().second.back().is_in_files = false;
  return not_kept();
}

void option_list::not_shown(std::initializer_list<std::string_view> names) {
  for (const auto name : names) find(name, {}, "--").is_shown = false;
}

option_list& option_list::text(const std::string& name, std::string& field,
                               const std::string& value_name, const std::string& help) {
  option o{name, value_name, help, "a text"};
  o.read = [&field](const std::string& value) { return field = value, true; };
  // An empty text says something where the default is another one.
  o.write = [&field, unset = field.empty()]() -> std::vector<std::string> {
    if (unset && field.empty()) return {};
    return {field};
  };
  return add(std::move(o));
}

option_list& option_list::path(const std::string& name, std::filesystem::path& field,
                               const std::string& value_name, const std::string& help) {
  option o{name, value_name, help, "a path"};
  o.read = [&field](const std::string& value) { return field = value, !value.empty(); };
  o.write = [&field]() -> std::vector<std::string> {
    if (field.empty()) return {};
    return {field.string()};
  };
  return add(std::move(o));
}

option_list& option_list::texts(const std::string& name, std::vector<std::string>& field,
                                const std::string& value_name, const std::string& help) {
  option o{name, value_name, help, "a text"};
  o.is_list = true;
  o.read = [&field](const std::string& value) { return field.push_back(value), !value.empty(); };
  o.write = [&field] { return field; };
  return add(std::move(o));
}

option_list& option_list::flag(const std::string& name, bool& field, const std::string& help) {
  option o{name, {}, help, "true or false"};
  o.is_flag = true;
  o.read = [&field](const std::string& value) {
    field = value == "true";
    return value == "true" || value == "false";
  };
  o.write = [&field]() -> std::vector<std::string> { return {field ? "true" : "false"}; };
  return add(std::move(o));
}

option_list& option_list::range(const std::string& name, int& low, int& high,
                                const std::string& help, bool alone_is_high) {
  option o{name, "LO:HI", help, "two whole numbers from 1, as in 1:10, the smaller one first"};
  o.read = [&, alone_is_high](const std::string& value) {
    const auto colon = value.find(':');
    int from = 0, to = 0;
    if (!read_number(std::string_view(value).substr(colon == value.npos ? 0 : colon + 1), to))
      return false;
    if (colon == value.npos)
      from = alone_is_high ? 0 : to;
    else if (!read_number(std::string_view(value).substr(0, colon), from))
      return false;
    if (from > to || to < 1 || from < (alone_is_high ? 0 : 1)) return false;
    low = from;
    high = to;
    return true;
  };
  o.write = [&low, &high, alone_is_high] {
    const auto to = std::to_string(high);
    return std::vector{alone_is_high && low == 0 ? to : std::to_string(low) + ":" + to};
  };
  return add(std::move(o));
}

option_list& option_list::positional(std::vector<std::string>& field,
                                     const std::string& value_name) {
  positional_ = &field;
  positional_name_ = value_name;
  return *this;
}

std::string option_list::called() const {
  return command_.starts_with("banyan") ? command_ : "banyan " + command_;
}

const option* option_list::known_option(std::string_view name) const {
  for (const auto& [title, options] : groups_)
    for (const auto& o : options)
      if (o.name == name) return &o;
  return nullptr;
}

option& option_list::find(std::string_view name, const std::string& source,
                          const std::string& dashes) {
  std::vector<std::string_view> names;
  for (auto& [title, options] : groups_)
    for (auto& o : options) {
      if (o.name == name) return o;
      names.push_back(o.name);
    }
  throw bad_usage(source + dashes + std::string(name), "there is no such option",
                  did_you_mean(name, names, dashes, "`" + called() + " --help` lists them"));
}

void option_list::apply(option& o, const std::vector<std::string>& values,
                        const std::string& shown) {
  if (values.empty()) throw bad_usage(shown, "the value is missing", "give " + o.expects);
  for (const auto& value : values)
    if (!o.read(value))
      throw bad_usage(shown, in_quotes(value) + " does not fit", "give " + o.expects);
}

bool option_list::parse(std::span<const std::string> words) {
  po::options_description known;
  for (const auto& [title, options] : groups_)
    for (const auto& o : options) {
      auto* value = po::value<std::vector<std::string>>();
      known.add_options()(o.name.c_str(), o.is_list ? value->multitoken() : value);
    }
  known.add_options()("help", po::bool_switch());
  std::vector<std::string> arguments;
  for (const auto& word : words) {
    const auto* flag = word.starts_with("--") ? known_option(word.substr(2)) : nullptr;
    // A flag is written with its value here, so that it never takes the next word for one.
    arguments.push_back(word == "-h" ? "--help" : flag && flag->is_flag ? word + "=true" : word);
  }
  try {
    // Long names only, so that "-5" is a value, and never guessed from a beginning.
    using namespace po::command_line_style;
    const auto parsed = po::command_line_parser(arguments)
                            .options(known)
                            .style(allow_long | long_allow_adjacent | long_allow_next)
                            .allow_unregistered()
                            .run();
    for (const auto& p : parsed.options)
      if (p.string_key == "help" && !p.unregistered) return print(help()), false;
    for (const auto& p : parsed.options)
      p.string_key.empty() ? take_words(p.value) : take_option(p.string_key, p.value);
  } catch (const po::error_with_option_name& e) {
    const auto name = without_dashes(e.get_option_name());
    throw bad_usage("--" + name, "the value is missing", "give " + find(name, {}, "--").expects);
  }
  return true;
}

void option_list::take_words(const std::vector<std::string>& words) {
  if (!positional_)
    throw bad_usage(in_quotes(words.front()), "nothing is expected here",
                    "`" + called() + " --help` shows how to call it");
  positional_->insert(positional_->end(), words.begin(), words.end());
}

void option_list::take_option(const std::string& name, const std::vector<std::string>& values) {
  auto& o = find(without_dashes(name), {}, "--");
  if (!given_.insert(o.name).second && (!o.is_list || o.is_single))
    throw bad_usage("--" + o.name, "it stands there twice", "give it once");
  // Boost takes the next option for the value where one is due.
  if (!values.empty() && values.front().starts_with("--"))
    throw bad_usage("--" + o.name, "the value is missing", "give " + o.expects);
  apply(o, values, "--" + o.name);
}

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

/// False for what another command knows and this one does not.
bool option_list::concerns_us(const config_line& line, general_lines general) const {
  const bool of_all = line.section.empty() && general == general_lines::of_all;
  if (!of_all || known_option(line.name)) return true;
  const auto names = all_option_names();
  if (contains(names, line.name)) return false;
  throw bad_usage(line.where + ": " + line.name, "no command has such an option",
                  did_you_mean(line.name, names, {}, "remove the line"));
}

/// Lines of one kind; those of a list add up.
void option_list::take_lines(const std::vector<config_line>& lines, general_lines general) {
  std::set<std::string, std::less<>> mine;
  for (const auto& line : lines) {
    if (!concerns_us(line, general)) continue;
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

std::string option_list::help() const {
  std::ostringstream out;
  out << "Usage: " << called() << (usage_.empty() ? "" : " ") << usage_ << "\n\n" << about_ << "\n";
  for (const auto& [title, options] : groups_) {
    if (options.empty()) continue;
    po::options_description shown(title, 100, 60);
    for (const auto& o : options) {
      if (!o.is_shown) continue;
      auto* value = po::value<std::string>();
      if (o.is_flag) {
        shown.add_options()(o.name.c_str(), o.help.c_str());
        delete value;
        continue;
      }
      const auto now = o.is_list ? std::vector<std::string>{} : o.write();
      const auto name = o.value_name + (o.is_list ? " ..." : "");
      value->value_name(now.empty() ? name : name + " (=" + now.front() + ")");
      shown.add_options()(o.name.c_str(), value, o.help.c_str());
    }
    out << "\n" << shown;
  }
  if (!examples_.empty()) out << "\nExamples:\n" << examples_;
  return out.str();
}

} // namespace banyan
