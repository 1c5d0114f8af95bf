#include "apps/event_reader.hpp"

#include <algorithm>
#include <utility>

namespace banyan {

void event_reader::feed(std::string_view bytes,
                        const std::function<void(const server_event&)>& take) {
  rest_ += bytes;
  std::size_t begin = 0;
  for (;;) {
    const auto end = rest_.find_first_of("\r\n", begin);
    // Whether a carriage return ends the line alone shows with the byte behind it.
    if (end == rest_.npos || (rest_[end] == '\r' && end + 1 == rest_.size())) break;
    read_line(std::string_view(rest_).substr(begin, end - begin), take);
    begin = end + (rest_.compare(end, 2, "\r\n") == 0 ? 2 : 1);
  }
  rest_.erase(0, begin);
}

void event_reader::read_line(std::string_view line,
                             const std::function<void(const server_event&)>& take) {
  if (line.empty()) {
    if (has_data_) take(next_);
    next_ = {};
    has_data_ = false;
    return;
  }
  const auto colon = std::min(line.find(':'), line.size());
  const auto name = line.substr(0, colon);
  auto value = line.substr(std::min(colon + 1, line.size()));
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (name == "id") next_.id = value;
  if (name == "event") next_.name = value;
  if (name != "data") return;
  if (std::exchange(has_data_, true)) next_.data += '\n';
  next_.data += value;
}

} // namespace banyan
