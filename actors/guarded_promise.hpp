#pragma once

#include <utility>

#include <caf/sec.hpp>
#include <caf/typed_response_promise.hpp>

namespace banyan {

/// A promise that is kept: dropped without an answer it answers `request_receiver_down`. CAF 0.17
/// answers nothing in that case, and whoever asked would wait for its timeout. Belongs to the actor
/// that made it.
template <class T>
class guarded_promise {
public:
  explicit guarded_promise(caf::typed_response_promise<T> promise)
      : promise_(std::move(promise)), armed_(true) {}
  guarded_promise(guarded_promise&& other) noexcept
      : promise_(std::move(other.promise_)), armed_(std::exchange(other.armed_, false)) {}
  guarded_promise& operator=(guarded_promise&& other) noexcept {
    if (this == &other) return *this;
    drop();
    promise_ = std::move(other.promise_);
    armed_ = std::exchange(other.armed_, false);
    return *this;
  }
  ~guarded_promise() { drop(); }

  /// Answers with a value or an error; the first answer counts.
  template <class U>
  void deliver(U&& answer) {
    if (std::exchange(armed_, false)) promise_.deliver(std::forward<U>(answer));
  }

  /// Lets `other` answer in place of this actor.
  template <class Actor, class Request>
  void delegate(const Actor& other, Request&& request) {
    if (std::exchange(armed_, false)) promise_.delegate(other, std::forward<Request>(request));
  }

  /// What a handler returns for its request to stay open.
  const caf::typed_response_promise<T>& promise() const { return promise_; }

private:
  void drop() {
    if (std::exchange(armed_, false))
      promise_.deliver(caf::make_error(caf::sec::request_receiver_down));
  }

  caf::typed_response_promise<T> promise_;
  bool armed_ = false;
};

} // namespace banyan
