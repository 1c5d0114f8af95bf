#pragma once

#include "gpu_pool/blocks.hpp"

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

namespace banyan {

/// A block of tokens after the blocks of its ancestors. Alive while it has children or its block is
/// used.
struct prefix_node {
  prefix_node* parent = nullptr; ///< null: the block begins a text
  std::vector<std::int32_t> tokens;
  block_ref block;
  std::uint32_t epoch = 0;
  std::uint32_t num_children = 0;
  std::uint64_t last_used = 0;
  std::list<prefix_node*>::iterator place; ///< in the list of leaves, if it is one
};

/// A tree of texts in whole blocks: finds the longest prefix whose keys and values are known.
/// Weights of another epoch make other keys, so blocks of weights that are gone are never found
/// again: where they are the least recently used, their places are taken before new ones are.
///
/// Who uses a node's block also uses the blocks of all its ancestors; so nodes can be evicted from
/// the leaves up, least recently used first, whenever the cache's own loan of the block is the
/// last.
class prefix_cache {
public:
  explicit prefix_cache(block_pool&);
  ~prefix_cache();

  /// The nodes of the longest known prefix of `ids`, from its begin on.
  std::vector<prefix_node*> find_prefix(std::span<const std::int32_t> ids, std::uint32_t epoch);

  /// The node for one block of tokens after `parent`. If it is known already, it keeps its own
  /// block and the given loan ends.
  prefix_node& insert(prefix_node* parent, std::span<const std::int32_t> tokens, block_ref);

  /// Forgets the least recently used leaf that nobody uses; false if there is none.
  bool evict();

  /// Weights of epochs before this one are gone.
  void forget_before(std::uint32_t epoch) { oldest_epoch_ = epoch; }

  /// Forgets the least recently used leaf if its weights are gone; one that somebody uses becomes
  /// the most recently used, so that the next call looks behind it.
  bool evict_gone();

  std::size_t size() const { return nodes_.size(); }

  /// Adds its loans to `held` (one count per block) and says what is wrong with the tree, or
  /// nothing.
  std::optional<std::string> check(std::span<std::uint32_t> held) const;

private:
  struct key {
    const prefix_node* parent;
    std::uint32_t epoch;
    std::span<const std::int32_t> tokens;
  };
  struct by_key {
    using is_transparent = void;
    std::size_t operator()(const key&) const;
    std::size_t operator()(const std::unique_ptr<prefix_node>&) const;
  };
  struct same_key {
    using is_transparent = void;
    template <class A, class B>
    bool operator()(const A& a, const B& b) const {
      return same(as_key(a), as_key(b));
    }
  };
  static key as_key(const key& k) { return k; }
  static key as_key(const std::unique_ptr<prefix_node>& n) {
    return {n->parent, n->epoch, n->tokens};
  }
  static bool same(const key&, const key&);

  prefix_node* find(const key&);
  void touch(prefix_node&);
  void become_leaf(prefix_node&);
  void remove(prefix_node&);

  block_pool& blocks_;
  std::uint32_t oldest_epoch_ = 0;
  std::uint64_t now_ = 0; // counts uses; only its order matters
  std::unordered_set<std::unique_ptr<prefix_node>, by_key, same_key> nodes_;
  std::list<prefix_node*> leaves_; // least recently used first
};

} // namespace banyan
