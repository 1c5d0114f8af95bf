#include "apps/serving/live_forest.hpp"

#include "actors/planting.hpp"
#include "actors/status_board.hpp"
#include "actors/tree_ids.hpp"
#include "apps/node_desk.hpp"
#include "apps/serving/completions.hpp"
#include "apps/serving/http.hpp"
#include "apps/serving/refusals.hpp"
#include "apps/serving/store_reader.hpp"
#include "apps/serving/tree_looks.hpp"
#include "model/elapsed.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <set>
#include <unordered_map>
#include <utility>

#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

namespace banyan {
namespace {

using namespace std::chrono_literals;

std::string by_hand(tree_action action, const std::string& path) {
  const char* done = action == tree_action::cancel  ? "cancelled"
                     : action == tree_action::pause ? "paused"
                                                    : "resumed";
  return (path == "/" ? "" : "thread " + path + ": ") + std::string(done) + " by hand";
}

/// What a store lists, and the ids of trees that it cannot read.
struct stored_page {
  std::vector<tree> trees;
  std::vector<std::string> damaged;
};

/// A live tree while its threads are asked for their texts.
struct open_tree {
  tree value;
  std::size_t missing = 1;
  bool over = false; ///< it ended meanwhile
};

} // namespace

struct live_forest::impl {
  impl(actor_house& h, forest_options o)
      : house(h),
        options(std::move(o)),
        ids(options.seed),
        running_completions(house.system(), {house.pools(), house.codec(), house.vocabulary(),
                                             std::size_t(options.model.context)}),
        desk(house.system(), house.node()),
        reader(options.store,
               [this](std::string_view line) { say(common_options::level::error, line, {}); }) {
    options.events->on_watch([node = house.node()](const std::string& tree, bool on) {
      caf::anon_send(node, watch_request{tree, on});
    });
  }

  /// The desk goes first: what it still answers may ask the reader. What the reader then still has
  /// to do may ask the desk, which does nothing any more.
  ~impl() {
    options.events->on_watch(nullptr);
    desk.end();
  }

  /// A tree that lives no more, or never did.
  void find_stored(const std::string& id, bool texts, answer_to<tree_ptr> answer) {
    reader.read(std::move(answer),
                [this, id, texts](const tree_store& store) -> std::variant<tree_ptr, refusal> {
                  try {
                    auto found = store.find(id);
                    if (!found) return no_such_tree(id);
                    if (!texts) found = outline(*found);
                    return std::make_shared<const tree>(std::move(*found));
                  } catch (const damaged_tree& one) {
                    note(one);
                    return refused(refusal::kind::damaged, one.what());
                  }
                });
  }

  /// For one who has waited in vain: a tree that is parked, whose session is lost or whose end
  /// could not be stored is kept all the same, and told by its id.
  void find_after_all(const std::string& id, const caf::error& why,
                      const answer_to<tree_ptr>& finished) {
    find_stored(id, true, [id, why, finished](std::variant<tree_ptr, refusal> found) {
      const auto* t = std::get_if<tree_ptr>(&found);
      if (!t) return finished(just_ended(why) ? std::move(found) : refusal_of(why));
      if ((*t)->finished_ms != 0) return finished(std::move(found));
      finished(why == errc::not_stored ? stored_later(id) : goes_on_later(id));
    });
  }

  /// Logged once, however often somebody looks.
  void note(const damaged_tree& one) {
    {
      const std::lock_guard lock(damaged_mutex);
      if (!damaged.insert(one.id).second) return;
    }
    say(common_options::level::error, one.what(), one.id);
  }

  std::uint64_t num_damaged() {
    const std::lock_guard lock(damaged_mutex);
    return damaged.size();
  }

  void say(common_options::level level, std::string_view text, std::string_view tree) const {
    if (options.log) options.log(level, text, tree);
  }

  /// The live tree with the texts of its live threads in the range, asked of each.
  void add_texts(tree now, const thread_range& range, const answer_to<tree_ptr>& answer) {
    const auto open = std::make_shared<open_tree>(open_tree{std::move(now)});
    const auto count_down = [=, this] {
      if (--open->missing > 0) return;
      if (open->over) return find_stored(open->value.id, true, answer);
      answer(std::make_shared<const tree>(std::move(open->value)));
    };
    desk.run([open, count_down, range, node = desk.node()](caf::event_based_actor* self) {
      for (auto& thread : range_of(open->value, range)) {
        if (ended(thread.phase)) continue;
        ++open->missing;
        node_desk::look<thread_status>(
            self, node, thread_request{open->value.id, thread.path},
            [&thread, count_down](thread_status& one) {
              keep_place(one.record, thread);
              thread = std::move(one.record);
              count_down();
            },
            [open, count_down](const caf::error& why) {
              open->over |= just_ended(why) || errc_of(why, errc::none) == errc::not_found;
              count_down();
            });
      }
      count_down();
    });
  }

