// A config file is refused with one line that names it and says what to do, or what was read can be
// written as a config that says the same.

#include "apps/options.hpp"

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <optional>

namespace {

using namespace banyan;

void require(bool holds) {
  if (!holds) std::abort();
}

/// An option of every kind, under names that several commands have.
struct command {
  std::string label = "none", join = "all";
  std::filesystem::path model;
  std::vector<std::string> state;
  bool wait = false, sync = true;
  int depth = 1, low = 1, high = 10, sub_low = 0, sub_high = 5;
  std::uint64_t seed = 0;
  double rate = 0.5;
  float top_p = 1;
  option_list list{"train sft", {}, {}, {}};

  command() {
    list.text("label", label, "NAME", "").path("model", model, "DIR", "");
    list.texts("state", state, "S", "").flag("wait", wait, "");
    list.number("max-depth", depth, "", not_negative).number("seed", seed, "");
    list.number("rate", rate, "", share).number("top-p", top_p, "", limits{1e-6, 1});
    list.range("beam", low, high, "").range("sub-beam", sub_low, sub_high, "", true);
    list.choice("sync", sync, {{"full", true}, {"normal", false}}, "");
  }

  void check() const {
    require(depth >= 0 && rate >= 0 && rate <= 1 && top_p > 0 && top_p <= 1);
    require(low >= 1 && low <= high && sub_low >= 0 && sub_high >= 1 && sub_low <= sub_high);
  }
};

/// What the text says, as a config; nothing where it is refused.
std::optional<std::string> read(std::string_view text, option_list::general_lines general) {
  command c;
  try {
    c.list.read_config_text(text, "the.conf", general);
  } catch (const bad_usage& why) {
    const std::string says = why.what();
    require(says.starts_with("the.conf: line "));
    require(says.find("; ") != says.npos && says.find('\n') == says.npos);
    return {};
  }
  c.check();
  return c.list.config();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  read(text, option_list::general_lines::of_all);
  if (const auto said = read(text, option_list::general_lines::mine))
    require(read(*said, option_list::general_lines::mine) == said);
  return 0;
}
