#pragma once

#include "apps/serving/http.hpp"
#include "apps/serving/http_options.hpp"
#include "apps/serving/metrics.hpp"

#include <atomic>
#include <chrono>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include <nlohmann/json_fwd.hpp>

namespace banyan {

class event_streams;

/// How loud the line about a request is that was answered so. What a client did wrong, or asks
/// again and again, is for who looks for it: it must not fill a log.
http_level level_of(int status, std::string_view route);

/// What all requests have in common. Used on the loop's OS thread alone, `loop` aside.
struct http_context {
  forest& trees;
  const http_options& options;
  std::shared_ptr<http_loop> loop;
  event_streams& streams;
  http_counters counters;
};

/// A request and the way back to its client. It answers once; one that is forgotten answers 503.
/// May be held and let go on any OS thread; all else is the loop's.
class http_reply : public std::enable_shared_from_this<http_reply> {
public:
  /// `route`: the path template, for the figures.
  static std::shared_ptr<http_reply> make(http_context&, http_request, std::shared_ptr<http_sink>,
                                          std::string route);
  ~http_reply();
  http_reply(const http_reply&) = delete;
  http_reply& operator=(const http_reply&) = delete;

  const http_request& request() const { return request_; }
  const std::string& param(std::size_t index) const { return request_.params.at(index); }

  void send(http_response);
  void send(const nlohmann::ordered_json&);
  void refuse(const refusal&); ///< one that has begun is broken off

  /// A response in pieces. False: there will be none, for the request is a HEAD.
  bool begin(http_response head);
  void write(std::string);
  void end();
  std::size_t unsent() const { return sink_->unsent(); }

  bool open() const { return stage_ != stage::over; }
  still_wanted wanted() const { return wanted_; } ///< until the client has gone
  /// Told when nobody reads any more, or nothing more can be said.
  void on_gone(std::function<void()> told) { on_gone_ = std::move(told); }
  void on_drained(std::function<void()> told) { sink_->on_drained(std::move(told)); }
  void about(const std::string& tree); ///< for the log, which names no tree that cannot be
  void hold(std::shared_ptr<void> place) { held_ = std::move(place); } ///< as long as it is there
  void at_end(refusal told) { farewell_ = std::move(told); } ///< where it is not answered before

  /// Does `work`; what it throws becomes the answer.
  template <class Work>
  void guarded(Work work) {
    try {
      work();
    } catch (const request_error& e) {
      refuse(e.why);
    } catch (const std::exception& e) {
      fail(e.what());
    } catch (...) {
      fail("an unknown exception");
    }
  }

private:
  enum class stage { asked, begun, over };

  http_reply(http_context&, http_request, std::shared_ptr<http_sink>, std::string route);
  void answer(http_response, const std::string& note);
  void fail(const std::string& why);
  void break_off(const std::string& why);
  void leave();
  void tell(int status, const std::string& note);
  bool speaks_openai() const;

  http_context& context_;
  std::shared_ptr<http_loop> loop_;
  http_request request_;
  std::shared_ptr<http_sink> sink_;
  std::string route_, tree_;
  std::chrono::steady_clock::time_point since_ = std::chrono::steady_clock::now();
  stage stage_ = stage::asked;
  std::shared_ptr<std::atomic<bool>> wanted_ = std::make_shared<std::atomic<bool>>(true);
  refusal farewell_{refusal::kind::unavailable, "the daemon is about to end; try again"};
  std::function<void()> on_gone_;
  std::shared_ptr<void> held_;
};
using reply_ptr = std::shared_ptr<http_reply>;

/// For the forest: brings its answer back to the loop's OS thread, where `then` gets it, whether
/// the client is there or has gone; a refusal answers the request.
template <class T, class Then>
answer_to<T> relay_always(http_context& c, const reply_ptr& reply, Then then) {
  return [loop = c.loop, reply, then = std::move(then)](std::variant<T, refusal> answer) {
    loop->post([reply, then, answer = std::move(answer)]() mutable {
      reply->guarded([&] {
        if (const auto* no = std::get_if<refusal>(&answer)) return reply->refuse(*no);
        then(std::move(std::get<T>(answer)));
      });
    });
  };
}

/// The same for an answer that is for the client alone: nothing is made of it once that has gone.
template <class T, class Then>
answer_to<T> relay(http_context& c, const reply_ptr& reply, Then then) {
  auto relayed = relay_always<T>(c, reply, [reply, then = std::move(then)](T answer) {
    if (reply->open()) then(std::move(answer));
  });
  relayed.wanted = reply->wanted();
  return relayed;
}

} // namespace banyan
