#include "solver/records.hpp"

#include "solver/records.pb.h"

#include <limits>
#include <type_traits>
#include <utility>

namespace banyan {

namespace {

// ---- enumerations

static_assert(static_cast<int>(errc::bad_request) == records::FAILURE_BAD_REQUEST
              && records::Failure_MAX == records::FAILURE_BAD_REQUEST);
static_assert(static_cast<int>(segment_kind::joined) + 1 == records::SEGMENT_KIND_JOINED
              && records::SegmentKind_MAX == records::SEGMENT_KIND_JOINED);
static_assert(static_cast<int>(thread_phase::cancelled) + 1 == records::THREAD_PHASE_CANCELLED
              && records::ThreadPhase_MAX == records::THREAD_PHASE_CANCELLED);
static_assert(static_cast<int>(tree_phase::cancelled) + 1 == records::TREE_PHASE_CANCELLED
              && records::TreePhase_MAX == records::TREE_PHASE_CANCELLED);

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

// ---- writing

template <class Values, class Field>
void store_all(const Values& values, Field& field) {
  field.Reserve(static_cast<int>(values.size()));
  for (const auto& value : values) *field.Add() = value;
}

void store(const segment& s, records::Segment& to) {
  to.set_kind(stored(s.kind));
  to.set_text(s.text);
  store_all(s.ids, *to.mutable_ids());
  store_all(s.logprobs, *to.mutable_logprobs());
  store_all(s.epochs, *to.mutable_epochs());
}

void store(const thread_record& t, records::Thread& to) {
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
  for (const auto& s : t.segments) store(s, *to.add_segments());
  if (t.solution) to.set_solution(*t.solution);
}

void store(const outcome& o, records::Outcome& to) {
  to.set_solved(o.solved);
  to.set_claimed(o.claimed);
  store_all(o.operations, *to.mutable_operations());
  to.set_solution(o.solution);
}

void store(const tree& t, records::Tree& to) {
  to.set_id(t.id);
  to.set_task(t.task);
  store_all(t.problem.numbers, *to.mutable_problem()->mutable_numbers());
  to.mutable_problem()->set_target(t.problem.target);
  to.set_prompt(t.prompt);
  for (const auto& [name, value] : t.labels) {
    auto& label = *to.add_labels();
    label.set_name(name);
    label.set_value(value);
  }
  to.set_phase(stored(t.phase));
  to.set_failure(stored(t.failure));
  store(t.outcome, *to.mutable_outcome());
  to.set_created_ms(t.created_ms);
  to.set_finished_ms(t.finished_ms);
  to.set_weights_epoch(t.weights_epoch);
  to.set_seed(t.seed);
  to.set_wall_ms(t.wall_ms);
  for (const auto& thread : t.threads) store(thread, *to.add_threads());
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
  t.phase = restored<thread_phase>(from.phase(), records::THREAD_PHASE_QUEUED,
                                   records::ThreadPhase_MAX, "the phase of a thread");
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

tree restore(const records::Tree& from) {
  tree t;
  t.id = from.id();
  t.task = from.task();
  restore_all(from.problem().numbers(), t.problem.numbers);
  t.problem.target = from.problem().target();
  t.prompt = from.prompt();
  for (const auto& label : from.labels()) t.labels.insert_or_assign(label.name(), label.value());
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

} // namespace

std::string encode_tree(const tree& t) {
  records::Tree message;
  store(t, message);
  if (message.ByteSizeLong() > max_record_bytes)
    throw bad_record("tree '" + t.id + "' needs " + std::to_string(message.ByteSizeLong())
                     + " bytes; a record has at most " + std::to_string(max_record_bytes));
  return message.SerializeAsString();
}

tree decode_tree(std::string_view bytes) {
  records::Tree message;
  if (bytes.size() > max_record_bytes
      || !message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    throw bad_record("not a tree");
  return restore(message);
}

} // namespace banyan
