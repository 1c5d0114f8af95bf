#include "model/sampler.hpp"

#include "model/lanes.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <vector>

namespace banyan {

namespace {

constexpr auto infinity = std::numeric_limits<float>::infinity(), minus_infinity = -infinity;

/// Of the likeliest token's weight. What is left after bans is drawn from if it weighs more: then
/// weights that were too small for a float matter less than a uniform number can tell.
constexpr double least_mass = 1e-20;

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

/// What logits, which may include -infinity, are under a temperature.
struct weighed_row {
  std::span<float> weights; // exp((x - largest) / temperature): 1 for the likeliest; in the scratch
  float largest = minus_infinity;
  bool sound = true; // none is NaN or +infinity
};

struct weigh_kernel {
  /// The last vector of a row overlaps the one before, so there are no remainders.
  template <int W>
  BANYAN_INLINE static void run(std::span<const float> logits, float temperature,
                                weighed_row* row) {
    constexpr int narrower = W > 4 ? W / 2 : 1;
    const auto size = static_cast<std::int64_t>(logits.size());
    if constexpr (W > 1)
      if (size < W) return run<narrower>(logits, temperature, row);
    auto top = lanes<W>{} + minus_infinity;
    auto sound = top < infinity;
    for (std::int64_t i = 0; i < size; i += W) {
      const auto x = load<W>(logits.data() + std::min(i, size - W));
      sound &= x < infinity; // false for NaN too
      top = x > top ? x : top;
    }
    row->largest = banyan::largest<W>(top);
    for (int i = 0; i < W; ++i) row->sound &= sound[i] != 0;
    for (std::int64_t i = 0; i < size; i += W) {
      const auto at = std::min(i, size - W);
      const auto x = (load<W>(logits.data() + at) - row->largest) / temperature;
      const auto weight = exponential<W>(x);
      store<W>(row->weights.data() + at, x < -87.0f ? lanes<W>{} : weight);
    }
  }
};

/// NaN and +infinity throw. Valid until the next call.
weighed_row weigh(std::span<const float> logits, float temperature) {
  auto& weights = local_scratch().weights;
  weights.resize(logits.size());
  weighed_row row{weights};
  run_widest<weigh_kernel>(logits, temperature, &row);
  if (!row.sound) throw std::domain_error("a logit is not a number; the weights may be damaged");
  return row;
}

/// In one order on every machine, whatever the width of its vectors.
double total(std::span<const float> weights) {
  double sums[8] = {}; // for the latency of additions
  std::size_t i = 0;
  for (; i + std::size(sums) <= weights.size(); i += std::size(sums))
    for (std::size_t j = 0; j < std::size(sums); ++j) sums[j] += weights[i + j];
  for (; i < weights.size(); ++i) sums[0] += weights[i];
  return std::accumulate(std::begin(sums), std::end(sums), 0.0);
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
  likeliest(allowed); // refuses where there is none
  const auto weights = weigh(allowed, options.temperature).weights;
  auto& candidates = local_scratch().candidates;
  candidates.clear();
  for (std::size_t i = 0; i < allowed.size(); ++i)
    if (allowed[i] > minus_infinity)
      candidates.push_back({static_cast<std::int32_t>(i), allowed[i], weights[i]});
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
        temperature_(temperature > 0 ? temperature : 1.0F),
        row_(weigh(logits, temperature_)),
        mass_(total(row_.weights)),
        log_mass_(std::log(mass_)) {}

  /// One of all tokens but the banned ones, whose weights are lost. Nothing where the others are so
  /// unlikely, or impossible, that their weights say too little.
  std::optional<std::int32_t> draw(double uniform, std::span<const std::int32_t> banned) {
    for (auto id : banned)
      if (id >= 0 && static_cast<std::size_t>(id) < row_.weights.size())
        row_.weights[static_cast<std::size_t>(id)] = 0;
    const auto mass = banned.empty() ? mass_ : total(row_.weights);
    if (!(mass > least_mass)) return {};
    return banyan::draw(row_.weights, mass, uniform);
  }

  sampled_token of(std::int32_t id) const {
    // In double: below a banned favourite and at a tiny temperature this would overflow.
    const auto distance =
        (double(logits_[static_cast<std::size_t>(id)]) - row_.largest) / temperature_;
    return {id, static_cast<float>(
                    std::max(distance - log_mass_, double(std::numeric_limits<float>::lowest())))};
  }

private:
  std::span<const float> logits_;
  float temperature_;
  weighed_row row_; // its weights: of the last one that was made
  double mass_, log_mass_;
};

constexpr std::uint32_t low(std::uint64_t x) { return static_cast<std::uint32_t>(x); }
constexpr std::uint32_t high(std::uint64_t x) { return static_cast<std::uint32_t>(x >> 32); }

} // namespace

sampled_token sample(std::span<const float> logits, const sampler_options& options,
                     std::uint64_t thread_key, std::uint64_t position,
                     std::span<const std::int32_t> banned) {
  log_softmax chances(logits, options.temperature);
  if (options.temperature <= 0) return chances.of(likeliest(without(banned, logits)));
  const auto uniform = philox_uniform(options.seed, thread_key, position);
  const bool any = options.top_k <= 0 && options.top_p >= 1 && options.min_p <= 0;
  const auto drawn = any ? chances.draw(uniform, banned) : std::nullopt;
  return chances.of(drawn ? *drawn : draw_from(without(banned, logits), options, uniform));
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
