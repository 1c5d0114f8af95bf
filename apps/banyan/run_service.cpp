#include "apps/banyan/run_service.hpp"

#include "actors/status_board.hpp"
#include "apps/actor_house.hpp"
#include "apps/common_options.hpp"
#include "apps/failure.hpp"
#include "apps/serving/http_server.hpp"
#include "apps/serving/listen_address.hpp"
#include "apps/terminal.hpp"
#include "trainer/rollout_labels.hpp"

#include <exception>
#include <utility>

namespace banyan {

using level = common_options::level;
using clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

void require_listenable(const std::string& listen) {
  http_options asked;
  read_address(listen, asked);
  if (!is_loopback_address(asked.address))
    throw bad_usage("--listen " + listen, "others could reach it, and a run asks for no token",
                    "listen on 127.0.0.1");
}

void tell_unfinished(const common_options& common, const std::filesystem::path& store) {
  try {
    const auto left = num_unfinished_of_others(tree_store(store, {.read_only = true}));
    if (left == 0) return;
    const auto out = store.parent_path();
    common.log(level::warning, counted(left, "tree") + " of others " + (left == 1 ? "is" : "are")
                                   + " not finished; `banyand --data-dir "
                                   + shell_word(out.string()) + " --model "
                                   + shell_word((out / "last").string()) + "` goes on");
  } catch (const std::exception& why) {
    common.log(level::warning, why.what());
  }
}

run_service::run_service(actor_house& actors, const common_options& common,
                         const std::string& listen, forest_options trees)
    : actors_(actors), common_(common) {
  http_options http;
  read_address(listen, http);
  forest_ = std::make_unique<live_forest>(actors, std::move(trees));
  forest_->take_up_unfinished();
  server_ = std::make_unique<http_server>(*forest_, http);
  // A port that the system chose must be told, be it quiet or not.
  common.log(http.port == 0 ? level::warning : level::info, "serving " + server_->url());
}

run_service::~run_service() = default;

void run_service::look() {
  if (clock::now() < next_look_) return;
  next_look_ = clock::now() + 1s;
  const auto phases = actors_.board()->counts();
  const auto found = phases.find(thread_phase::paused);
  const auto now = found == phases.end() ? 0 : found->second;
  if (now <= std::exchange(paused_, now)) return;
  common_.log(level::warning, counted(now, "thread") + (now == 1 ? " is" : " are")
                                  + " paused; a step that has one among its rollouts waits until "
                                    "it is resumed or late (--deadline)");
}

void run_service::close() {
  forest_->close();
  forest_->break_off_completions();
}

} // namespace banyan
