#pragma once

#include "actors/budget.hpp"
#include "actors/detokenizer.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace banyan {

/// The request for tokens that a thread has at its pool: what it may sample, and what the pool of a
/// watched thread told of it so far. A full pool is asked for the same again, later each time.
class in_flight_request {
public:
  /// It leaves. `behind` says the text of what will be heard.
  void begin(std::uint32_t granted, detokenizer behind);

  /// It was answered: what it brought is the transcript's now.
  void end();

  bool open() const { return open_; }

  /// Tokens that it, or the last one, may sample.
  std::uint32_t granted() const { return granted_; }

  /// Only while it is open.
  void hear(std::span<const std::int32_t> ids);

  const std::vector<std::int32_t>& heard() const { return heard_; }
  const std::string& heard_text() const { return heard_text_; } ///< whole characters

  /// How long to wait before a full pool is asked again: twice as long as before, a second at most.
  nanoseconds back_off();
  bool backs_off() const { return back_off_ != nanoseconds::zero(); }
  /// A pool took the request.
  void stop_backing_off() { back_off_ = nanoseconds::zero(); }

private:
  bool open_ = false;
  std::uint32_t granted_ = 0;
  nanoseconds back_off_{};
  std::vector<std::int32_t> heard_;
  std::string heard_text_;
  std::optional<detokenizer> hearing_;
};

} // namespace banyan
