#include "model/checkpoint.hpp"
#include "model/safetensors.hpp"
#include "model/tokenizer.hpp"
#include "solver/problems.hpp"
#include "solver/search.hpp"
#include "tests/decode_fixture.hpp"

#include <cstdio>
#include <exception>

#include <ATen/core/grad_mode.h>
#include <nlohmann/json.hpp>

// For scripts/check_transformers.py: writes a checkpoint, texts, their token ids and the logits of
// some into a folder, to be compared with what transformers makes of the same checkpoint and texts.

namespace banyan {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t problems_per_kind = 50;
constexpr std::size_t texts_with_logits = 12;
constexpr std::size_t longest_with_logits = 600; // tokens

// Every kind of text that a thread meets: before a join and after it, with conditioning and
// without.
std::vector<std::string> texts() {
  std::vector<std::string> all;
  for (const auto kind :
       {search_kind::apr, search_kind::sos_plus, search_kind::sos_bfs, search_kind::sos_dfs})
    for (std::size_t i = 0; i < problems_per_kind; ++i) {
      problem_options problems;
      problems.num_numbers = i % 3 == 0 ? 4 : 3;
      search_options search;
      search.kind = kind;
      search.beam_high = 5;
      (kind == search_kind::apr ? search.condition_children : search.condition_tokens) = i % 2 == 0;
      for (const auto& thread : demonstrate(draw_problem(problems, i, {}), search, i).threads) {
        all.push_back(thread.text());
        std::string before_join;
        for (const auto& part : thread.segments)
          if (part.kind != segment_kind::joined) before_join += part.text;
        if (before_join != all.back()) all.push_back(before_join);
      }
    }
  return all;
}

model_config shape_of(const tokenizer& words) {
  auto c = tiny_shape();
  c.vocab_size = words.vocab_size();
  c.eos_id = words.eos_id();
  c.pad_id = words.pad_id();
  c.rope_theta = 12345; // nobody's default
  c.rms_norm_eps = 1e-4;
  return c;
}

at::Tensor trained_logits(const transformer& model, const token_ids& ids) {
  const at::NoGradGuard no_grad;
  const auto length = static_cast<std::int32_t>(ids.size());
  std::vector<std::int32_t> positions(ids.size());
  std::iota(positions.begin(), positions.end(), 0);
  const std::vector<std::int32_t> visible(ids.size(), visible_always);
  return model.forward({ids, positions, visible, {0, length}}, {}, dtype::float32);
}

void dump(const fs::path& folder, const fs::path& given) {
  fs::create_directories(folder);
  if (given.empty()) {
    const auto words = countdown_tokenizer();
    save_checkpoint(folder / "model", *sharp_weights(shape_of(*words)), *words);
  }
  const auto path = given.empty() ? folder / "model" : given;
  const auto loaded = load_checkpoint(path, dtype::float32);
  const auto all = texts();
  std::map<std::string, at::Tensor> tensors;
  std::size_t with_logits = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto ids = loaded.vocabulary->encode(all[i]);
    const auto number = std::to_string(i);
    tensors["ids." + number] = at::tensor(ids, at::kInt);
    if (with_logits == texts_with_logits || ids.size() > longest_with_logits || i % 31 != 0)
      continue;
    ++with_logits;
    decoder decoding(loaded.weights, 16);
    tensors["trained." + number] = trained_logits(*decoding.model, ids);
    tensors["decoded." + number] = decoding.prefill(ids, 50);
  }
  write_safetensors(folder / "reference.safetensors", tensors);
  write_file_atomically(
      folder / "texts.json",
      nlohmann::json{{"model", fs::absolute(path).string()}, {"texts", all}}.dump());
  std::printf("%zu texts, %zu with logits\n", all.size(), with_logits);
}

} // namespace
} // namespace banyan

int main(int argc, char** argv) {
  if (argc != 2 && argc != 3) {
    std::fprintf(stderr, "usage: reference_dump FOLDER [CHECKPOINT]\n");
    return 2;
  }
  try {
    banyan::dump(argv[1], argc == 3 ? argv[2] : "");
    return 0;
  } catch (const std::exception& why) {
    std::fprintf(stderr, "reference_dump: %s\n", why.what());
    return 3;
  }
}
