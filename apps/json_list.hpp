#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace banyan {

/// Gives each object of a JSON array, or of JSON lines, to `take`, with the place where it stands
/// ("p.jsonl: line 3", "p.json: element 2"). `name` stands for the file in messages, `remedy` says
/// how it should look. Throws `bad_usage` for text that is not JSON, or nested without
/// end.
void for_each_json(
    std::string_view text, const std::string& name, const std::string& remedy,
    const std::function<void(const nlohmann::ordered_json&, const std::string& where)>& take);

/// What a JSON library's exception says, without its own prefix.
std::string reason(const std::exception&);

/// A whole text file, without a byte order mark. Throws `bad_environment`.
std::string read_text(const std::filesystem::path&);

} // namespace banyan
