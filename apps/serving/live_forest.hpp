#pragma once

#include "actors/status.hpp"
#include "apps/actor_house.hpp"
#include "apps/common_options.hpp"
#include "apps/serving/forest.hpp"
#include "apps/serving/store_health.hpp"
#include "apps/task_range.hpp"

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace banyan {

/// Takes a line for the log, and the tree that it is about, where it is about one.
using log_line =
    std::function<void(common_options::level, std::string_view text, std::string_view tree)>;

struct forest_options {
  std::filesystem::path store;              ///< the file that the house's store writes
  std::shared_ptr<const store_gauge> gauge; ///< of that store
  std::optional<task_range> range;          ///< problems that the model knows; nothing: any
  model_facts model;
  std::shared_ptr<event_hub> events;
  std::string version;
  std::uint64_t seed = 0;                     ///< of tree ids
  std::shared_ptr<const store_health> health; ///< null: the store can always be written
  log_line log;                               ///< may be null
};

/// A daemon's trees: what lives is asked of the actors, what is over of the store's file. Must go
/// before the house does.
class live_forest : public forest {
public:
  live_forest(actor_house&, forest_options);
  ~live_forest() override;

  /// Goes on with the trees that an earlier process left unfinished; how many there are. A damaged
  /// one stays in the store as it is.
  std::size_t take_up_unfinished();

  /// No more work is taken, and no tree begins; one that cannot go on before somebody resumes it is
  /// left to the store.
  void close();

  /// Trees that run, and completions; nothing if the node does not answer in time.
  struct running_work {
    std::size_t trees = 0, completions = 0;
    bool any() const { return trees + completions > 0; }
  };
  std::optional<running_work> running_now();

  /// Completions are nowhere kept: those who wait for one are told that the daemon ends.
  void break_off_completions();

  void submit(solve_request, answer_to<std::string> accepted,
              answer_to<tree_ptr> finished) override;
  void find(const std::string& id, const std::optional<thread_range>& texts,
            answer_to<tree_ptr>) override;
  void find_thread(const std::string& id, const std::string& path, answer_to<thread_view>) override;
  void list(tree_filter, answer_to<tree_page>) override;
  void act(tree_action, const std::string& id, const std::string& path,
           answer_to<tree_ptr>) override;
  thread_page threads(std::size_t offset, std::size_t limit) const override;
  void status(answer_to<forest_status>) override;
  std::uint64_t complete(completion_request, std::function<void(completion_piece)> on_piece,
                         answer_to<completion_end>) override;
  void stop_completion(std::uint64_t handle) override;
  model_facts model() const override;
  event_hub& events() override;

private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

} // namespace banyan