  /// Asks those of the trees that live how they are.
  void update(stored_page page, const answer_to<tree_page>& answer) {
    const auto all = std::make_shared<stored_page>(std::move(page));
    desk.run([this, all, answer](caf::event_based_actor* self) {
      const auto missing = std::make_shared<std::size_t>(1);
      const auto count_down = [=, this] {
        if (--*missing > 0) return;
        answer(tree_page{with_board(std::move(all->trees)), std::move(all->damaged)});
      };
      for (auto& tree : all->trees) {
        if (tree.finished_ms > 0) continue;
        ++*missing;
        self->request(desk.node(), node_desk::patience, tree_request{tree.id, false})
            .then(
                [&tree, all, count_down](const tree_status& now) {
                  tree = *now.value;
                  count_down();
                },
                [count_down](caf::error&) { count_down(); });
      }
      count_down();
    });
  }

  /// Looks at the board once for them all: it is large where many trees live.
  std::vector<tree_ptr> with_board(std::vector<tree> trees) {
    std::unordered_map<std::string, board_rows> rows;
    if (!std::ranges::all_of(trees, [](const tree& t) { return t.finished_ms > 0; }))
      for (auto& row : house.board()->snapshot()) rows[row.tree].push_back(std::move(row));
    std::vector<tree_ptr> seen;
    for (auto& t : trees) {
      if (const auto known = rows.find(t.id); known != rows.end()) add_board(t, known->second);
      seen.push_back(std::make_shared<const tree>(std::move(t)));
    }
    return seen;
  }

