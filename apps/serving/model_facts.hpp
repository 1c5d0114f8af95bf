#pragma once

#include "apps/serving/forest.hpp"

namespace banyan {

struct checkpoint;
struct model_choice;

/// What a model says of itself to those who ask.
model_facts facts_of(const model_choice&, const checkpoint&);

} // namespace banyan
