#include "apps/banyand/log.hpp"

#include "actors/config.hpp"
#include "actors/node.hpp"
#include "apps/json.hpp"
#include "apps/safe_text.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include <nlohmann/json.hpp>
#include <poll.h>
#include <spdlog/async_logger.h>
#include <spdlog/details/null_mutex.h>
#include <spdlog/details/thread_pool.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

namespace banyan {

namespace {

/// How long the end waits for a reader of the log.
constexpr auto patience = std::chrono::seconds(3);

/// Lines that wait to be written; of more the oldest are dropped.
constexpr std::size_t most_waiting = 4096;

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

/// What a terminal must not see as its number: below 256 as `form` writes it, else as JSON does.
std::string shown(std::string_view text, const char* form) {
  std::string safe;
  while (!text.empty()) {
    const auto [bytes, unsafe] = first_of(text);
    if (unsafe) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, *unsafe < 0x100 ? form : "\\u%04x", *unsafe);
      safe += escaped;
    } else {
      safe += text.substr(0, bytes);
    }
    text.remove_prefix(bytes);
  }
  return safe;
}

std::string counted(std::uint64_t n, const char* noun) {
  return std::to_string(n) + " " + noun + (n == 1 ? "" : "s");
}

/// "solved, 781 tokens, 8 threads, 66 ms"
std::string ending_of(const tree& t) {
  const auto usage = t.usage();
  std::string text = t.outcome.solved                   ? "solved"
                     : t.phase == tree_phase::cancelled ? "cancelled"
                     : t.failure == errc::none          ? "unsolved"
                                                        : "failed";
  if (!t.outcome.solved && t.failure != errc::none && t.failure != errc::cancelled)
    text += " (" + std::string(to_string(t.failure)) + ")";
  return text + ", " + counted(usage.generated_tokens, "token") + ", "
         + counted(usage.threads, "thread") + ", " + std::to_string(std::lround(t.wall_ms)) + " ms";
}

/// Waits as long as whoever reads standard error likes: on an OS thread of its own.
class error_output : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
public:
  /// Asks how many lines were dropped so far.
  std::function<std::size_t()> num_dropped;

private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    if (const auto dropped = num_dropped(); dropped > told_) {
      write(daemon_log::line(format, unix_ms_now(), daemon_log::level::warning,
                             counted(dropped - told_, "line")
                                 + " of the log were not written: nobody reads it",
                             {})
            + "\n");
      told_ = dropped;
    }
    write(std::string(message.payload.begin(), message.payload.end()) + "\n");
  }

  void flush_() override {}

  static void write(std::string_view text) {
    while (!text.empty()) {
      const auto n = ::write(STDERR_FILENO, text.data(), text.size());
      if (n > 0) {
        text.remove_prefix(static_cast<std::size_t>(n));
      } else if (n < 0 && errno == EAGAIN) {
        pollfd room{STDERR_FILENO, POLLOUT, 0};
        ::poll(&room, 1, -1);
      } else if (n == 0 || errno != EINTR) {
        return; // there is nobody left to tell
      }
    }
  }

  std::size_t told_ = 0;
};

using writer = spdlog::details::thread_pool;
std::shared_ptr<writer> log_writer; ///< null: nothing is written any more

} // namespace

void daemon_log::begin(daemon_options::format f, level l) {
  format = f;
  log_writer = std::make_shared<writer>(most_waiting, 1);
  auto output = std::make_shared<error_output>();
  output->num_dropped = [writes_it = log_writer.get()] { return writes_it->overrun_counter(); };
  auto logger = std::make_shared<spdlog::async_logger>(
      "banyand", std::move(output), log_writer, spdlog::async_overflow_policy::overrun_oldest);
  logger->set_level(theirs(l));
  spdlog::set_default_logger(std::move(logger));
}

bool daemon_log::end(std::string_view last) {
  if (!log_writer) return false;
  auto* logger = spdlog::default_logger_raw();
  if (!last.empty()) logger->log(spdlog::level::err, last);
  logger->set_level(spdlog::level::off);
  std::promise<void> written;
  const auto end = written.get_future();
  std::thread([w = std::exchange(log_writer, nullptr), written = std::move(written)]() mutable {
    w.reset(); // when all is written
    written.set_value();
  }).detach();
  end.wait_for(patience);
  return true;
}

void daemon_log::set_level(level l) { spdlog::default_logger_raw()->set_level(theirs(l)); }

std::string daemon_log::line(daemon_options::format f, std::int64_t unix_ms, level l,
                             std::string_view message, std::string_view tree) {
  if (f == daemon_options::format::text) {
    const auto about = tree.empty() ? "" : "[" + std::string(tree) + "] ";
    return shown(time_text(unix_ms) + " " + name_of(l) + " " + about + std::string(message),
                 "\\x%02x");
  }
  nlohmann::ordered_json line{{"time", time_text(unix_ms)}, {"level", name_of(l)}};
  if (!tree.empty()) line["tree"] = tree;
  line["message"] = message;
  return shown(line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace), "\\u%04x");
}

void daemon_log::write(level l, std::string_view message, std::string_view tree) {
  auto* logger = spdlog::default_logger_raw();
  if (!logger->should_log(theirs(l))) return;
  logger->log(theirs(l), line(format, unix_ms_now(), l, message, tree));
}

void daemon_log::write(const tree_news& news) {
  switch (news.what) {
  case tree_news::kind::accepted: return write(level::debug, "accepted", news.id);
  case tree_news::kind::recovered: return write(level::info, "taken up after a restart", news.id);
  case tree_news::kind::left_alone:
    return write(level::warning,
                 "cannot go on: its request makes no sense to this version; it stays in the store",
                 news.id);
  case tree_news::kind::lost:
    return write(level::error, "its session was lost: " + news.why + "; it goes on after a restart",
                 news.id);
  case tree_news::kind::finished: return write(level::info, ending_of(*news.value), news.id);
  }
}

} // namespace banyan