  actor_house& house;
  forest_options options;
  std::mutex damaged_mutex;
  std::set<std::string> damaged; ///< ids of trees that cannot be read, as far as they were met
  std::mutex ids_mutex;
  tree_ids ids;
  completions running_completions;
  node_desk desk;
  std::atomic<bool> closed{false};
  std::chrono::steady_clock::time_point begin = std::chrono::steady_clock::now();
  store_reader reader;
};

live_forest::live_forest(actor_house& house, forest_options options)
    : impl_(std::make_unique<impl>(house, std::move(options))) {}

live_forest::~live_forest() = default;

// ---- coming up and going down ----

std::size_t live_forest::take_up_unfinished() {
  const tree_store store(impl_->options.store, {.read_only = true});
  auto unfinished = store.unfinished([this](const damaged_tree& one) { impl_->note(one); });
  for (auto& tree : unfinished)
    caf::anon_send(impl_->desk.node(),
                   tree_work{std::move(tree.request), tree.created_ms, std::move(tree.halted),
                             std::move(tree.threads), tree.used_ms});
  return unfinished.size();
}

void live_forest::close() {
  impl_->closed = true;
  caf::anon_send(impl_->desk.node(), atom::close_v);
}

std::optional<live_forest::running_work> live_forest::running_now() {
  caf::scoped_actor self(impl_->house.system());
  std::optional<running_work> left;
  self->request(impl_->desk.node(), node_desk::patience, atom::status_v)
      .receive(
          [&](const node_status& now) {
            left = {now.running, 0};
          },
          [](const caf::error&) {});
  if (left) left->completions = impl_->running_completions.running();
  return left;
}

void live_forest::break_off_completions() { impl_->running_completions.break_off(); }

// ---- trees ----

void live_forest::submit(solve_request request, answer_to<std::string> accepted,
                         answer_to<tree_ptr> finished) {
  const auto refuse = [=](const refusal& why) { finished ? finished(why) : accepted(why); };
  if (impl_->closed)
    return refuse(
        refused(refusal::kind::unavailable, "the daemon is about to end; try again later"));
  const auto& range = impl_->options.range;
  if (range && !request.problem.numbers.empty())
    if (const auto why = range->misses(request.problem))
      return refuse(refused(refusal::kind::bad_request,
                            "problem: " + *why + "; give one that the model was trained for",
                            "problem"));
  if (request.id.empty()) {
    const std::lock_guard lock(impl_->ids_mutex);
    request.id = impl_->ids.next(unix_ms_now());
  }
  const auto fail = [refuse](const caf::error& why) { refuse(refusal_of(why)); };
  if (!finished)
    return impl_->desk.order<accepted_tree>(
        accept_request{std::move(request)},
        [accepted](const accepted_tree& tree) { accepted(tree.id); }, fail);
  if (accepted) accepted(request.id);
  const auto id = request.id;
  impl_->desk.order<finished_tree>(
      std::move(request), [finished](const finished_tree& done) { finished(done.value); },
      [this, id, finished, fail](const caf::error& why) {
        const bool may_be_kept =
            just_ended(why) || why == errc::cancelled || why == errc::not_stored;
        may_be_kept ? impl_->find_after_all(id, why, finished) : fail(why);
      });
}

void live_forest::find(const std::string& id, const std::optional<thread_range>& texts,
                       answer_to<tree_ptr> answer) {
  impl_->desk.ask<tree_status>(
      tree_request{id, texts.has_value()},
      [this, texts, answer](const tree_status& now) {
        auto seen = *now.value;
        add_board(seen, impl_->house.board()->snapshot_of(seen.id));
        if (!texts) return answer(std::make_shared<const tree>(std::move(seen)));
        impl_->add_texts(std::move(seen), *texts, answer);
      },
      [this, id, texts, answer](const caf::error&) {
        impl_->find_stored(id, texts.has_value(), answer);
      });
}

void live_forest::find_thread(const std::string& id, const std::string& path,
                              answer_to<thread_view> answer) {
  const auto stored = [this, id, path, answer](const caf::error&) {
    answer_to<tree_ptr> look = [path, answer](std::variant<tree_ptr, refusal> found) {
      if (auto* why = std::get_if<refusal>(&found)) return answer(std::move(*why));
      const auto* thread = std::get<tree_ptr>(found)->find(path);
      if (!thread)
        return answer(refusal_about(refusal::kind::not_found, path,
                                    "the tree has no such thread; look at the tree", "path"));
      answer(thread_view{*thread, false, 0, false, 0, 0, 0});
    };
    look.wanted = answer.wanted;
    impl_->find_stored(id, true, std::move(look));
  };
  impl_->desk.ask<thread_status>(
      thread_request{id, path},
      [answer](const thread_status& now) {
        const auto tokens = now.tokens_left == UINT32_MAX ? UINT64_MAX : now.tokens_left;
        answer(thread_view{now.record, now.live, now.at_pool.blocks, now.at_pool.leased, tokens,
                           now.rounds_left, now.seconds_left});
      },
      stored);
}

/// The store knows which trees there are; those that live are then asked how they are.
void live_forest::list(tree_filter filter, answer_to<tree_page> answer) {
  answer_to<stored_page> look = [this, answer](std::variant<stored_page, refusal> found) {
    if (auto* why = std::get_if<refusal>(&found)) return answer(std::move(*why));
    impl_->update(std::move(std::get<stored_page>(found)), answer);
  };
  look.wanted = answer.wanted;
  impl_->reader.read(std::move(look), [this, filter = std::move(filter)](const tree_store& store) {
    stored_page found;
    found.trees = store.list(filter, [&](const damaged_tree& one) {
      impl_->note(one);
      found.damaged.push_back(one.id);
    });
    return std::variant<stored_page, refusal>(std::move(found));
  });
}

void live_forest::act(tree_action action, const std::string& id, const std::string& path,
                      answer_to<tree_ptr> answer) {
  const auto explain = [this, id, answer](const caf::error& why) {
    const auto reason = refusal_of(why);
    if (reason.why == refusal::kind::bad_request)
      return answer(refused(refusal::kind::conflict, reason.message, reason.field));
    if (reason.why != refusal::kind::not_found) return answer(reason);
    // A tree that is over is there, but nothing can be done with it.
    impl_->find_stored(id, false, [reason, id, answer](std::variant<tree_ptr, refusal> found) {
      if (!std::holds_alternative<tree_ptr>(found)) return answer(std::get<refusal>(found));
      if (std::get<tree_ptr>(found)->finished_ms == 0) return answer(reason);
      answer(
          refusal_about(refusal::kind::conflict, id, "it has ended; there is nothing to do", "id"));
    });
  };
  impl_->desk.ask<tree_status>(
      steer_request{action, id, path},
      [this, action, path, answer](const tree_status& now) {
        auto seen = *now.value;
        impl_->say(common_options::level::info, by_hand(action, path), seen.id);
        add_board(seen, impl_->house.board()->snapshot_of(seen.id));
        answer(std::make_shared<const tree>(std::move(seen)));
      },
      explain);
}

thread_page live_forest::threads(std::size_t offset, std::size_t limit) const {
  thread_page page;
  for (auto& row : impl_->house.board()->snapshot(offset, limit))
    page.rows.push_back(
        {row.tree, row.thread, row.phase, row.tokens, row.waiting_for, row.since_ms});
  page.total = impl_->house.board()->size();
  return page;
}

/// Does not read the store: whoever asks how the daemon is should not wait for those who do.
void live_forest::status(answer_to<forest_status> answer) {
  const auto complete = [this, answer](const node_status& node) {
    forest_status now;
    now.node = node;
    now.threads = impl_->house.board()->counts();
    now.store = impl_->options.gauge->read();
    now.uptime_s = seconds_since(impl_->begin);
    now.version = impl_->options.version;
    now.closing = impl_->closed;
    now.damaged_trees = impl_->num_damaged();
    if (impl_->options.health) now.store_trouble = impl_->options.health->trouble();
    now.ready = !now.ending() && node.pools_alive > 0 && now.store_trouble.empty();
    answer(std::move(now));
  };
  impl_->desk.ask<node_status>(atom::status_v, complete,
                               [answer](const caf::error& why) { answer(refusal_of(why)); });
}

// ---- completions ----

std::uint64_t live_forest::complete(completion_request request,
                                    std::function<void(completion_piece)> on_piece,
                                    answer_to<completion_end> on_end) {
  if (impl_->closed) {
    on_end(refused(refusal::kind::unavailable, "the daemon is about to end; try again later"));
    return 0;
  }
  return impl_->running_completions.start(std::move(request), std::move(on_piece),
                                          std::move(on_end));
}

void live_forest::stop_completion(std::uint64_t handle) { impl_->running_completions.stop(handle); }

model_facts live_forest::model() const { return impl_->options.model; }

event_hub& live_forest::events() { return *impl_->options.events; }

} // namespace banyan
