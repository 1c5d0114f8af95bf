#include "model/sampler.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <vector>

namespace banyan {

namespace {

constexpr auto minus_infinity = -std::numeric_limits<float>::infinity();

/// A token that may still be drawn; `weight` is its probability up to a common factor.
struct candidate {
  std::int32_t id;
  float logit, weight;
};

/// Kept between calls, so that sampling allocates nothing.
struct scratch {
  std::vector<float> weights;        // [vocab] probabilities up to a common factor
  std::vector<float> allowed;        // [vocab] logits, banned ones at -infinity
  std::vector<candidate> candidates; // those left, in the order in which they are drawn
};

scratch& local_scratch() {
  thread_local scratch s;
  return s;
}

/// The largest of numbers that may include -infinity. NaN and +infinity throw.
float checked_max(std::span<const float> logits) {
  auto largest = minus_infinity;
  bool sound = true;
  for (auto x : logits) {
    sound &= x < std::numeric_limits<float>::infinity(); // false for NaN too
    largest = std::max(largest, x);
  }
  if (!sound) throw std::domain_error("a logit is not a number; the weights may be damaged");
  return largest;
}

/// exp((x - largest) / temperature) of each, which is 1 for the likeliest; valid until the next
/// call.
std::span<const float> weigh(std::span<const float> logits, float largest, float temperature) {
  auto& weights = local_scratch().weights;
  weights.resize(logits.size());
  std::ranges::transform(logits, weights.begin(),
                         [=](float x) { return std::exp((x - largest) / temperature); });
  return weights;
}

double total(std::span<const float> weights) {
  return std::accumulate(weights.begin(), weights.end(), 0.0);
}

std::span<const float> without(std::span<const std::int32_t> banned,
                               std::span<const float> logits) {
  if (banned.empty()) return logits;
  auto& allowed = local_scratch().allowed;
  allowed.assign(logits.begin(), logits.end());
  for (auto id : banned)
    if (id >= 0 && static_cast<std::size_t>(id) < allowed.size())
      allowed[static_cast<std::size_t>(id)] = minus_infinity;
  return allowed;
}

[[noreturn]] void refuse() {
  throw std::domain_error("no token can be sampled: every one is banned or impossible");
}

std::int32_t likeliest(std::span<const float> allowed) {
  auto best = std::max_element(allowed.begin(), allowed.end());
  if (best == allowed.end() || *best == minus_infinity) refuse();
  return static_cast<std::int32_t>(best - allowed.begin());
}

bool likelier(const candidate& a, const candidate& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

double total_weight(const std::vector<candidate>& candidates) {
  return std::accumulate(candidates.begin(), candidates.end(), 0.0,
                         [](double sum, const candidate& c) { return sum + c.weight; });
}

void keep_top_k(std::vector<candidate>& candidates, std::int32_t k) {
  if (k <= 0 || static_cast<std::size_t>(k) >= candidates.size()) return;
  std::nth_element(candidates.begin(), candidates.begin() + k - 1, candidates.end(), likelier);
  candidates.resize(static_cast<std::size_t>(k));
}

void keep_top_p(std::vector<candidate>& candidates, float p) {
  if (!(p < 1)) return;
  std::sort(candidates.begin(), candidates.end(), likelier);
  const auto enough = p * total_weight(candidates);
  double mass = 0;
  auto last = std::find_if(candidates.begin(), candidates.end(),
                           [&](const candidate& c) { return (mass += c.weight) >= enough; });
  if (last != candidates.end()) candidates.erase(last + 1, candidates.end());
}

/// The likeliest token has weight 1.
void keep_min_p(std::vector<candidate>& candidates, float p) {
  if (p > 0)
    std::erase_if(candidates, [=](const candidate& c) { return c.weight < std::min(p, 1.0f); });
}

std::int32_t draw(const std::vector<candidate>& candidates, double uniform) {
  auto left = uniform * total_weight(candidates);
  auto chosen = candidates.front().id;
  for (const auto& c : candidates) {
    if (c.weight == 0) continue; // rounding of `left` must not choose the impossible
    chosen = c.id;
    if ((left -= c.weight) < 0) break;
  }
  return chosen;
}

std::int32_t draw_from(std::span<const float> allowed, const sampler_options& options,
                       double uniform) {
  const auto largest = allowed[static_cast<std::size_t>(likeliest(allowed))];
  auto& candidates = local_scratch().candidates;
  candidates.clear();
  for (std::size_t i = 0; i < allowed.size(); ++i)
    if (allowed[i] > minus_infinity)
      candidates.push_back({static_cast<std::int32_t>(i), allowed[i],
                            std::exp((allowed[i] - largest) / options.temperature)});
  keep_top_k(candidates, options.top_k);
  keep_top_p(candidates, options.top_p);
  keep_min_p(candidates, options.min_p);
  return draw(candidates, uniform);
}

/// The same without candidates, where every token is one.
std::int32_t draw(std::span<const float> weights, double mass, double uniform) {
  auto left = uniform * mass;
  std::size_t chosen = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] == 0) continue;
    chosen = i;
    if ((left -= weights[i]) < 0) break;
  }
  return static_cast<std::int32_t>(chosen);
}

