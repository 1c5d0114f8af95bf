#pragma once

#include "solver/tree.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace banyan {

/// Where the live threads of this process show what they do. CAF cannot list its actors; here each
/// has a cell of atomics that lives and dies with it. Writing a cell takes no lock, and a snapshot
/// stops nobody and shows threads that are busy in a handler too. All functions may be called from
/// any OS thread.
class status_board {
  struct cell;
  struct core;

public:
  /// A row as it was a moment ago. Fields are read one by one: a row may mix two states of its
  /// thread.
  struct row {
    std::string tree, thread; ///< the tree's id, the path in it
    thread_phase phase = thread_phase::queued;
    std::uint64_t tokens = 0;      ///< sampled so far
    std::uint32_t waiting_for = 0; ///< children
    std::int64_t since_ms = 0;     ///< of the phase; Unix time
  };

  /// A thread's own cell: taken off the board in the destructor. An empty loan shows nothing.
  class loan {
  public:
    loan() = default;
    loan(std::shared_ptr<core>, std::uint64_t key, std::shared_ptr<cell>);
    loan(loan&&) noexcept = default;
    loan& operator=(loan&&) noexcept;
    ~loan();

    void enter(thread_phase, std::int64_t since_ms);
    void set_tokens(std::uint64_t);
    /// The same number, for whoever samples; null for an empty loan.
    std::shared_ptr<std::atomic<std::uint64_t>> tokens() const;
    void set_waiting(std::uint32_t num_children);

  private:
    void leave();

    std::shared_ptr<core> core_;
    std::uint64_t key_ = 0;
    std::shared_ptr<cell> cell_;
  };

  status_board();

  loan add(std::string tree, std::string thread);

  /// Rows `offset` to `offset + limit` of the board, in an order that stays while threads come and
  /// go.
  std::vector<row> snapshot(std::size_t offset = 0, std::size_t limit = SIZE_MAX) const;

  /// The rows of one tree.
  std::vector<row> snapshot_of(std::string_view tree) const;

  std::size_t size() const;

  /// How many threads are in which phase.
  std::map<thread_phase, std::uint64_t> counts() const;

private:
  std::shared_ptr<core> core_; // loans keep it: they may outlive the board
};

} // namespace banyan
