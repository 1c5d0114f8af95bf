#include "apps/serving/refusals.hpp"

#include "actors/errors.hpp"
#include "apps/node_desk.hpp"
#include "apps/serving/http.hpp"

#include <utility>

#include <caf/error.hpp>
#include <caf/sec.hpp>

namespace banyan {

refusal refused(refusal::kind why, std::string message, std::string field) {
  return {why, std::move(message), std::move(field), 1};
}

namespace {

/// What an error of ours says, as actors write it: "field: what is wrong", and of ids and threads
/// "field: value: what is wrong", for it is the value that was given that a person knows.
struct complaint {
  std::string field, about, wrong;

  explicit complaint(const std::string& told) : wrong(told) {
    const auto first = told.find(": "), last = told.rfind(": ");
    if (first == told.npos) return;
    field = about = told.substr(0, first);
    wrong = told.substr(first + 2);
    if (last == first || (field != "id" && field != "thread")) return;
    about = told.substr(first + 2, last - first - 2); // whatever a client has put into it
    wrong = told.substr(last + 2);
  }
  /// With a remedy, if it has none.
  refusal as(refusal::kind why, const char* remedy) const {
    const auto whole = wrong.find("; ") == wrong.npos ? wrong + "; " + remedy : wrong;
    return about.empty() ? refused(why, whole) : refusal_about(why, about, whole, field);
  }
};

/// The text that came with an error of ours.
std::string told(const caf::error& why) {
  if (why.context().match_elements<std::string>()) return why.context().get_as<std::string>(0);
  return {};
}

} // namespace

refusal no_such_tree(const std::string& id) {
  return refusal_about(refusal::kind::not_found, id,
                       "there is no such tree; `banyan ps --all` lists them", "id");
}

refusal refusal_of(const caf::error& why) {
  using kind = refusal::kind;
  if (just_ended(why)) return refused(kind::unavailable, "it ended as it was asked; try again");
  if (why == caf::sec::request_timeout)
    return refused(kind::unavailable, "the daemon is too busy to answer; try again");
  const auto text = told(why);
  const complaint said(text);
  switch (errc_of(why, errc::none)) {
  case errc::bad_request: return said.as(kind::bad_request, "correct it");
  case errc::not_found:
    return said.as(kind::not_found, said.field == "thread" ? "`banyan tree ID` lists its threads"
                                                           : "`banyan ps` lists what runs");
  case errc::pool_full: return refused(kind::full, "queue: " + text + "; try again later");
  case errc::not_stored:
    return refused(kind::unavailable, "store: it could not be written; see the daemon's log");
  case errc::cancelled:
    return refused(kind::unavailable, "the daemon is about to end; try again later");
  case errc::pool_lost:
    return refused(kind::unavailable, "no device is left to decode; see the daemon's log");
  default: return refused(kind::internal, "an actor did not answer; see the daemon's log");
  }
}

} // namespace banyan
