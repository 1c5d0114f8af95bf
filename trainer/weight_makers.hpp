#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace banyan {

/// Who made the weights of each epoch. Every start of a run, fresh or resumed, has a name of its
/// own; so weights of one epoch that were learnt twice, or in another run, can be told apart.
class weight_makers {
public:
  using entry = std::pair<std::uint32_t, std::string>; ///< the first epoch, the name

  /// From now on epochs from `first` are made under this name, whoever made them before.
  void begin(std::uint32_t first, std::string name) {
    std::erase_if(entries_, [first](const entry& e) { return e.first >= first; });
    entries_.emplace_back(first, std::move(name));
  }

  /// Empty for an epoch that nobody is known to have made.
  std::string of(std::uint32_t epoch) const {
    std::string name;
    for (const auto& [first, by] : entries_)
      if (first <= epoch) name = by;
    return name;
  }

  const std::vector<entry>& entries() const { return entries_; }

private:
  std::vector<entry> entries_; ///< first epochs rising
};

} // namespace banyan
