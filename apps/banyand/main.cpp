#include "actors/event_hub.hpp"
#include "apps/actor_house.hpp"
#include "apps/banyand/daemon_options.hpp"
#include "apps/banyand/data_folder.hpp"
#include "apps/banyand/log.hpp"
#include "apps/banyand/self_check.hpp"
#include "apps/banyand/service.hpp"
#include "apps/compute.hpp"
#include "apps/drawn.hpp"
#include "apps/failure.hpp"
#include "apps/model_choice.hpp"
#include "apps/problem_run.hpp"
#include "apps/seconds.hpp"
#include "apps/serving/http_server.hpp"
#include "apps/serving/listen_address.hpp"
#include "apps/serving/live_forest.hpp"
#include "apps/serving/model_facts.hpp"
#include "apps/terminal.hpp"
#include "model/elapsed.hpp"
#include "model/tokenizer.hpp"
#include "model/weights.hpp"
#include "trainer/rollout_labels.hpp"
#include "trainer/store_actor.hpp"

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <mutex>

#include <sys/stat.h>
#include <unistd.h>

namespace banyan {

namespace {

using namespace std::chrono_literals;
using level = common_options::level;

/// A thread that is told to park does so after the pool's next step.
constexpr auto park_time = 5s;

std::uint64_t some_seed(std::uint64_t asked) { return asked != 0 ? asked : drawn_bits(); }

bool is_told_to_end(int signal) { return signal == SIGTERM || signal == SIGINT; }

/// Everything that runs, made in this order and ended in the other one.
class daemon_process {
public:
  daemon_process(const daemon_options& options, std::vector<std::string> words)
      : options_(options), words_(std::move(words)), keep_(options.keep) {}

  int run() {
    data_folder folder(options_.data_dir, options_.user);
    ::umask(0077); // what is made from here on is for its user alone
    if (!options_.user.empty()) become(options_.user);
    folder.lock();
    start();
    tell_address();
    notify_manager("READY=1\nSTATUS=serving " + server_->url());
    serve();
    end();
    if (const auto who = lost(); !who.empty())
      throw bad_environment("banyand", who + " was lost, and nothing goes on without it",
                            "see the log and start again; unfinished trees go on then");
    return exit_done;
  }

private:
  /// Who started it may have gone; the daemon has not.
  void tell_address() const {
    try {
      print("banyand: " + server_->url() + "\n");
    } catch (const reader_left&) {
      say(level::warning, "nobody reads the address " + server_->url() + "; going on");
    }
  }

  void start() {
    const auto begin = std::chrono::steady_clock::now();
    const auto chosen = choose_model(options_.model, {});
    decoding_options decoding;
    decoding.devices = options_.devices;
    decoding.precision = options_.precision;
    decoding.threads = options_.threads;
    auto pools = load_pools(chosen.folder, decoding);
    forest_options trees;
    trees.store = options_.store_file();
    trees.range = chosen.range;
    trees.model = facts_of(chosen, pools.front().model);
    trees.events = events_;
    trees.version = BANYAN_VERSION;
    trees.seed = some_seed(options_.seed);
    trees.health = health_;
    trees.log = [](level l, std::string_view text, std::string_view tree) {
      daemon_log::write(l, text, tree);
    };
    house_ = std::make_unique<actor_house>(std::move(pools), house_settings(chosen, pools.front()));
    trees.gauge = gauge_;
    forest_ = std::make_unique<live_forest>(*house_, std::move(trees));
    if (const auto wrong = self_check(*house_); !wrong.empty())
      throw bad_environment("self-check", wrong, "see the log");
    const auto unfinished = forest_->take_up_unfinished();
    if (unfinished > 0)
      say(level::info, std::to_string(unfinished) + " unfinished trees are taken up");
    options_.http.log = [](http_level l, const std::string& text, const std::string& tree) {
      daemon_log::write(static_cast<level>(l), text, tree);
    };
    server_ = std::make_unique<http_server>(*forest_, options_.http);
    char after[32];
    std::snprintf(after, sizeof after, "%.2f s", seconds_since(begin));
    say(level::info, "model " + chosen.folder.string() + ", store " + options_.store_file().string()
                         + ", ready after " + after);
  }

