#include "trainer/shared_prefix.hpp"

#include "solver/tree.hpp"
#include "trainer/batch.hpp"

#include <algorithm>
#include <map>
#include <stdexcept>
#include <string>

namespace banyan {

namespace {

using token_ids = std::vector<std::int32_t>;

/// A prefix tree over token ids. Node 0 is the first token.
class prefix_tree {
public:
  explicit prefix_tree(std::int32_t first) : nodes_{{first}} {}

  /// The child of `at` with this token, made if it is not there.
  std::size_t step(std::size_t at, std::int32_t id) {
    auto* link = &nodes_[at].child;
    while (*link != none) {
      if (nodes_[*link].id == id) return *link;
      link = &nodes_[*link].sibling;
    }
    const auto fresh = *link = nodes_.size();
    const auto depth = nodes_[at].depth + 1;
    nodes_.push_back({id, depth});
    return fresh;
  }

  void add_term(std::size_t at, const sampled_term& term) { nodes_[at].terms.push_back(term); }

  /// Depth first, children in the order in which they came.
  void lay_out(shared_sequence& to) const {
    std::vector<std::pair<std::size_t, std::size_t>> open; // node, its place
    for (auto next = std::size_t{0}; next != none;) {
      const auto& node = nodes_[next];
      const auto place = to.ids.size();
      to.ids.push_back(node.id);
      to.positions.push_back(node.depth);
      to.visible_until.push_back(0);
      for (auto term : node.terms) {
        term.row = static_cast<std::int32_t>(place);
        to.terms.push_back(term);
      }
      open.emplace_back(next, place);
      next = node.child;
      while (next == none && !open.empty()) {
        const auto [done, at] = open.back();
        open.pop_back();
        to.visible_until[at] = static_cast<std::int32_t>(to.ids.size());
        next = nodes_[done].sibling;
      }
    }
  }

private:
  static constexpr auto none = static_cast<std::size_t>(-1);
  struct node {
    std::int32_t id = 0, depth = 0;
    std::size_t child = none, sibling = none;
    std::vector<sampled_term> terms; ///< of the tokens that follow this one
  };
  std::vector<node> nodes_;
};

void require_complete(const thread_record& thread, const segment& s) {
  if (s.logprobs.size() == s.ids.size() && s.epochs.size() == s.ids.size()
      && (!s.ids.empty() || s.text.empty()))
    return;
  throw std::invalid_argument("thread " + thread.path
                              + ": a sampled token without id, logprob and epoch");
}

class thread_reader {
public:
  thread_reader(prefix_tree& into, const credited_thread& of) : tree_(into), of_(of) {}

  /// Puts the thread's texts into the tree, and returns how long they are as flat sequences.
  std::size_t read(std::span<const segment> segments) {
    for (const auto& s : segments) {
      if (s.kind == segment_kind::spawn) {
        const auto before = at_;
        const auto length = depth_;
        append(s);
        flat_ += depth_;
        at_ = before; // what follows does not see the block
        depth_ = length;
      } else {
        append(s);
      }
    }
    return flat_ + depth_;
  }

private:
  void append(const segment& s) {
    if (s.sampled()) require_complete(*of_.thread, s);
    for (std::size_t i = 0; i < s.ids.size(); ++i, ++depth_) {
      if (depth_ == 0) continue; // the tree's first token
      if (s.sampled() && of_.weight > 0)
        tree_.add_term(at_, {.target = s.ids[i],
                             .logprob = s.logprobs[i],
                             .epoch = s.epochs[i],
                             .advantage = of_.advantage,
                             .weight = of_.weight});
      at_ = tree_.step(at_, s.ids[i]);
    }
  }

  prefix_tree& tree_;
  const credited_thread& of_;
  std::size_t at_ = 0, depth_ = 0, flat_ = 0;
};

/// Threads with one prompt as one sequence.
shared_sequence laid_out(std::span<const credited_thread> family) {
  shared_sequence sequence{.num_threads = family.size()};
  prefix_tree texts(family.front().thread->segments.front().ids.front());
  for (const auto& t : family)
    sequence.flat_length += thread_reader(texts, t).read(t.thread->segments);
  texts.lay_out(sequence);
  return sequence;
}

void lay_out_parts(std::span<const credited_thread> family, std::size_t most_tokens,
                   std::vector<shared_sequence>& to) {
  auto whole = laid_out(family);
  if (whole.length() <= most_tokens || family.size() == 1) return to.push_back(std::move(whole));
  const auto half = family.size() / 2;
  lay_out_parts(family.first(half), most_tokens, to);
  lay_out_parts(family.subspan(half), most_tokens, to);
}

} // namespace

std::vector<shared_sequence> share_prefixes(std::span<const credited_thread> threads,
                                            std::size_t most_tokens) {
  std::vector<std::vector<credited_thread>> families;
  std::map<token_ids, std::size_t> by_prompt;
  for (const auto& t : threads) {
    const auto& segments = t.thread->segments;
    if (segments.empty() || segments.front().ids.empty()) continue; // it never ran
    const auto [known, fresh] = by_prompt.try_emplace(segments.front().ids, families.size());
    if (fresh) families.emplace_back();
    families[known->second].push_back(t);
  }
  std::vector<shared_sequence> sequences;
  for (const auto& family : families) lay_out_parts(family, most_tokens, sequences);
  return sequences;
}

policy_batch make_policy_batch(std::span<const shared_sequence> sequences) {
  policy_batch batch;
  auto& all = batch.sequences;
  all.starts.push_back(0);
  for (const auto& s : sequences) {
    const auto first = static_cast<std::int32_t>(all.ids.size());
    for (auto term : s.terms) {
      term.row += first;
      if (batch.rows.empty() || batch.rows.back() != term.row) batch.rows.push_back(term.row);
      batch.term_rows.push_back(static_cast<std::int64_t>(batch.rows.size()) - 1);
      batch.terms.push_back(term);
    }
    append_sequence(all, s.ids, s.positions, s.visible_until);
  }
  return batch;
}

std::vector<std::span<const shared_sequence>> cut(std::span<const shared_sequence> sequences,
                                                  std::size_t max_tokens) {
  std::vector<std::span<const shared_sequence>> runs;
  std::size_t begin = 0, tokens = 0;
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    if (i > begin && tokens + sequences[i].length() > max_tokens) {
      runs.push_back(sequences.subspan(begin, i - begin));
      begin = i;
      tokens = 0;
    }
    tokens += sequences[i].length();
  }
  if (begin < sequences.size()) runs.push_back(sequences.subspan(begin));
  return runs;
}

} // namespace banyan