/// What logits become under a temperature: ln softmax(logits / temperature), greedy as 1.
class log_softmax {
public:
  log_softmax(std::span<const float> logits, float temperature)
      : logits_(logits),
        largest_(checked_max(logits)),
        temperature_(temperature > 0 ? temperature : 1.0F),
        weights_(weigh(logits, largest_, temperature_)),
        mass_(total(weights_)),
        log_mass_(std::log(mass_)) {}

  /// One of all tokens.
  std::int32_t draw(double uniform) const {
    if (largest_ == minus_infinity) refuse();
    return banyan::draw(weights_, mass_, uniform);
  }

  sampled_token of(std::int32_t id) const {
    // In double: below a banned favourite and at a tiny temperature this would overflow.
    const auto distance = (double(logits_[static_cast<std::size_t>(id)]) - largest_) / temperature_;
    return {id, static_cast<float>(
                    std::max(distance - log_mass_, double(std::numeric_limits<float>::lowest())))};
  }

private:
  std::span<const float> logits_;
  float largest_, temperature_;
  std::span<const float> weights_; // in the scratch: of the last one that was made
  double mass_, log_mass_;
};

constexpr std::uint32_t low(std::uint64_t x) { return static_cast<std::uint32_t>(x); }
constexpr std::uint32_t high(std::uint64_t x) { return static_cast<std::uint32_t>(x >> 32); }

} // namespace

sampled_token sample(std::span<const float> logits, const sampler_options& options,
                     std::uint64_t thread_key, std::uint64_t position,
                     std::span<const std::int32_t> banned) {
  const log_softmax chances(logits, options.temperature);
  if (options.temperature <= 0) return chances.of(likeliest(without(banned, logits)));
  const auto uniform = philox_uniform(options.seed, thread_key, position);
  const bool any = banned.empty() && options.top_k <= 0 && options.top_p >= 1 && options.min_p <= 0;
  return chances.of(any ? chances.draw(uniform)
                        : draw_from(without(banned, logits), options, uniform));
}

sampled_token score(std::span<const float> logits, float temperature, std::int32_t id) {
  return log_softmax(logits, temperature).of(id);
}

void append_likeliest(std::span<const float> logits, float temperature, std::size_t count,
                      std::vector<sampled_token>& out) {
  const log_softmax chances(logits, temperature);
  auto& candidates = local_scratch().candidates;
  candidates.clear();
  for (std::size_t i = 0; i < logits.size(); ++i)
    candidates.push_back({static_cast<std::int32_t>(i), logits[i], 0});
  count = std::min(count, candidates.size());
  const auto last = candidates.begin() + static_cast<std::ptrdiff_t>(count);
  std::partial_sort(candidates.begin(), last, candidates.end(), likelier);
  for (auto one = candidates.begin(); one != last; ++one) out.push_back(chances.of(one->id));
}

std::uint64_t thread_key(std::string_view path) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (auto c : path) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                        std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const auto a = std::uint64_t{0xD2511F53} * counter[0];
    const auto b = std::uint64_t{0xCD9E8D57} * counter[2];
    counter = {high(b) ^ counter[1] ^ key[0], low(b), high(a) ^ counter[3] ^ key[1], low(a)};
    key = {key[0] + 0x9E3779B9, key[1] + 0xBB67AE85};
  }
  return counter;
}

double philox_uniform(std::uint64_t seed, std::uint64_t thread_key, std::uint64_t position) {
  const auto block = philox4x32({low(thread_key), high(thread_key), low(position), high(position)},
                                {low(seed), high(seed)});
  return double((std::uint64_t{block[0]} << 32 | block[1]) >> 11) * 0x1p-53;
}

} // namespace banyan
