#include "apps/token_file.hpp"

#include "apps/failure.hpp"
#include "apps/json_list.hpp"

#include <algorithm>

namespace banyan {

std::string read_token(const std::filesystem::path& file) {
  constexpr auto remedy = "write one into it: openssl rand -hex 32 > FILE";
  auto token = read_text(file);
  token.erase(token.find_last_not_of(" \t\r\n") + 1);
  if (token.empty()) throw bad_environment(file.string(), "there is no token in it", remedy);
  if (!std::ranges::all_of(token, [](char c) { return c > ' ' && c < '\x7f'; }))
    throw bad_environment(file.string(),
                          "the token is not one word of letters, digits and ASCII signs", remedy);
  return token;
}

} // namespace banyan
