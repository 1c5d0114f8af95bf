#include "solver/search.hpp"

#include "solver/thread_search.hpp"

#include <algorithm>
#include <stdexcept>

namespace banyan {
namespace {

/// Moves `text` into a new segment; an empty one is left out.
void add_segment(thread_record& thread, segment_kind kind, std::string_view text) {
  if (!text.empty()) thread.segments.emplace_back().text = text, thread.segments.back().kind = kind;
}

void finish(thread_record& thread, const thread_search& search) {
  thread.phase = thread_phase::done;
  if (search.goal())
    thread.solution = search.solution();
  else
    thread.failure = errc::no_solution;
}

/// The root's search of APR: a coin after each expansion of two or more states says whether each of
/// them becomes a child thread. Adds the children to the tree, and to the root what it asks and
/// gets.
class parallel_search : public thread_search {
public:
  parallel_search(search_context context, int beam, int sub_beam, tree& tree)
      : thread_search(context, search_space::root, beam), sub_beam_(sub_beam), tree_(tree) {}

  /// Where the segment begins that is not yet in the tree.
  std::size_t open_segment() const { return segment_begin_; }

protected:
  dive consider(const node_list& kept, int level) override {
    if (kept.size() < 2 || !context_.random.coin(context_.options.spawn_probability))
      return dive::declined;
    close_segment(segment_kind::written);
    writer_.spawn(kept, level + 1);
    close_segment(segment_kind::spawn);
    auto found = join(kept, level + 1);
    if (!found) return dive::failed;
    writer_.goal();
    reach(*found);
    return dive::reached;
  }

private:
  void close_segment(segment_kind kind) {
    segment_begin_ = std::max(segment_begin_, prompt_size());
    add_segment(tree_.threads.front(), kind, text().substr(segment_begin_));
    segment_begin_ = text().size();
  }

  /// Searches the children one by one and writes the join block. The first goal in their order.
  std::optional<search_goal> join(const node_list& kept, int level) {
    tree_.threads.reserve(tree_.threads.size() + kept.size());
    auto round = tree_.threads.front().rounds++;
    std::optional<search_goal> first;
    std::size_t index = 0;
    writer_.begin_join();
    for (auto start : kept) {
      thread_search child(context_, start, sub_beam_);
      child.run();
      writer_.joined(child.goal().has_value(), index++, level, start);
      writer_.copy(child.solution());
      if (!first) first = child.goal();
      record(child, round);
    }
    writer_.end_join();
    close_segment(segment_kind::joined);
    return first;
  }

  void record(const thread_search& child, std::uint32_t round) {
    auto& thread = tree_.add(child_path("/", static_cast<std::uint32_t>(tree_.threads.size() - 1)));
    thread.round = round;
    thread.segments.reserve(2);
    add_segment(thread, segment_kind::prompt, child.text().substr(0, child.prompt_size()));
    add_segment(thread, segment_kind::written, child.text().substr(child.prompt_size()));
    finish(thread, child);
  }

  int sub_beam_;
  tree& tree_;
  std::size_t segment_begin_ = 0;
};

/// What fits the text in tokens of two characters, in bins of 512.
int token_budget(std::size_t bytes) {
  constexpr std::size_t bin = 512, bytes_per_token = 2;
  return static_cast<int>((bytes / bytes_per_token + bin - 1) / bin * bin);
}

demonstration_facts draw_facts(const search_options& options, chance& random) {
  demonstration_facts facts;
  facts.beam = static_cast<int>(random.between(options.beam_low, options.beam_high));
  auto low = options.sub_beam_low > 0 ? options.sub_beam_low : facts.beam;
  facts.sub_beam = low < options.sub_beam_high
                       ? static_cast<int>(random.between(low, options.sub_beam_high))
                       : options.sub_beam_high;
  return facts;
}

/// Runs the root's search and puts its text into the tree, from `open_segment` on as written.
template <class Search>
void run_root(Search search, tree& t, const search_options& options) {
  search.run();
  auto& root = t.threads.front();
  std::size_t written_from = search.prompt_size();
  if constexpr (std::is_same_v<Search, parallel_search>)
    written_from = std::max(written_from, search.open_segment());
  add_segment(root, segment_kind::written, search.text().substr(written_from));
  conditioning given;
  if (options.kind == search_kind::apr && options.condition_children)
    given.sub_call_budget = static_cast<int>(t.threads.size() - 1);
  if (options.kind != search_kind::apr && options.condition_tokens)
    given.token_budget = token_budget(search.text().size());
  t.prompt = root_prompt(t.problem, given);
  root.segments.front().text = t.prompt;
  finish(root, search);
}

} // namespace

demonstration_facts facts_of(const search_options& options, std::uint64_t index) {
  chance random(options.seed, index);
  return draw_facts(options, random);
}

tree demonstrate(const problem& p, const search_options& options, std::uint64_t index) {
  if (auto wrong = malformed(p)) throw std::invalid_argument(*wrong);
  chance random(options.seed, index);
  auto facts = draw_facts(options, random);
  search_space space(p, options.heuristic, options.max_result);
  search_context context{space, random, options};

  tree t;
  t.id = "demonstration-" + std::to_string(index);
  t.problem = p;
  t.seed = options.seed;
  t.phase = tree_phase::done;
  t.add("/").segments.emplace_back(); // the prompt, known when the search is over
  switch (options.kind) {
  case search_kind::sos_bfs: run_root(thread_search(context, 0, facts.beam), t, options); break;
  case search_kind::sos_dfs:
    run_root(depth_first_search(context, 0, facts.beam), t, options);
    break;
  case search_kind::sos_plus: run_root(nested_search(context, 0, facts.beam), t, options); break;
  case search_kind::apr:
    run_root(parallel_search(context, facts.beam, facts.sub_beam, t), t, options);
    break;
  }
  t.failure = t.root().failure;
  t.outcome = judge(p, t.root().solution.value_or(""));
  return t;
}

std::size_t text_bytes(const tree& t) {
  std::size_t sum = 0;
  for (auto& thread : t.threads)
    for (auto& segment : thread.segments) sum += segment.text.size();
  return sum;
}

} // namespace banyan
