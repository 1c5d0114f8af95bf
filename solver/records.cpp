#include "solver/records.hpp"

#include "solver/fnv.hpp"
#include "solver/records.pb.h"

#include <limits>
#include <type_traits>
#include <utility>

namespace banyan {

namespace {

// ---- enumerations

static_assert(static_cast<int>(errc::no_weights) == records::FAILURE_NO_WEIGHTS
              && records::Failure_MAX == records::FAILURE_NO_WEIGHTS);
static_assert(static_cast<int>(segment_kind::joined) + 1 == records::SEGMENT_KIND_JOINED
              && records::SegmentKind_MAX == records::SEGMENT_KIND_JOINED);
static_assert(static_cast<int>(thread_phase::cancelled) + 1 == records::THREAD_PHASE_CANCELLED
              && records::ThreadPhase_MAX == records::THREAD_PHASE_CANCELLED);
static_assert(static_cast<int>(tree_phase::cancelled) + 1 == records::TREE_PHASE_CANCELLED
              && records::TreePhase_MAX == records::TREE_PHASE_CANCELLED);
static_assert(static_cast<int>(join_policy::kind::deadline) + 1 == records::JOIN_KIND_DEADLINE
              && records::JoinKind_MAX == records::JOIN_KIND_DEADLINE);

records::Failure stored(errc e) { return static_cast<records::Failure>(e); }

records::SegmentKind stored(segment_kind k) {
  return static_cast<records::SegmentKind>(static_cast<int>(k) + 1);
}

records::ThreadPhase stored(thread_phase p) {
  return static_cast<records::ThreadPhase>(static_cast<int>(p) + 1);
}

records::TreePhase stored(tree_phase p) {
  return static_cast<records::TreePhase>(static_cast<int>(p) + 1);
}

records::JoinKind stored(join_policy::kind k) {
  return static_cast<records::JoinKind>(static_cast<int>(k) + 1);
}

/// The reverse, for values that another program may have written: `first` is stored for the
/// enumerator 0.
template <class Ours, class Stored>
Ours restored(Stored value, Stored first, Stored last, const char* what) {
  if (value < first || value > last)
    throw bad_record(std::string(what) + " has the unknown value "
                     + std::to_string(static_cast<int>(value)));
  return static_cast<Ours>(value - first);
}

errc restored(records::Failure f) {
  return restored<errc>(f, records::FAILURE_NONE, records::Failure_MAX, "a failure");
}

thread_phase restored(records::ThreadPhase p) {
  return restored<thread_phase>(p, records::THREAD_PHASE_QUEUED, records::ThreadPhase_MAX,
                                "the phase of a thread");
}

// ---- writing

template <class Values, class Field>
void store_all(const Values& values, Field& field) {
  field.Add(values.begin(), values.end());
}

void store(const segment& s, records::Segment& to) {
  to.set_kind(stored(s.kind));
  to.set_text(s.text);
  store_all(s.ids, *to.mutable_ids());
  store_all(s.logprobs, *to.mutable_logprobs());
  store_all(s.epochs, *to.mutable_epochs());
}

void store_figures(const thread_record& t, records::Thread& to) {
  to.set_path(t.path);
  to.set_phase(stored(t.phase));
  to.set_failure(stored(t.failure));
  to.set_depth(t.depth);
  to.set_round(t.round);
  to.set_rounds(t.rounds);
  to.set_awaited(t.awaited);
  to.set_since_ms(t.since_ms);
  store_all(t.waiting_for, *to.mutable_waiting_for());
  to.set_pool(t.pool);
  to.set_node(t.node);
  to.set_prompt_tokens(t.prompt_tokens);
  to.set_cached_tokens(t.cached_tokens);
  for (const auto& mark : t.history) {
    auto& out = *to.add_history();
    out.set_phase(stored(mark.phase));
    out.set_at_ms(mark.at_ms);
  }
}

void store(const thread_record& t, records::Thread& to) {
  store_figures(t, to);
  for (const auto& s : t.segments) store(s, *to.add_segments());
  if (t.solution) to.set_solution(*t.solution);
}

void store(const outcome& o, records::Outcome& to) {
  to.set_solved(o.solved);
  to.set_claimed(o.claimed);
  store_all(o.operations, *to.mutable_operations());
  to.set_solution(o.solution);
}

void store(const problem& p, records::Problem& to) {
  store_all(p.numbers, *to.mutable_numbers());
  to.set_target(p.target);
}

template <class Field>
void store(const std::map<std::string, std::string>& labels, Field& to) {
  for (const auto& [name, value] : labels) {
    auto& label = *to.Add();
    label.set_name(name);
    label.set_value(value);
  }
}

void store_figures(const tree& t, records::Tree& to) {
  to.set_id(t.id);
  to.set_task(t.task);
  store(t.problem, *to.mutable_problem());
  to.set_prompt(t.prompt);
  store(t.labels, *to.mutable_labels());
  to.set_phase(stored(t.phase));
  to.set_failure(stored(t.failure));
  store(t.outcome, *to.mutable_outcome());
  to.set_created_ms(t.created_ms);
  to.set_finished_ms(t.finished_ms);
  to.set_weights_epoch(t.weights_epoch);
  to.set_seed(t.seed);
  to.set_wall_ms(t.wall_ms);
}

void store(const tree& t, records::Tree& to) {
  store_figures(t, to);
  for (const auto& thread : t.threads) store(thread, *to.add_threads());
}

void store(const sampling_options& s, records::Sampling& to) {
  to.set_temperature(s.temperature);
  to.set_top_k(s.top_k);
  to.set_top_p(s.top_p);
  to.set_min_p(s.min_p);
  to.set_seed(s.seed);
}

void store(const join_policy& j, records::Join& to) {
  to.set_when(stored(j.when));
  to.set_k(j.k);
  to.set_seconds(j.seconds);
}

void store(const budget& b, records::Budget& to) {
  to.set_max_depth(b.max_depth);
  to.set_max_threads(b.max_threads);
  to.set_max_tokens(b.max_tokens);
  to.set_max_context(b.max_context);
  to.set_max_tree_tokens(b.max_tree_tokens);
  to.set_max_rounds(b.max_rounds);
  to.set_deadline_s(b.deadline_s);
}

void store(const solve_request& r, records::Request& to) {
  to.set_id(r.id);
  to.set_task(r.task);
  store(r.problem, *to.mutable_problem());
  to.set_prompt(r.prompt);
  store(r.sampling, *to.mutable_sampling());
  store(r.join, *to.mutable_join());
  store(r.budget, *to.mutable_budget());
  store(r.labels, *to.mutable_labels());
  if (r.weights_epoch) to.set_weights_epoch(*r.weights_epoch);
}

// The last field of every message: neither a database nor a file notices a bit that has turned.

constexpr std::string_view checksum_tag = "\x81\xd0\xac\xf3\x0e"; // field 500,000,000, 64 bits
constexpr std::size_t checksum_size = checksum_tag.size() + sizeof(std::uint64_t);

/// The field: FNV-1a of all bytes before it, lowest byte first.
std::string checksum_of(std::string_view bytes) {
  std::string field(checksum_tag);
  for (auto [hash, i] = std::pair(fnv1a(bytes), 0); i < 8; ++i, hash >>= 8)
    field += static_cast<char>(hash & 0xff);
  return field;
}

/// `what` for people, e.g. "tree '01J9'".
template <class Message>
std::string bytes_of(const Message& message, const std::string& what) {
  if (message.ByteSizeLong() + checksum_size > max_record_bytes)
    throw bad_record(what + " needs " + std::to_string(message.ByteSizeLong() + checksum_size)
                     + " bytes; a record has at most " + std::to_string(max_record_bytes));
  auto bytes = message.SerializeAsString();
  return bytes += checksum_of(bytes);
}

// ---- reading

template <class Values, class Field>
void restore_all(const Field& field, Values& values) {
  values.assign(field.begin(), field.end());
}

segment restore(const records::Segment& from) {
  segment s;
  s.kind = restored<segment_kind>(from.kind(), records::SEGMENT_KIND_PROMPT,
                                  records::SegmentKind_MAX, "the kind of a segment");
  s.text = from.text();
  restore_all(from.ids(), s.ids);
  restore_all(from.logprobs(), s.logprobs);
  restore_all(from.epochs(), s.epochs);
  return s;
}

thread_record restore(const records::Thread& from) {
  thread_record t;
  t.path = from.path();
  t.phase = restored(from.phase());
  t.failure = restored(from.failure());
  t.depth = from.depth();
  t.round = from.round();
  t.rounds = from.rounds();
  t.awaited = from.awaited();
  t.since_ms = from.since_ms();
  restore_all(from.waiting_for(), t.waiting_for);
  t.pool = from.pool();
  t.node = from.node();
  t.prompt_tokens = from.prompt_tokens();
  t.cached_tokens = from.cached_tokens();
  for (const auto& s : from.segments()) t.segments.push_back(restore(s));
  if (from.has_solution()) t.solution = from.solution();
  for (const auto& mark : from.history())
    t.history.push_back({restored(mark.phase()), mark.at_ms()});
  return t;
}

outcome restore(const records::Outcome& from) {
  outcome o;
  o.solved = from.solved();
  o.claimed = from.claimed();
  restore_all(from.operations(), o.operations);
  o.solution = from.solution();
  return o;
}

problem restore(const records::Problem& from) {
  problem p;
  restore_all(from.numbers(), p.numbers);
  p.target = from.target();
  return p;
}

template <class Field>
std::map<std::string, std::string> restore_labels(const Field& from) {
  std::map<std::string, std::string> labels;
  for (const auto& label : from) labels.insert_or_assign(label.name(), label.value());
  return labels;
}

tree restore(const records::Tree& from) {
  tree t;
  t.id = from.id();
  t.task = from.task();
  t.problem = restore(from.problem());
  t.prompt = from.prompt();
  t.labels = restore_labels(from.labels());
  t.phase = restored<tree_phase>(from.phase(), records::TREE_PHASE_QUEUED, records::TreePhase_MAX,
                                 "the phase of the tree");
  t.failure = restored(from.failure());
  t.outcome = restore(from.outcome());
  t.created_ms = from.created_ms();
  t.finished_ms = from.finished_ms();
  t.weights_epoch = from.weights_epoch();
  t.seed = from.seed();
  t.wall_ms = from.wall_ms();
  for (const auto& thread : from.threads()) t.threads.push_back(restore(thread));
  return t;
}

sampling_options restore(const records::Sampling& from) {
  return {from.temperature(), from.top_k(), from.top_p(), from.min_p(), from.seed()};
}

join_policy restore(const records::Join& from) {
  return {restored<join_policy::kind>(from.when(), records::JOIN_KIND_ALL, records::JoinKind_MAX,
                                      "the join policy"),
          from.k(), from.seconds()};
}

budget restore(const records::Budget& from) {
  return {from.max_depth(),       from.max_threads(), from.max_tokens(), from.max_context(),
          from.max_tree_tokens(), from.max_rounds(),  from.deadline_s()};
}

solve_request restore(const records::Request& from) {
  return {from.id(),
          from.task(),
          restore(from.problem()),
          from.prompt(),
          restore(from.sampling()),
          restore(from.join()),
          restore(from.budget()),
          restore_labels(from.labels()),
          from.has_weights_epoch() ? std::optional(from.weights_epoch()) : std::nullopt};
}

/// Records of earlier versions have no checksum.
void require_unchanged(std::string_view bytes, const char* what) {
  constexpr auto size = checksum_size;
  if (bytes.size() < size) return;
  const auto body = bytes.substr(0, bytes.size() - size), end = bytes.substr(body.size());
  if (end.starts_with(checksum_tag) && end != checksum_of(body))
    throw bad_record(std::string("not ") + what + " as it was written: its checksum differs");
}

/// `what` for people, e.g. "a tree".
template <class Message>
auto parsed(std::string_view bytes, const char* what) {
  require_unchanged(bytes, what);
  Message message;
  if (bytes.size() > max_record_bytes
      || !message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    throw bad_record(std::string("not ") + what);
  return restore(message);
}

} // namespace

std::string encode_tree(const tree& t) {
  records::Tree message;
  store(t, message);
  return bytes_of(message, "tree '" + t.id + "'");
}

tree decode_tree(std::string_view bytes) { return parsed<records::Tree>(bytes, "a tree"); }

std::string encode_solve_request(const solve_request& r) {
  records::Request message;
  store(r, message);
  return bytes_of(message, "the request of tree '" + r.id + "'");
}

solve_request decode_solve_request(std::string_view bytes) {
  return parsed<records::Request>(bytes, "a request");
}

std::string encode_thread(const thread_record& t) {
  records::Thread message;
  store(t, message);
  return bytes_of(message, "thread '" + t.path + "'");
}

thread_record decode_thread(std::string_view bytes) {
  return parsed<records::Thread>(bytes, "a thread");
}

} // namespace banyan
