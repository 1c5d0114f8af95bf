#pragma once

#include "apps/serving/completion_body.hpp"
#include "apps/serving/http.hpp"
#include "apps/serving/tree_body.hpp"

#include <string>

#include <catch2/catch.hpp>

namespace banyan {

/// The field that a refusal names; "-" for a refusal that names none, "" for none.
template <class Function>
std::string refused_field(Function function) {
  try {
    function();
    return {};
  } catch (const request_error& e) {
    CHECK(e.why.why == refusal::kind::bad_request);
    CHECK(e.why.message.find("; ") != std::string::npos);
    return e.why.field.empty() ? "-" : e.why.field;
  }
}

inline std::string wrong_tree(const std::string& body) {
  return refused_field([&] { parse_tree_body(body); });
}

inline std::string wrong_completion(const std::string& body) {
  return refused_field([&] { parse_completion_body(body); });
}

} // namespace banyan
