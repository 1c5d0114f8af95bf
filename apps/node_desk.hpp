#pragma once

#include "actors/interfaces.hpp"

#include <chrono>
#include <functional>
#include <utility>

#include <caf/actor.hpp>
#include <caf/event_based_actor.hpp>

namespace banyan {

/// Who asks an actor that is about to end asks in vain; by then its owner knows how it ended.
bool just_ended(const caf::error&);

/// Asks the node in the name of those outside the actor system. May be used from any OS thread;
/// answers come on one of the actor system's, and none after `end`.
class node_desk {
public:
  /// What looks at actors does not wait longer for one.
  static constexpr caf::timespan patience = std::chrono::seconds(2);

  node_desk(caf::actor_system&, node_actor);

  ~node_desk() { end(); }
  node_desk(const node_desk&) = delete;
  node_desk& operator=(const node_desk&) = delete;

  /// Returns when nothing that the desk was given runs any more; what it gets later is not done.
  void end();

  /// Has an actor do something.
  void run(std::function<void(caf::event_based_actor*)>);

  /// Gives the node work, and hands on its answer or its error. A tree has a deadline of its own,
  /// and the node's guarded promises see to it that every request is answered.
  template <class Answer, class Request, class Then, class Else>
  void order(Request request, Then then, Else otherwise) {
    run([=, node = node_](caf::event_based_actor* self) {
      self->request(node, caf::infinite, request)
          .then([=](Answer& answer) { safely([&] { then(answer); }); },
                [=](caf::error& why) { safely([&] { otherwise(why); }); });
    });
  }

  /// Asks the node about what it has.
  template <class Answer, class Request, class Then, class Else>
  void ask(Request request, Then then, Else otherwise) {
    run([=, node = node_](caf::event_based_actor* self) {
      look<Answer>(self, node, request, then, otherwise);
    });
  }

  /// Looks at something that may end while it is asked: a thread, and then its tree.
  template <class Answer, class Request, class Then, class Else>
  static void look(caf::event_based_actor* self, const node_actor& node, const Request& request,
                   Then then, Else otherwise, int tries = 10) {
    self->request(node, patience, request)
        .then([=](Answer& answer) { safely([&] { then(answer); }); },
              [=](caf::error& why) {
                if (!just_ended(why) || tries == 1) return safely([&] { otherwise(why); });
                soon(self, [=](caf::event_based_actor* again) {
                  look<Answer>(again, node, request, then, otherwise, tries - 1);
                });
              });
  }

  /// The desk goes on where an errand throws, as for want of memory: CAF 0.17 would end it in
  /// silence. Whoever waited is told that it was forgotten.
  template <class Work>
  static void safely(Work work) noexcept {
    try {
      work();
    } catch (...) { // there is nobody to tell
    }
  }

  const node_actor& node() const { return node_; }

private:
  /// In a moment, in which the node hears of who has ended.
  static void soon(caf::event_based_actor*, std::function<void(caf::event_based_actor*)>);

  caf::actor_system& system_;
  const node_actor node_;
  caf::actor clerk_;
};

} // namespace banyan
