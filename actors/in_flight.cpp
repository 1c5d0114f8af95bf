#include "actors/in_flight.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace banyan {
namespace {

using namespace std::chrono_literals;

constexpr nanoseconds first_back_off = 10ms, longest_back_off = 1s;

} // namespace

void in_flight_request::begin(std::uint32_t granted, detokenizer behind) {
  end();
  open_ = true;
  granted_ = granted;
  hearing_ = std::move(behind);
}

void in_flight_request::end() {
  open_ = false;
  heard_.clear();
  heard_text_.clear();
}

void in_flight_request::hear(std::span<const std::int32_t> ids) {
  assert(open_);
  heard_.insert(heard_.end(), ids.begin(), ids.end());
  heard_text_ += laid_end_to_end(hearing_->add(ids));
}

nanoseconds in_flight_request::back_off() {
  back_off_ = std::clamp(back_off_ * 2, first_back_off, longest_back_off);
  return back_off_;
}

} // namespace banyan
