#include "apps/banyand/log.hpp"

#include "actors/config.hpp"
#include "apps/json.hpp"

#include <atomic>
#include <memory>
#include <string>

#include <nlohmann/json.hpp>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace banyan {

namespace {

std::atomic<daemon_options::format> format{daemon_options::format::text};

spdlog::level::level_enum theirs(daemon_log::level l) {
  switch (l) {
  case daemon_log::level::error: return spdlog::level::err;
  case daemon_log::level::warning: return spdlog::level::warn;
  case daemon_log::level::info: return spdlog::level::info;
  case daemon_log::level::debug: return spdlog::level::debug;
  }
  return spdlog::level::info;
}

const char* name_of(daemon_log::level l) {
  switch (l) {
  case daemon_log::level::error: return "error";
  case daemon_log::level::warning: return "warning";
  case daemon_log::level::info: return "info";
  case daemon_log::level::debug: return "debug";
  }
  return "";
}

std::string as_json(daemon_log::level l, std::string_view message, std::string_view tree) {
  nlohmann::ordered_json line{{"time", time_text(unix_ms_now())}, {"level", name_of(l)}};
  if (!tree.empty()) line["tree"] = tree;
  line["message"] = message;
  return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string as_text(daemon_log::level l, std::string_view message, std::string_view tree) {
  auto line = time_text(unix_ms_now()) + " " + name_of(l) + " ";
  if (!tree.empty()) line += "[" + std::string(tree) + "] ";
  for (const auto c : message) // one line, whatever it says
    line += c == '\n' || c == '\r' ? ' ' : c;
  return line;
}

} // namespace

void daemon_log::begin(daemon_options::format f, level l) {
  format = f;
  auto logger = std::make_shared<spdlog::logger>("banyand",
                                                 std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_pattern("%v");
  logger->flush_on(spdlog::level::debug);
  logger->set_level(theirs(l));
  spdlog::set_default_logger(std::move(logger));
}

void daemon_log::set_level(level l) { spdlog::default_logger_raw()->set_level(theirs(l)); }

void daemon_log::write(level l, std::string_view message, std::string_view tree) {
  auto* logger = spdlog::default_logger_raw();
  if (!logger->should_log(theirs(l))) return;
  const bool json = format == daemon_options::format::json;
  logger->log(theirs(l), json ? as_json(l, message, tree) : as_text(l, message, tree));
}

} // namespace banyan
