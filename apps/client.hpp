#pragma once

#include "apps/common_options.hpp"
#include "apps/event_reader.hpp"
#include "apps/failure.hpp"

#include <chrono>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json_fwd.hpp>

namespace banyan {

/// Which daemon, and how to talk to it.
struct client_options {
  std::string url = "http://127.0.0.1:8427";
  std::string token; ///< empty: none
  std::filesystem::path token_file;
  double timeout_s = 30; ///< for an answer, and for a daemon that went away to come back
};
void declare(option_list&, client_options&);

/// Reads the command line and the config; BANYAN_URL and BANYAN_TOKEN count more than the config.
/// False: the help was shown.
bool parse(option_list&, const common_options&, client_options&,
           std::span<const std::string> words);

/// The daemon understood and said no (4xx).
struct refused : bad_usage {
  int status = 400;
  std::string code;                      ///< of the API: "full", "too_many_requests"
  std::chrono::milliseconds retry{1000}; ///< 429: when to ask again
  refused(const std::string& what, int status, std::string code)
      : bad_usage(what), status(status), code(std::move(code)) {}
};

/// The daemon has the tree and cannot read it.
struct damaged_there : bad_environment {
  using bad_environment::bad_environment;
};

/// A daemon's HTTP API. Nothing waits longer than the timeout, but for a stream of events. Throws
/// `refused`, and `bad_environment` where no daemon answers, its answer makes no sense, or
/// something is wrong on its side (5xx).
class client {
public:
  using json = nlohmann::ordered_json;

  explicit client(const client_options&);
  ~client();

  json get(const std::string& path);
  json post(const std::string& path, const json& body);

  /// Takes the events of a stream until `take` returns false. A stream that breaks off goes on
  /// where it ended.
  void follow(const std::string& path, const std::function<bool(const server_event&)>& take);

  /// What `ask` gives. A daemon that went away is asked again until it is back, as long as one
  /// waits for an answer.
  json patiently(const std::function<json()>& ask);

  /// What `ask` gives. A daemon that has no room for it now (429) is asked again when it says so,
  /// after `waits` was called, as long as one waits for an answer.
  json when_there_is_room(const std::function<json()>& ask,
                          const std::function<void(const refused&)>& waits = {});

  /// Waits, unless there is a reason not to.
  void wait(std::chrono::milliseconds);

  /// Called some tens of times a second while the client waits; what it throws ends the waiting.
  /// Until it is set, and where it is set to null, an interrupt throws `was_interrupted`.
  void while_waiting(std::function<void()>);

  const std::string& url() const;

private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

/// A part of a path, or a value of a query, as URLs want it.
std::string url_escaped(std::string_view);

/// "/v1/trees/<id>" and what follows it. Throws bad_usage for what can be no id.
std::string tree_path(std::string_view id, std::string_view rest = {});

/// "?name=value&…", without those that have no value; empty if none has one.
std::string query(std::span<const std::pair<std::string, std::string>>);
std::string query(std::initializer_list<std::pair<std::string, std::string>>);

} // namespace banyan
