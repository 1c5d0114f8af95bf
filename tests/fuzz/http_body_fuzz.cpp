// Whatever a client sends as a body or a query: it is refused with a reason, or what was read keeps
// what the rest of the daemon relies on.

#include "apps/serving/completion_body.hpp"
#include "apps/serving/http.hpp"
#include "apps/serving/tree_body.hpp"
#include "apps/serving/urls.hpp"
#include "solver/trace.hpp"

#include <cmath>
#include <cstdint>
#include <cstdlib>

namespace {

using namespace banyan;

void require(bool holds) {
  if (!holds) std::abort();
}

/// Reads, or sees that a refusal says what is wrong and can be told.
template <class Read>
void read_or_refuse(Read read) {
  try {
    read();
  } catch (const request_error& e) {
    require(e.why.why == refusal::kind::bad_request);
    require(e.why.message.find("; ") != std::string::npos);
    require(!error_response(e.why).body.empty());
  }
}

void check(const sampling_options& s) {
  require(std::isfinite(s.temperature) && s.temperature >= 0);
  require(s.top_k >= 0 && s.top_p > 0 && s.top_p <= 1 && s.min_p >= 0 && s.min_p <= 1);
}

void check(const tree_body& body) {
  const auto& r = body.request;
  require(!malformed(r.problem));
  require(parse_root_prompt(r.prompt) == r.problem);
  require(r.budget.max_threads >= 1 && r.budget.deadline_s >= 0);
  require(r.join.when != join_policy::kind::k_of_n || r.join.k >= 1);
  require(r.labels.size() <= 64);
  check(r.sampling);
}

void check(const completion_body& body) {
  require(!body.prompts.empty() && body.n >= 1 && body.n * body.prompts.size() <= 128);
  require(body.max_tokens >= 1 && body.stop.size() <= 16);
  for (const auto& stop : body.stop) require(!stop.empty());
  require(!body.logprobs || *body.logprobs == 0 || *body.logprobs == 1);
  check(body.sampling);
}

void read_query(std::string_view text) {
  url_query query(text);
  query.texts("label");
  query.flag("solved");
  query.number("limit", 1, 1000, 20);
  query.time_ms("created_after");
  query.end();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  read_or_refuse([&] { check(parse_tree_body(input)); });
  read_or_refuse([&] { check(parse_completion_body(input)); });
  read_or_refuse([&] { require(parse_action_body(input).starts_with('/')); });
  read_or_refuse([&] { read_query(input); });
  path_segments(input);
  return 0;
}
