#pragma once

#include "model/config.hpp"
#include "model/tokenizer.hpp"
#include "solver/search.hpp"
#include "solver/tree.hpp"

#include <cstdint>
#include <memory>

namespace banyan {

/// A demonstration as if a model had sampled it: token ids, ends of sequence, logprobs, epochs.
inline tree as_sampled(tree t, const tokenizer& vocabulary, float logprob = -0.5F,
                       std::uint32_t epoch = 0) {
  for (auto& thread : t.threads)
    for (std::size_t i = 0; i < thread.segments.size(); ++i) {
      auto& s = thread.segments[i];
      s.ids = vocabulary.encode(s.text);
      if (!s.sampled()) continue;
      if (s.kind == segment_kind::spawn || i + 1 == thread.segments.size())
        s.ids.push_back(vocabulary.eos_id());
      s.logprobs.assign(s.ids.size(), logprob);
      s.epochs.assign(s.ids.size(), epoch);
    }
  t.weights_epoch = epoch;
  return t;
}

/// A tree of one problem; different `index`es give different trees (and other numbers of children).
inline tree sampled_demonstration(const tokenizer& vocabulary, std::uint64_t index,
                                  std::uint32_t epoch = 0) {
  search_options o{.beam_low = 1, .beam_high = 4, .sub_beam_low = 2, .sub_beam_high = 3};
  o.spawn_probability = 1;
  o.order = node_order::generation;
  o.max_result = 199;
  return as_sampled(demonstrate({{42, 61, 66}, 47}, o, index), vocabulary, -0.5F, epoch);
}

/// A model that is quick to run.
inline model_config tiny_model(const tokenizer& vocabulary) {
  model_config c;
  c.vocab_size = vocabulary.vocab_size();
  c.hidden_size = 32;
  c.num_layers = 2;
  c.num_heads = c.num_kv_heads = 2;
  c.head_dim = 16;
  c.intermediate_size = 48;
  c.bos_id = vocabulary.bos_id();
  c.eos_id = vocabulary.eos_id();
  c.pad_id = vocabulary.pad_id();
  return c;
}

} // namespace banyan
