#include "actors/status_board.hpp"

#include <utility>

namespace banyan {

struct status_board::cell {
  const std::string tree, thread;
  std::atomic<thread_phase> phase{thread_phase::queued};
  std::atomic<std::uint64_t> tokens{0};
  std::atomic<std::uint32_t> waiting_for{0};
  std::atomic<std::int64_t> since_ms{0};

  row read() const { return {tree, thread, phase, tokens, waiting_for, since_ms}; }
};

struct status_board::core {
  struct shard {
    std::mutex mutex;
    std::map<std::uint64_t, std::shared_ptr<cell>> cells; // in the order of arrival
  };

  static constexpr std::size_t num_shards = 64;

  /// Cells are copied out under the lock and read outside of it. `visit` returns false to stop.
  template <class Visit>
  void each(Visit visit) {
    std::vector<std::shared_ptr<cell>> copy;
    for (auto& shard : shards) {
      copy.clear();
      {
        const std::lock_guard lock(shard.mutex);
        for (const auto& [key, cell] : shard.cells) copy.push_back(cell);
      }
      for (const auto& cell : copy)
        if (!visit(*cell)) return;
    }
  }

  shard& of(std::uint64_t key) { return shards[key % num_shards]; }

  std::array<shard, num_shards> shards;
  std::atomic<std::uint64_t> next_key{0};
};

// ---- loan ----

status_board::loan::loan(std::shared_ptr<core> core, std::uint64_t key, std::shared_ptr<cell> cell)
    : core_(std::move(core)), key_(key), cell_(std::move(cell)) {}

status_board::loan& status_board::loan::operator=(loan&& other) noexcept {
  if (this == &other) return *this;
  leave();
  core_ = std::move(other.core_);
  key_ = other.key_;
  cell_ = std::move(other.cell_);
  return *this;
}

status_board::loan::~loan() { leave(); }

void status_board::loan::leave() {
  const auto core = std::move(core_);
  if (!core) return;
  auto& shard = core->of(key_);
  const std::lock_guard lock(shard.mutex);
  shard.cells.erase(key_);
}

// Relaxed: a row is a picture for people, nothing is decided by it.
void status_board::loan::enter(thread_phase phase, std::int64_t since_ms) {
  if (!cell_) return;
  cell_->phase.store(phase, std::memory_order_relaxed);
  cell_->since_ms.store(since_ms, std::memory_order_relaxed);
}

void status_board::loan::set_tokens(std::uint64_t tokens) {
  if (cell_) cell_->tokens.store(tokens, std::memory_order_relaxed);
}

std::shared_ptr<std::atomic<std::uint64_t>> status_board::loan::tokens() const {
  return cell_ ? std::shared_ptr<std::atomic<std::uint64_t>>(cell_, &cell_->tokens) : nullptr;
}

void status_board::loan::set_waiting(std::uint32_t num_children) {
  if (cell_) cell_->waiting_for.store(num_children, std::memory_order_relaxed);
}

// ---- board ----

status_board::status_board() : core_(std::make_shared<core>()) {}

status_board::loan status_board::add(std::string tree, std::string thread) {
  const auto key = core_->next_key++;
  auto added = std::shared_ptr<cell>(new cell{std::move(tree), std::move(thread)});
  auto& shard = core_->of(key);
  const std::lock_guard lock(shard.mutex);
  shard.cells.emplace(key, added);
  return {core_, key, std::move(added)};
}

std::vector<status_board::row> status_board::snapshot(std::size_t offset, std::size_t limit) const {
  std::vector<row> rows;
  std::size_t position = 0;
  core_->each([&](const cell& cell) {
    if (rows.size() == limit) return false;
    if (position++ >= offset) rows.push_back(cell.read());
    return true;
  });
  return rows;
}

std::vector<status_board::row> status_board::snapshot_of(std::string_view tree) const {
  std::vector<row> rows;
  core_->each([&](const cell& cell) {
    if (cell.tree == tree) rows.push_back(cell.read());
    return true;
  });
  return rows;
}

std::map<thread_phase, std::uint64_t> status_board::counts() const {
  std::map<thread_phase, std::uint64_t> counted;
  core_->each([&](const cell& cell) { return ++counted[cell.phase], true; });
  return counted;
}

std::size_t status_board::size() const {
  std::size_t sum = 0;
  for (auto& shard : core_->shards) {
    const std::lock_guard lock(shard.mutex);
    sum += shard.cells.size();
  }
  return sum;
}

} // namespace banyan
