#include "apps/banyand/refusals.hpp"

#include "actors/errors.hpp"
#include "apps/banyand/http.hpp"
#include "apps/node_desk.hpp"

#include <utility>

#include <caf/error.hpp>
#include <caf/sec.hpp>

namespace banyan {

namespace {

/// What an error of ours says, as actors write it: "field: what is wrong", and of ids and threads
/// "field: value: what is wrong", for it is the value that was given that a person knows.
struct complaint {
  std::string field, text;

  explicit complaint(const std::string& told) : field(told.substr(0, told.find(':'))), text(told) {
    const auto rest = told.find(": ");
    if ((field == "id" || field == "thread") && told.find(": ", rest + 2) != told.npos)
      text = told.substr(rest + 2);
  }
  /// With a remedy, if it has none.
  std::string with(const char* remedy) const {
    return text.find("; ") == text.npos ? text + "; " + remedy : text;
  }
};

/// The text that came with an error of ours.
std::string told(const caf::error& why) {
  if (why.context().match_elements<std::string>()) return why.context().get_as<std::string>(0);
  return {};
}

} // namespace

refusal refused(refusal::kind why, std::string message, std::string field) {
  return {why, std::move(message), std::move(field), 1};
}

refusal no_tree(const std::string& id) {
  return refused(refusal::kind::not_found,
                 shortened(id) + ": there is no such tree; `banyan ps --all` lists them", "id");
}

refusal refusal_of(const caf::error& why) {
  using kind = refusal::kind;
  if (just_ended(why)) return refused(kind::unavailable, "it ended as it was asked; try again");
  if (why == caf::sec::request_timeout)
    return refused(kind::unavailable, "the daemon is too busy to answer; try again");
  const auto text = told(why);
  const complaint said(text);
  switch (errc_of(why, errc::none)) {
  case errc::bad_request: return refused(kind::bad_request, said.with("correct it"), said.field);
  case errc::not_found:
    return refused(kind::not_found, said.with("`banyan ps` lists what runs"), said.field);
  case errc::pool_full: return refused(kind::full, "queue: " + text + "; try again later");
  case errc::not_stored:
    return refused(kind::unavailable, "store: it could not be written; see the daemon's log");
  case errc::cancelled:
    return refused(kind::unavailable, "the daemon is about to end; try again later");
  default: return refused(kind::internal, "an actor did not answer; see the daemon's log");
  }
}

} // namespace banyan
