#include "apps/event_reader.hpp"
#include "apps/tree_mirror.hpp"

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

/// A stream of events gives the same ones however its bytes arrive, and whatever they say, the tree
/// that they are about stays one that can be shown.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace banyan;
  const std::string stream(reinterpret_cast<const char*>(data), size);
  std::vector<server_event> whole, pieces;
  event_reader at_once, bit_by_bit;
  at_once.feed(stream + "\n", [&whole](const server_event& e) { whole.push_back(e); });
  for (const char byte : stream + "\n")
    bit_by_bit.feed({&byte, 1}, [&pieces](const server_event& e) { pieces.push_back(e); });
  if (whole.size() != pieces.size()) std::abort();
  tree_mirror tree("fuzz");
  for (std::size_t i = 0; i < whole.size(); ++i) {
    if (whole[i].id != pieces[i].id || whole[i].name != pieces[i].name
        || whole[i].data != pieces[i].data)
      std::abort();
    tree.apply(whole[i].name, nlohmann::ordered_json::parse(whole[i].data, nullptr, false));
  }
  for (const auto& thread : tree.now().value.threads)
    if (tree.now().value.find(thread.path) == nullptr) std::abort();
  read_tree(nlohmann::ordered_json::parse(stream, nullptr, false));
  return 0;
}
