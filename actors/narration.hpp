#pragma once

#include "actors/event_hub.hpp"
#include "solver/tree.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace banyan {

/// Tells the event hub what a thread does, and those who watch its tree what it writes.
class narration {
public:
  struct audience {
    std::shared_ptr<event_hub> events; ///< null: nobody hears anything
    std::string tree;                  ///< its id
    std::function<std::int64_t()> unix_ms;
  };
  struct happening {
    std::size_t position = 0; ///< byte of the thread's text
    std::string text;
    std::vector<std::string> children; ///< their paths
  };

  void open(audience, bool watched);

  bool watched() const { return watched_; }

  /// Somebody watches from now on, or nobody any more; false if that was so already. What stands
  /// in the text up to `text_size` is told by others.
  bool watch(bool on, std::size_t text_size);

  /// `tokens`: sampled by the thread so far.
  tree_event event(tree_event::kind, const thread_record&, std::uint64_t tokens, happening) const;

  /// Tells it at once.
  void tell(tree_event::kind, const thread_record&, std::uint64_t tokens, happening) const;

  /// Tells watchers what they do not know of `fresh`, which stands in the text from byte `begin`.
  void tell_text(const thread_record&, std::uint64_t tokens, std::size_t begin,
                 std::string_view fresh);

  /// The text up to there was told in another way.
  void skip_to(std::size_t text_size) { told_ = text_size; }

private:
  audience to_;
  bool watched_ = false;
  std::size_t told_ = 0; ///< bytes of the text that watchers know
};

} // namespace banyan
