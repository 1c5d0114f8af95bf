#pragma once

#include "solver/countdown.hpp"
#include "solver/errc.hpp"

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace banyan {

/// `Token Budget` comes in multiples of this. Its tokens are the published vocabulary's, of about
/// two characters each, whatever our own vocabulary makes of a text.
inline constexpr int token_budget_bin = 512;
constexpr std::size_t budget_tokens(std::size_t bytes) { return bytes / 2; }

/// How the model's text may be conditioned; both go in front of the first prompt line.
struct conditioning {
  std::optional<int> sub_call_budget; ///< "Sub Call Budget: N ", never passed on to children
  std::optional<int> token_budget;    ///< "Token Budget: N ", passed on to children
};

/// "Moving to Node #0\nCurrent State: T:[…], Operations: []\n", with the conditioning in front.
std::string root_prompt(const problem&, const conditioning& = {});

/// Reads a root prompt back; nothing if it is not one. The inverse of `root_prompt`.
std::optional<problem> parse_root_prompt(std::string_view);

/// How a thread's text begins, be it the root's or a child's: its prompt, as far as it is one.
struct opening {
  conditioning asked;                  ///< in front of the first line
  std::size_t prefix = 0;              ///< bytes of it
  std::string node;                    ///< at which the thread starts: "0,1"
  problem state;                       ///< the numbers that are left there, and the target
  std::vector<std::string> operations; ///< that led there: "66-42=24"
  std::size_t size = 0;                ///< bytes of the whole prompt; 0: no state was read
};

/// Reads as much as there is, and leaves the rest empty. A text may begin with its state, without
/// a node, as those of Stream of Search do.
opening read_opening(std::string_view text);

/// What a thread's text says so far.
namespace verdict {
struct more {}; ///< decode on
struct spawn {
  std::vector<std::string> prompts;
}; ///< start these children, in this order
struct done {
  std::string solution;
};                 ///< found and restated; the restatement
struct gave_up {}; ///< ended without a solution
struct malformed {
  std::string why;
}; ///< a spawn that cannot be read: why, naming the input
} // namespace verdict
using trace_verdict = std::variant<verdict::more, verdict::spawn, verdict::done, verdict::gave_up,
                                   verdict::malformed>;

/// What a child gave back to a join: a solution, or the reason why there is none.
struct child_result {
  std::optional<std::string> solution;
  errc failure = errc::none; ///< why there is none; `no_solution` is the ordinary case
};

/// The grammar of a thread's text (docs/architecture.md, "The text of a thread"), read
/// incrementally: feed what was decoded, ask nothing twice. Memory and time are linear in the text.
/// Nothing that a model can write throws; every malformed input is a `verdict::malformed`.
class trace {
public:
  struct options {
    std::uint32_t level = 1;         ///< level written in this thread's spawn blocks (depth + 1)
    std::size_t max_children = 1000; ///< more in one block is malformed
  };

  /// `prompt` is the thread's first text. A root or child prompt, as made by `root_prompt` or
  /// `spawn`.
  trace(std::string_view prompt, options);
  explicit trace(std::string_view prompt); ///< with default options
  trace(trace&&) noexcept;
  trace& operator=(trace&&) noexcept;
  ~trace();

  /// Takes newly decoded text. `at_end`: the model ended here (end-of-sequence or a stop
  /// condition). `spawn` is said as soon as the block's end line was read, everything else at the
  /// end only
  /// (`done`, `gave_up`), for a model may go on after its first goal line.
  /// After `spawn` the next call must be `join`; after `done`, `gave_up`, `malformed` there is
  /// none.
  trace_verdict feed(std::string_view decoded, bool at_end);

  /// Replaces the open spawn block by the join block for `children` (one per prompt of the spawn,
  /// in that order) and returns the text put in its place, "<Sub Searches>\n…<End Sub Searches>\n".
  std::string join(std::span<const child_result> children);

  /// The same with a join block that was made before, by `join`.
  void rejoin(std::string_view block);

  /// Bytes of the text at which the open spawn block (its opening tag) begins, from the moment that
  /// tag was read until the join; npos without one.
  std::size_t spawn_offset() const;

  /// The whole text as the model sees it now: prompt, own text, join blocks.
  const std::string& text() const;

private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

} // namespace banyan
