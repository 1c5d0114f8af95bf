#pragma once

#include "apps/serving/forest.hpp"

#include <filesystem>
#include <string>

namespace banyan {

struct checkpoint;
struct model_choice;

/// That of its folder; the newest checkpoint of a run has the name of the run.
std::string model_name(const std::filesystem::path& folder);

/// What a model says of itself to those who ask.
model_facts facts_of(const model_choice&, const checkpoint&);

} // namespace banyan