  house_options house_settings(const model_choice& chosen, const pool_source& pool) {
    house_options house;
    house.begin = prompt_begin(chosen, *pool.model.vocabulary);
    house.concurrency = options_.concurrency;
    house.max_queued = options_.max_queued;
    house.seed = some_seed(options_.seed);
    house.events = events_;
    house.log = [](std::string_view line) { daemon_log::write(level::warning, line); };
    house.news = [](const tree_news& news) { daemon_log::write(news); };
    house.on_loss = [this](const std::string& who) {
      say(level::error, who + " was lost");
      const std::lock_guard lock(lost_mutex_);
      lost_ = who;
      ::kill(::getpid(), SIGTERM);
    };
    house.make_store = [this](caf::actor_system& system) {
      tree_store file(options_.store_file(), {.sync = options_.sync});
      forget_unfinished_rollouts(file); // a run's own weights sample them anew
      gauge_ = file.gauge();
      store_actor_options store;
      store.keep = [this] {
        const std::lock_guard lock(keep_mutex_);
        return keep_;
      };
      store.log = [](std::string_view line, std::string_view tree) {
        daemon_log::write(level::error, line, tree);
      };
      store.on_trouble = [health = health_](const std::string& why) {
        health->set(why);
        if (why.empty()) daemon_log::write(level::info, "the store can be written again");
      };
      return spawn_store(system, std::move(file), std::move(store));
    };
    return house;
  }

  /// Until somebody asks for the end.
  void serve() {
    const auto watchdog = watchdog_interval();
    for (;;) {
      const auto signal = next_signal(watchdog.value_or(1h));
      if (is_told_to_end(signal)) return;
      if (signal == SIGHUP) read_config_again();
      if (watchdog && forest_->running_now()) notify_manager("WATCHDOG=1");
    }
  }

  void read_config_again() {
    notify_manager("RELOADING=1");
    const bool had_token = !options_.http.token.empty();
    try {
      for (const auto& name : reload(options_, words_))
        say(level::warning, name + ": it has changed, and counts from the next start");
      daemon_log::set_level(options_.log_level);
      server_->reload(options_.http);
      if (had_token && options_.http.token.empty()) say(level::warning, token_gone());
      const std::lock_guard lock(keep_mutex_);
      keep_ = options_.keep;
      say(level::info, "the config was read again");
    } catch (const std::exception& why) {
      say(level::error, std::string("the config stays as it was: ") + why.what());
    }
    notify_manager("READY=1");
  }

  std::string token_gone() const {
    return is_loopback_address(options_.http.address)
               ? "token-file: there is none any more, and whoever is on this machine is let in"
               : "token-file: there is none any more; the last token holds, for others can reach "
                     + options_.http.address;
  }

  /// Trees that run get a moment to finish; what still runs then, and what waits, goes on after the
  /// next start.
  void end() {
    notify_manager("STOPPING=1");
    say(level::info, "ending: no more work is taken");
    forest_->close();
    const auto until = std::chrono::steady_clock::now() + milliseconds_of(options_.drain_s);
    const auto busy = [this] {
      const auto left = forest_->running_now();
      return left && left->any();
    };
    while (busy() && std::chrono::steady_clock::now() < until
           && !is_told_to_end(next_signal(20ms))) {
    }
    forest_->break_off_completions();
    if (!house_->park(park_time)) say(level::warning, "some trees could not be parked in time");
    if (const auto left = gauge_->read().unfinished; left > 0)
      say(level::info, std::to_string(left) + " unfinished trees are kept for the next start");
    server_->stop();
    server_.reset();
    forest_.reset();
    house_.reset();
    say(level::info, "ended");
  }

  std::string lost() {
    const std::lock_guard lock(lost_mutex_);
    return lost_;
  }

  static void say(level l, const std::string& text) { daemon_log::write(l, text); }

  daemon_options options_;
  std::vector<std::string> words_;
  std::mutex keep_mutex_;
  retention keep_;
  std::mutex lost_mutex_;
  std::string lost_; ///< who; empty: nobody
  std::shared_ptr<store_health> health_ = std::make_shared<store_health>();
  std::shared_ptr<event_hub> events_ = std::make_shared<event_hub>();
  std::shared_ptr<const store_gauge> gauge_;
  std::unique_ptr<actor_house> house_;
  std::unique_ptr<live_forest> forest_;
  std::unique_ptr<http_server> server_;
};

/// Whatever went wrong, in one line and an exit code.
int run(const std::vector<std::string>& words) {
  const auto fail = [](int code, const char* line) {
    const auto last = "banyand: " + printable(line);
    if (!daemon_log::end(last)) print_error(last + "\n");
    return code;
  };
  try {
    daemon_options options;
    if (!parse(options, words)) return exit_done;
    if (options.print_config) {
      print(config_of(options));
      return exit_done;
    }
    hold_signals();
    daemon_log::begin(options.log_format, options.log_level);
    const auto code = daemon_process(options, words).run();
    daemon_log::end();
    return code;
  } catch (const reader_left&) {
    daemon_log::end();
    return exit_done;
  } catch (const bad_usage& e) {
    return fail(exit_usage, e.what());
  } catch (const std::exception& e) {
    return fail(exit_environment, e.what());
  }
}

} // namespace

} // namespace banyan

int main(int argc, char** argv) {
  banyan::hold_standard_descriptors();
  const auto code = banyan::run({argv + 1, argv + argc});
  // Everything is written. What LibTorch would still take apart goes with the process.
  std::_Exit(code);
}
