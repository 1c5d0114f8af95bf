#include "apps/options.hpp"

#include "apps/did_you_mean.hpp"
#include "apps/terminal.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <sstream>

#include <boost/program_options.hpp>

namespace banyan {

namespace po = boost::program_options;

namespace {

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
      called_("banyan " + command_),
      usage_(std::move(usage)),
      about_(std::move(about)),
      examples_(std::move(examples)) {
  group("Options");
}

option_list& option_list::program(std::string name) {
  called_ = std::move(name);
  return *this;
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

void option_list::retired(std::initializer_list<std::string_view> names) {
  retired_.insert(names.begin(), names.end());
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

option_list& option_list::positional(std::vector<std::string>& field) {
  positional_ = &field;
  return *this;
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
                  did_you_mean(name, names, dashes, "`" + called_ + " --help` lists them"));
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
                    "`" + called_ + " --help` shows how to call it");
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

std::string option_list::help() const {
  std::ostringstream out;
  out << "Usage: " << called_ << (usage_.empty() ? "" : " ") << usage_ << "\n\n" << about_ << "\n";
  for (const auto& [title, options] : groups_) {
    if (options.empty()) continue;
    po::options_description shown(title, 100, 60);
    for (const auto& o : options) {
      if (!o.is_shown) continue;
      if (o.is_flag) {
        shown.add_options()(o.name.c_str(), o.help.c_str());
        continue;
      }
      const auto now = o.is_list ? std::vector<std::string>{} : o.write();
      const auto name = o.value_name + (o.is_list ? " ..." : "");
      auto* value = po::value<std::string>();
      value->value_name(now.empty() ? name : name + " (=" + now.front() + ")");
      shown.add_options()(o.name.c_str(), value, o.help.c_str());
    }
    out << "\n" << shown;
  }
  if (!examples_.empty()) out << "\nExamples:\n" << examples_;
  return out.str();
}

} // namespace banyan
