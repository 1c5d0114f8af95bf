#include "apps/banyand/daemon_options.hpp"

#include "apps/serving/listen_address.hpp"
#include "apps/terminal.hpp"
#include "apps/token_file.hpp"

#include <cstdlib>
#include <stdexcept>
#include <utility>

namespace banyan {

namespace {

constexpr auto about =
    "Runs trees of reasoning threads as a service: over HTTP, for months. What it has "
    "acknowledged\n"
    "survives `kill -9`; unfinished trees go on after a restart. SIGTERM ends it in order, SIGHUP\n"
    "reads the config file again (log level, request rate, drain, token and retention change at "
    "once).";

constexpr auto examples =
    "  banyand                                   listens on 127.0.0.1:8427\n"
    "  banyand --listen 0.0.0.0:8427 --token-file /etc/banyan/token\n"
    "  banyand --print-config > banyand.conf     all options, as they would be\n"
    "  banyan top                                look inside; `banyan ps`, `banyan tree ID`\n";

void declare_service(option_list& list, daemon_options& o) {
  list.group("The service");
  list.path(
          "config", o.config, "FILE",
          "options as lines `name = value`; default: ~/.config/banyan/banyan.conf, if it is there")
      .not_in_files();
  list.flag("print-config", o.print_config, "print all options as they would be, and end")
      .not_in_files();
  list.text("listen", o.listen, "HOST:PORT", "where HTTP is served; port 0 picks a free one");
  list.path("data-dir", o.data_dir, "DIR", "the store; default: $XDG_DATA_HOME/banyan");
  list.path(
      "token-file", o.token_file, "FILE",
      "clients must know the token in it, of 16 characters or more; needed where others than this "
      "machine can connect");
  list.text("user", o.user, "NAME", "who to become, where root starts the daemon");
  list.number("drain", o.drain_s, "seconds that running trees get at the end, before they are kept",
              not_negative);
  list.number("seed", o.seed, "of tree ids; 0: another one every time");
}

void declare_model(option_list& list, daemon_options& o) {
  list.group("Model and devices");
  list.path("model", o.model, "DIR", "checkpoint; default: the best shipped one");
  declare_devices(list, "device", o.devices, "where to decode, more than once for more devices");
  declare_dtype(list, "dtype", o.precision, "of weights and cache");
  list.number("threads", o.threads, "OS threads for the CPU; 0: one per core", os_threads);
  list.number("concurrency", o.concurrency, "trees that run at a time", positive);
  list.number("max-queue", o.max_queued, "trees that wait or are paused; more are refused with 429",
              positive);
}

void declare_store(option_list& list, daemon_options& o) {
  list.group("Store");
  list.choice("sync", o.sync, {{"full", true}, {"normal", false}},
              "full: a power cut loses nothing acknowledged; normal: a killed process does not");
  list.number("keep-days", o.keep_days, "days that finished trees are kept; 0: for ever",
              not_negative);
  list.number(
      "keep-megabytes", o.keep_megabytes,
      "the oldest finished trees go when all in trees.db takes more; its -wal and -shm do not "
      "count; 0: no limit",
      limits{0, 1e12});
}

void declare_limits(option_list& list, daemon_options& o) {
  auto& h = o.http;
  list.group("HTTP limits");
  list.number("max-connections", h.max_connections, "open connections; more are told to come back",
              positive);
  list.number("max-body-bytes", h.max_body_bytes, "of a request", positive);
  list.number("max-header-bytes", h.max_header_bytes, "all headers of a request", positive);
  list.number("requests-per-second", h.requests_per_s, "by one address; 0: any number",
              not_negative);
  list.number("read-timeout", h.read_timeout_s, "seconds for a request to arrive", positive);
  list.number("write-timeout", h.write_timeout_s, "seconds for a reader to take 256 KiB", positive);
}

void declare_log(option_list& list, daemon_options& o) {
  using level = common_options::level;
  list.group("Log (on standard error)");
  list.choice("log-format", o.log_format,
              {{"text", daemon_options::format::text}, {"json", daemon_options::format::json}},
              "one line each");
  list.choice("log-level", o.log_level,
              {{"error", level::error},
               {"warning", level::warning},
               {"info", level::info},
               {"debug", level::debug}},
              "what is said");
}

option_list declare(daemon_options& o) {
  option_list list("banyand", "[options]", about, examples);
  list.program("banyand");
  declare_service(list, o);
  declare_model(list, o);
  declare_store(list, o);
  declare_limits(list, o);
  declare_log(list, o);
  return list;
}

std::string read_long_token(const std::filesystem::path& file) {
  auto token = read_token(file);
  if (token.size() < 16)
    throw bad_environment(file.string(), "the token is shorter than 16 characters",
                          "write a longer one: openssl rand -hex 32 > FILE");
  return token;
}

std::filesystem::path default_data_dir() {
  if (const auto* data = std::getenv("XDG_DATA_HOME"); data && *data == '/')
    return std::filesystem::path(data) / "banyan";
  if (const auto* home = std::getenv("HOME"); home && *home == '/')
    return std::filesystem::path(home) / ".local/share/banyan";
  throw bad_usage("--data-dir", "there is neither $XDG_DATA_HOME nor $HOME", "give --data-dir DIR");
}

void complete(daemon_options& o) {
  read_address(o.listen, o.http);
  if (o.data_dir.empty()) o.data_dir = default_data_dir();
  if (!o.token_file.empty() && !o.print_config) o.http.token = read_long_token(o.token_file);
  o.keep.max_age_s = o.keep_days * 24 * 3600;
  o.keep.max_bytes = o.keep_megabytes * 1000 * 1000;
}

/// Names of the options that differ and that a running daemon cannot take over.
std::vector<std::string> only_at_start(const daemon_options& a, const daemon_options& b) {
  const std::pair<const char*, bool> differ[] = {
      {"listen", a.listen != b.listen},
      {"data-dir", a.data_dir != b.data_dir},
      {"user", a.user != b.user},
      {"seed", a.seed != b.seed},
      {"model", a.model != b.model},
      {"device", a.devices != b.devices},
      {"dtype", a.precision != b.precision},
      {"threads", a.threads != b.threads},
      {"concurrency", a.concurrency != b.concurrency},
      {"max-queue", a.max_queued != b.max_queued},
      {"sync", a.sync != b.sync},
      {"max-connections", a.http.max_connections != b.http.max_connections},
      {"max-body-bytes", a.http.max_body_bytes != b.http.max_body_bytes},
      {"max-header-bytes", a.http.max_header_bytes != b.http.max_header_bytes},
      {"read-timeout", a.http.read_timeout_s != b.http.read_timeout_s},
      {"write-timeout", a.http.write_timeout_s != b.http.write_timeout_s},
      {"log-format", a.log_format != b.log_format}};
  std::vector<std::string> names;
  for (const auto& [name, is] : differ)
    if (is) names.emplace_back(name);
  return names;
}

} // namespace

bool parse(daemon_options& o, std::span<const std::string> words) {
  if (words.size() == 1 && words.front() == "--version") {
    print("banyand " BANYAN_VERSION "\n");
    return false;
  }
  auto list = declare(o);
  if (!list.parse(words)) return false;
  common_options common;
  common.config = o.config;
  read_config(list, common);
  complete(o);
  return true;
}

std::vector<std::string> reload(daemon_options& o, std::span<const std::string> words) {
  daemon_options fresh;
  parse(fresh, words);
  auto left = only_at_start(o, fresh);
  o.log_level = fresh.log_level;
  o.keep = fresh.keep;
  o.drain_s = fresh.drain_s;
  o.http.token = fresh.http.token;
  o.http.requests_per_s = fresh.http.requests_per_s;
  return left;
}

std::string config_of(const daemon_options& o) {
  auto copy = o;
  auto lines = declare(copy).config();
  std::string unset;
  if (o.token_file.empty()) unset += "# token-file =          (no token)\n";
  if (o.user.empty()) unset += "# user =                (whoever starts it)\n";
  if (o.model.empty()) unset += "# model =               (the best shipped one)\n";
  if (o.devices.empty()) unset += "# device = cpu\n";
  return unset.empty() ? lines : lines + "\n# Not set\n" + unset;
}

} // namespace banyan
