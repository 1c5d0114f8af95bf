#include "solver/search.hpp"

#include "solver/thread_search.hpp"

#include <deque>
#include <memory>
#include <stdexcept>

namespace banyan {
namespace {

void record(thread_record& thread, const thread_search& search) {
  thread.segments.reserve(search.stretches().size());
  std::size_t begin = 0;
  for (auto [kind, end] : search.stretches()) {
    auto& segment = thread.segments.emplace_back();
    segment.kind = kind;
    segment.text = search.text().substr(begin, end - begin);
    begin = end;
  }
  thread.phase = thread_phase::done;
  if (search.goal())
    thread.solution = search.solution();
  else
    thread.failure = errc::no_solution;
}

/// The root's search of APR: a coin after each expansion of two or more states says whether each of
/// them becomes a child thread. Adds the children to the tree.
class parallel_search : public thread_search {
public:
  parallel_search(search_context context, demonstration_facts beams, tree& tree)
      : thread_search(context, search_space::root, beams.beam),
        sub_beam_(beams.sub_beam),
        tree_(tree) {}

protected:
  dive consider(const node_list& kept, int level) override {
    if (kept.size() < 2 || !context_.random.coin(context_.options.spawn_probability))
      return dive::declined;
    end_stretch(segment_kind::written);
    writer_.spawn(kept, level + 1);
    end_stretch(segment_kind::spawn);
    auto found = join(kept, level + 1);
    end_stretch(segment_kind::joined);
    if (!found) return dive::failed;
    writer_.goal();
    reach(*found);
    return dive::reached;
  }

private:
  /// Searches the children and writes the join block. The first reported goal in their order.
  std::optional<search_goal> join(const node_list& kept, int level) {
    std::deque<thread_search> children;
    for (auto start : kept) children.emplace_back(context_, start, sub_beam_).run();
    auto& options = context_.options;
    const auto* winner =
        options.first_success_share > 0 && context_.random.coin(options.first_success_share)
            ? first_done(children)
            : nullptr;

    tree_.threads.reserve(tree_.threads.size() + kept.size());
    auto round = tree_.threads.front().rounds++;
    std::optional<search_goal> first;
    writer_.begin_join();
    for (std::size_t i = 0; i < kept.size(); ++i) {
      const auto& child = children[i];
      const bool reported = child.goal() && (!winner || &child == winner);
      writer_.joined(reported, i, level, kept[i]);
      if (reported) writer_.copy(child.solution());
      if (reported && !first) first = child.goal();
      auto& thread = tree_.add(child_path("/", num_children_++));
      thread.round = round;
      record(thread, child);
      if (winner && &child != winner) cancel(thread, child, *winner);
    }
    writer_.end_join();
    return first;
  }

  /// The child that reaches its goal first where all write equally fast; none without a goal.
  static const thread_search* first_done(const std::deque<thread_search>& children) {
    const thread_search* first = nullptr;
    for (const auto& child : children)
      if (child.goal() && (!first || child.text().size() < first->text().size())) first = &child;
    return first;
  }

  /// A child that had not ended when the winner did keeps the lines it had then.
  static void cancel(thread_record& thread, const thread_search& child,
                     const thread_search& winner) {
    if (child.text().size() < winner.text().size()) return;
    auto& written = thread.segments.back().text;
    const auto prompt = child.text().size() - written.size(), end = winner.text().size() - 1;
    written.resize(end > prompt ? written.rfind('\n', end - prompt - 1) + 1 : 0); // npos + 1 = 0
    thread.awaited = false;
    thread.solution.reset();
    thread.phase = thread_phase::cancelled;
    thread.failure = errc::cancelled;
  }

  int sub_beam_;
  std::uint32_t num_children_ = 0;
  tree& tree_;
};

std::unique_ptr<thread_search> root_search(search_context context, demonstration_facts beams,
                                           tree& t) {
  constexpr auto root = search_space::root;
  switch (context.options.kind) {
  case search_kind::sos_bfs: return std::make_unique<thread_search>(context, root, beams.beam);
  case search_kind::sos_dfs: return std::make_unique<depth_first_search>(context, root, beams.beam);
  case search_kind::sos_plus: return std::make_unique<nested_search>(context, root, beams.beam);
  case search_kind::apr: break;
  }
  return std::make_unique<parallel_search>(context, beams, t);
}

demonstration_facts draw_beams(const search_options& options, chance& random) {
  demonstration_facts beams;
  beams.beam = static_cast<int>(random.between(options.beam_low, options.beam_high));
  auto low = options.sub_beam_low > 0 ? options.sub_beam_low : beams.beam;
  beams.sub_beam = low < options.sub_beam_high
                       ? static_cast<int>(random.between(low, options.sub_beam_high))
                       : options.sub_beam_high;
  return beams;
}

/// What a text fits into.
int token_budget(std::size_t bytes) {
  const auto tokens = static_cast<int>(budget_tokens(bytes));
  return (tokens + token_budget_bin - 1) / token_budget_bin * token_budget_bin;
}

/// Known only when the search is over: how many children there were, how long the text became.
conditioning condition(const search_options& options, const tree& t, std::size_t root_bytes,
                       int beam, chance& random) {
  conditioning given;
  if (options.condition_share < 1 && !random.coin(options.condition_share)) return given;
  bool parallel = options.kind == search_kind::apr;
  if (parallel && options.condition_children) {
    const auto children = static_cast<int>(t.threads.size() - 1);
    const bool no_more_to_spawn = t.root().rounds == 1 && children < beam;
    given.sub_call_budget =
        no_more_to_spawn && options.condition_up_to > children
            ? static_cast<int>(random.between(children, options.condition_up_to))
            : children;
  }
  if (!parallel && options.condition_tokens) given.token_budget = token_budget(root_bytes);
  return given;
}

} // namespace

demonstration_facts facts_of(const search_options& options, std::uint64_t index) {
  chance random(options.seed, index);
  return draw_beams(options, random);
}

tree demonstrate(const problem& p, const search_options& options, std::uint64_t index) {
  if (auto wrong = malformed(p)) throw std::invalid_argument(*wrong);
  chance random(options.seed, index);
  auto beams = draw_beams(options, random);
  search_space space(p, options.heuristic, options.max_result);

  tree t;
  t.id = "demonstration-" + std::to_string(index);
  t.problem = p;
  t.seed = options.seed;
  t.add("/");
  auto search = root_search({space, random, options}, beams, t);
  search->run();
  auto& root = t.threads.front();
  record(root, *search);
  t.prompt = root_prompt(p, condition(options, t, search->text().size(), beams.beam, random));
  root.segments.front().text = t.prompt;
  t.phase = tree_phase::done;
  t.failure = root.failure;
  t.outcome = judge(p, root.solution.value_or(""));
  return t;
}

std::size_t text_bytes(const tree& t) {
  std::size_t sum = 0;
  for (auto& thread : t.threads)
    for (auto& segment : thread.segments) sum += segment.text.size();
  return sum;
}

} // namespace banyan
