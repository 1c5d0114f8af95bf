#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

namespace banyan {

/// An object of the API as one line on standard output.
void print_json(const nlohmann::ordered_json&);

/// A tree as the API gives it: its threads, what became of it, and its figures.
void print_tree(const nlohmann::ordered_json&);
/// The text of every thread of it.
void print_texts(const nlohmann::ordered_json&);
/// One thread as `GET /v1/trees/{id}/threads` gives it.
void print_thread(const nlohmann::ordered_json&);

/// What a model wrote, as it can be printed: on a terminal without control characters.
std::string shown_text(const std::string& text);

/// A piece of such a text as it is: on a terminal without what would steer it.
std::string harmless(const std::string& text);

} // namespace banyan
