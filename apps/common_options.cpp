#include "apps/common_options.hpp"

#include "apps/terminal.hpp"
#include "model/device_name.hpp"

#include <cstdlib>
#include <system_error>

namespace banyan {

bool is_device(const std::string& text) { return parse_device(text).has_value(); }

std::filesystem::path user_config() {
  const auto set = [](const char* name) -> std::filesystem::path {
    const auto* value = std::getenv(name);
    return value ? value : "";
  };
  auto folder = set("XDG_CONFIG_HOME");
  // The XDG specification: what is not absolute does not count.
  if (!folder.is_absolute()) folder = set("HOME") / ".config";
  return folder.is_absolute() ? folder / "banyan" / "banyan.conf" : std::filesystem::path{};
}

void read_config(option_list& list, const common_options& o) {
  if (!o.config.empty()) return list.read_config(o.config);
  const auto own = user_config();
  std::error_code unknown;
  if (std::filesystem::exists(own, unknown))
    list.read_config(own, option_list::general_lines::of_all);
}

void common_options::log(level l, const std::string& text) const {
  if (quiet && l > level::warning) return;
  if (l <= log_level) note("banyan: " + printable(text));
}

void declare(option_list& list, common_options& o) {
  using level = common_options::level;
  list.group("Common options");
  list.path(
          "config", o.config, "FILE",
          "options as lines `name = value`; default: ~/.config/banyan/banyan.conf, if it is there")
      .not_in_files();
  list.flag("json", o.json, "results as JSON, one object per line").not_kept();
  list.flag("quiet", o.quiet, "no progress on standard error").not_kept();
  list.choice("log-level", o.log_level,
              {{"error", level::error},
               {"warning", level::warning},
               {"info", level::info},
               {"debug", level::debug}},
              "what to say on standard error")
      .not_kept();
}

void declare(option_list& list, search_options& o) {
  list.group("Demonstrations made by symbolic search");
  list.choice(
      "search", o.kind,
      {{"apr", search_kind::apr},
       {"sos+", search_kind::sos_plus},
       {"sos", search_kind::sos_bfs},
       {"sos-bfs", search_kind::sos_bfs},
       {"sos-dfs", search_kind::sos_dfs}},
      "parallel, serial hybrid (with --beam 1:5 and --spawn-probability 0.5 unless they are "
      "given), or Stream of Search (sos is sos-bfs)");
  list.choice("heuristic", o.heuristic, {{"mult", heuristic::mult}, {"sum", heuristic::sum}},
              "score of a state: distance to the target's factors, or to the target");
  list.range("beam", o.beam_low, o.beam_high, "branching cap of the root, drawn per problem");
  list.range("sub-beam", o.sub_beam_low, o.sub_beam_high,
             "branching cap of the children; HI alone: from the root's to HI", true);
  list.number("spawn-probability", o.spawn_probability,
              "how often the root spawns (apr) or searches nested (sos+)", share);
  list.choice("order", o.order,
              {{"shuffled", node_order::shuffled}, {"generation", node_order::generation}},
              "of the kept states: the published order, or as generated");
  list.number("max-result", o.max_result, "operations with larger results are not explored; 0: all",
              not_negative);
  list.flag("condition-children", o.condition_children,
            "put `Sub Call Budget: N` in front of the prompt (apr)");
  list.flag("condition-tokens", o.condition_tokens,
            "put `Token Budget: N` in front of the prompt (sos kinds)");
  list.number("condition-share", o.condition_share, "how often the condition is put there", share);
  list.number("condition-up-to", o.condition_up_to,
              "roots that spawn all they can are conditioned on more, up to this", not_negative);
  list.number("first-success-share", o.first_success_share,
              "how often a round of children is joined at its first success", share);
}

void complete(search_options& o, const option_list& list) {
  if (o.kind != search_kind::sos_plus) return;
  if (!list.given("beam")) o.beam_low = 1, o.beam_high = 5;
  if (!list.given("spawn-probability")) o.spawn_probability = 0.5;
}

void check(const search_options& o) {
  const bool parallel = o.kind == search_kind::apr;
  if (o.condition_tokens && parallel)
    throw bad_usage("--condition-tokens", "--search apr has no token budgets",
                    "give --condition-children, or another --search");
  if (o.condition_children && !parallel)
    throw bad_usage("--condition-children", "only --search apr has children",
                    "give --condition-tokens, or --search apr");
  if (o.first_success_share > 0 && !parallel)
    throw bad_usage("--first-success-share", "only --search apr has children to join",
                    "leave it out, or give --search apr");
  if (o.condition_share < 1 && !o.condition_tokens && !o.condition_children)
    throw bad_usage("--condition-share", "there is no condition",
                    "give --condition-children or --condition-tokens");
  if (o.condition_up_to > 0 && !o.condition_children)
    throw bad_usage("--condition-up-to", "it is a number of children",
                    "give --condition-children, or leave it out");
}

namespace {

template <class Field>
void declare_dtype_of(option_list& list, const std::string& name, Field& field,
                      const std::string& help) {
  list.choice(name, field, {{"float32", dtype::float32}, {"bfloat16", dtype::bfloat16}}, help);
}

} // namespace

void declare_dtype(option_list& list, const std::string& name, dtype& field,
                   const std::string& help) {
  declare_dtype_of(list, name, field, help);
}

void declare_dtype(option_list& list, const std::string& name, std::optional<dtype>& field,
                   const std::string& help) {
  declare_dtype_of(list, name, field, help);
}

namespace {

option device_option(const std::string& name, const std::string& help) {
  return {name, "cpu|cuda|cuda:N", help, "cpu, cuda or cuda:N"};
}

} // namespace

void declare_devices(option_list& list, const std::string& name, std::vector<std::string>& field,
                     const std::string& help) {
  auto o = device_option(name, help);
  o.is_list = true;
  o.read = [&field](const std::string& text) { return field.push_back(text), is_device(text); };
  o.write = [&field] { return field; };
  list.add(std::move(o));
}

void declare_device(option_list& list, std::string& field, const std::string& help) {
  auto o = device_option("device", help);
  o.read = [&field](const std::string& text) { return field = text, is_device(text); };
  o.write = [&field] { return std::vector{field}; };
  list.add(std::move(o));
}

} // namespace banyan
