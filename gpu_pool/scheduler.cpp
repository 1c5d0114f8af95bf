#include "gpu_pool/scheduler.hpp"

#include "gpu_pool/stop_strings.hpp"
#include "model/config.hpp"
#include "model/sampler.hpp"
#include "model/tokenizer.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <stdexcept>
#include <unordered_set>
#include <utility>

namespace banyan {

namespace {

bool sensible(const sampling_options& o) {
  return std::isfinite(o.temperature) && o.temperature >= 0 && o.top_k >= 0 && o.top_p > 0
         && o.top_p <= 1 && o.min_p >= 0 && o.min_p <= 1;
}

const sampled_token& take_front(std::span<const sampled_token>& tokens) {
  const auto& first = tokens.front();
  tokens = tokens.subspan(1);
  return first;
}

void take_likeliest(std::span<const sampled_token>& tokens, std::size_t count,
                    std::vector<token_chance>& into) {
  for (; count > 0; --count) {
    const auto& [id, logprob] = take_front(tokens);
    into.push_back({id, logprob});
  }
}

bool older(const std::unique_ptr<sequence>& a, const std::unique_ptr<sequence>& b) {
  return std::pair{a->family_age, a->id} < std::pair{b->family_age, b->id};
}

} // namespace

scheduler::scheduler(const scheduler_options& options, std::int32_t num_blocks,
                     const model_config& model, std::shared_ptr<const tokenizer> vocabulary,
                     std::uint32_t epoch)
    : options_(options),
      max_batch_(options.max_batch),
      prefill_tokens_(options.prefill_tokens),
      vocabulary_(std::move(vocabulary)),
      vocab_size_(static_cast<std::int32_t>(model.vocab_size)),
      eos_id_(model.eos_id),
      context_(static_cast<std::size_t>(std::min(
          model.max_positions, std::int64_t{num_blocks} * std::int64_t{options.block_size}))),
      epochs_(epoch),
      cache_(num_blocks, options.block_size) {
  cache_.renew(epoch);
  if (options.max_batch < 1 || options.prefill_tokens < 1)
    throw std::invalid_argument("a step needs room for at least one sequence and one prompt token");
}

// ---- coming and going ----

errc scheduler::judge(const decode_request& request) const {
  const auto known = [this](std::int32_t id) { return id >= 0 && id < vocab_size_; };
  if (request.ids.empty() || !std::ranges::all_of(request.ids, known)) return errc::bad_request;
  if (!std::ranges::all_of(request.ban, known) || !sensible(request.sampling))
    return errc::bad_request;
  if (std::ranges::any_of(request.stop, &std::string::empty)) return errc::bad_request;
  if (request.likeliest > max_likeliest) return errc::bad_request;
  const std::unordered_set<std::int32_t> banned(request.ban.begin(), request.ban.end());
  if (banned.size() == static_cast<std::size_t>(vocab_size_)) return errc::bad_request;
  if (request.ids.size() >= context_) return errc::context_full;
  if (request.weights_epoch && !epochs_.pin(*request.weights_epoch)) return errc::no_weights;
  return queue_.size() < options_.max_queue ? errc::none : errc::pool_full;
}

errc scheduler::submit(std::uint64_t id, decode_request request) {
  if (const auto refused = judge(request); refused != errc::none) {
    ++counts_.failed;
    return refused;
  }
  auto& family = family_of(request.family);
  ++family.live;
  auto s = std::make_unique<sequence>();
  s->id = id;
  s->family_age = family.age;
  s->thread_key = thread_key(request.thread);
  s->reply.prompt_tokens = static_cast<std::uint32_t>(request.ids.size());
  if (request.weights_epoch) s->pin = epochs_.pin(*request.weights_epoch);
  s->request = std::move(request);
  auto& likeliest = s->request.likeliest;
  likeliest = std::min(likeliest, static_cast<std::uint32_t>(vocab_size_));
  queue_.emplace(rank_of(*s), std::move(s));
  return errc::none;
}

scheduler::family& scheduler::family_of(std::uint64_t number) {
  if (families_.size() >= forget_at_ && !families_.contains(number)) forget_families();
  const auto [place, is_new] = families_.try_emplace(number);
  if (is_new) place->second.age = num_families_++;
  return place->second;
}

void scheduler::forget_families() {
  std::erase_if(families_, [this](const auto& entry) {
    return entry.second.live == 0 && !cache_.leases().has(entry.second.age);
  });
  forget_at_ = std::max(forget_at_, 2 * families_.size());
}

std::vector<ended_sequence> scheduler::cancel(std::uint64_t number, const std::string& path,
                                              bool will_return) {
  std::vector<ended_sequence> ended;
  const auto known = families_.find(number);
  if (known == families_.end()) return ended;
  auto& family = known->second;
  const auto end = [&](sequence& s) {
    if (s.family_age != family.age || !covers(path, s.request.thread)) return false;
    will_return ? cache_.retire(s) : cache_.discard(s);
    running_by_id_.erase(s.id);
    s.reply.finish = finish_reason::cancelled;
    ended.push_back({s.id, std::move(s.reply)});
    return true;
  };
  std::erase_if(running_, [&](owned& s) { return end(*s); });
  for (bool ordinary : {false, true}) {
    auto next = queue_.lower_bound({ordinary, family.age, 0});
    const auto last = queue_.lower_bound({ordinary, family.age + 1, 0});
    while (next != last) next = end(*next->second) ? queue_.erase(next) : std::next(next);
  }
  cache_.release(family.age, path);
  family.live -= ended.size();
  counts_.cancelled += ended.size();
  return ended;
}

void scheduler::release(std::uint64_t number, const std::string& path) {
  if (const auto known = families_.find(number); known != families_.end())
    cache_.release(known->second.age, path);
}

void scheduler::renew(std::uint32_t epoch) {
  epochs_.add(epoch);
  cache_.renew(epoch);
}

const decode_reply* scheduler::sampled(std::uint64_t id) const {
  const auto found = running_by_id_.find(id);
  return found == running_by_id_.end() ? nullptr : &found->second->reply;
}

sequence_status scheduler::look(std::uint64_t number, const std::string& path) const {
  const auto known = families_.find(number);
  if (known == families_.end()) return {};
  const auto age = known->second.age;
  for (const auto& s : running_)
    if (s->family_age == age && s->request.thread == path)
      return {s->held.blocks.size(), false, s->reply.prompt_tokens, s->reply.ids};
  const auto leased = cache_.leases().num_blocks(age, path);
  return {leased, leased > 0, 0, {}};
}

// ---- a step ----

std::span<const lane> scheduler::next() {
  lanes_.clear();
  admitted_.clear();
  auto prefill_left = prefill_tokens_;
  const auto num_preempted = counts_.preempted;
  for (std::size_t i = 0; i < running_.size(); ++i)
    if (find_room(i)) add_lane(*running_[i], prefill_left);
  if (counts_.preempted == num_preempted) admit_waiting(prefill_left);
  if (!std::ranges::is_sorted(lanes_, {}, &lane::epoch))
    std::ranges::stable_sort(lanes_, {}, &lane::epoch);
  for (auto& lane : lanes_) counts_.computed_tokens += lane.num_tokens;
  counts_.steps += !lanes_.empty();
  return lanes_;
}

/// Whoever is preempted for the sequence at `position` is younger, so has no lane yet; the last one
/// is preempted itself.
bool scheduler::find_room(std::size_t position) {
  while (position < running_.size()) {
    if (cache_.grow(*running_[position])) return true;
    preempt_youngest();
  }
  return false;
}

void scheduler::preempt_youngest() {
  auto s = std::move(running_.back());
  running_.pop_back();
  running_by_id_.erase(s->id);
  cache_.retire(*s);
  queue_.emplace(rank_of(*s), std::move(s));
  ++counts_.preempted;
}

void scheduler::admit_waiting(std::size_t prefill_left) {
  while (!queue_.empty() && running_.size() < max_batch_ && prefill_left > 0) {
    const auto first = queue_.begin();
    auto& s = *first->second;
    // A block for each that runs is left, so that the new one is not preempted right away.
    if (!cache_.admit(s, running_.size())) return;
    if (!std::exchange(s.admitted, true)) {
      admitted_.push_back(s.id);
      s.reply.cached_tokens = static_cast<std::uint32_t>(s.held.computed);
      counts_.prompt_tokens += s.reply.prompt_tokens;
      counts_.cached_tokens += s.held.computed;
    }
    add_lane(s, prefill_left);
    running_by_id_.emplace(s.id, &s);
    const auto place = std::ranges::upper_bound(running_, first->second, older);
    running_.insert(place, std::move(first->second));
    queue_.erase(first);
  }
}

void scheduler::add_lane(sequence& s, std::size_t& prefill_left) {
  const auto pending = s.num_pending();
  const auto epoch = cache_.epoch_of(s);
  if (pending == 1) {
    lanes_.push_back({&s, 1, true, epoch});
  } else if (prefill_left > 0) {
    const auto count = std::min(pending, prefill_left);
    prefill_left -= count;
    lanes_.push_back({&s, static_cast<std::uint32_t>(count), count == pending, epoch});
    score(lanes_.back());
  }
}

void scheduler::score(lane& lane) const {
  const auto& s = *lane.who;
  if (!s.request.scores_prompt) return;
  const auto begin = s.held.computed;
  const auto end = std::min(begin + lane.num_tokens, s.prompt_size() - 1);
  lane.first_scored = std::max(begin, s.reply.prompt_logprobs.size());
  lane.num_scored = end - std::min(lane.first_scored, end);
}

std::vector<ended_sequence> scheduler::accept(std::span<const sampled_token> tokens) {
  std::vector<ended_sequence> ended;
  for (auto& lane : lanes_) {
    const auto& request = lane.who->request;
    auto& reply = lane.who->reply;
    if (lane.who->failure != errc::none) {
      fail(*lane.who);
      ended.push_back({lane.who->id, std::move(reply), lane.who->failure, lane.epoch});
      continue;
    }
    cache_.advance(*lane.who, lane.num_tokens);
    for (std::size_t i = 0; i < lane.num_scored; ++i) {
      reply.prompt_logprobs.push_back(take_front(tokens).logprob);
      take_likeliest(tokens, request.likeliest, reply.prompt_likeliest);
    }
    if (!lane.samples) continue;
    const auto end = append(*lane.who, take_front(tokens), lane.epoch);
    take_likeliest(tokens, request.likeliest, reply.likeliest);
    if (!end) continue;
    reply.finish = *end;
    finish(*lane.who);
    ended.push_back({lane.who->id, std::move(reply)});
  }
  assert(tokens.empty());
  for (const auto& one : ended) running_by_id_.erase(one.id);
  if (!ended.empty()) std::erase_if(running_, [](const owned& s) { return s->ended; });
  lanes_.clear();
  advance_limits();
  return ended;
}

std::vector<std::uint32_t> scheduler::forget_epochs(std::size_t keep) {
  auto gone = epochs_.forget(keep);
  cache_.forget_before(epochs_.oldest());
  return gone;
}

bool scheduler::retreat() {
  const auto sequences = lanes_.size();
  std::size_t prompt_tokens = 0;
  for (const auto& lane : lanes_) {
    prompt_tokens += lane.num_tokens > 1 ? lane.num_tokens : 0;
    lane.who->failure = errc::none; // the next step finds it again, or has no need to
  }
  lanes_.clear();
  retreated_at_ = counts_.steps;
  if (sequences <= 1 && prompt_tokens <= 1) return false;
  if (prompt_tokens > sequences)
    prefill_tokens_ = prompt_tokens / 2;
  else
    max_batch_ = sequences / 2;
  while (running_.size() > max_batch_) preempt_youngest();
  return true;
}

void scheduler::advance_limits() {
  constexpr std::uint64_t many_steps = 256;
  if (counts_.steps < retreated_at_ + many_steps) return;
  retreated_at_ = counts_.steps;
  max_batch_ = std::min(2 * max_batch_, options_.max_batch);
  prefill_tokens_ = std::min(2 * prefill_tokens_, options_.prefill_tokens);
}

std::optional<finish_reason> scheduler::append(sequence& s, const sampled_token& token,
                                               std::uint32_t epoch) {
  s.request.ids.push_back(token.id);
  s.reply.ids.push_back(token.id);
  s.reply.logprobs.push_back(token.logprob);
  s.reply.epochs.push_back(epoch);
  ++counts_.generated_tokens;
  if (s.request.meter) s.request.meter->fetch_add(1, std::memory_order_relaxed);
  return ending(s, token.id);
}

std::optional<finish_reason> scheduler::ending(sequence& s, std::int32_t token) {
  if (token == eos_id_) return finish_reason::eos;
  if (!s.request.stop.empty()) {
    if (const auto stop = find_stop(s.tail, vocabulary_->piece(token), s.request.stop)) {
      s.reply.matched_stop = s.request.stop[*stop];
      return finish_reason::stop;
    }
  }
  if (s.reply.ids.size() == s.request.max_tokens) return finish_reason::length;
  if (s.request.ids.size() >= context_) return finish_reason::context;
  return {};
}

void scheduler::finish(sequence& s) {
  s.request.keep_lease ? cache_.keep(s) : cache_.retire(s);
  --families_.find(s.request.family)->second.live;
  ++counts_.finished;
  s.ended = true;
}

/// What it computed may be no good: nobody shall find it.
void scheduler::fail(sequence& s) {
  cache_.discard(s);
  --families_.find(s.request.family)->second.live;
  ++counts_.failed;
  s.ended = true;
}

std::optional<std::string> scheduler::check() const {
  std::vector<std::uint32_t> held(static_cast<std::size_t>(cache_.blocks().num_blocks()));
  const auto count = [&held](const owned& s) {
    for (auto& block : s->held.blocks) ++held[static_cast<std::size_t>(block.index())];
  };
  std::ranges::for_each(running_, count);
  for (auto& [rank, s] : queue_) count(s);
  return cache_.check(std::move(held));
}

} // namespace banyan
