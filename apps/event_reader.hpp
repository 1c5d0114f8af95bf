#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace banyan {

/// One event of a stream.
struct server_event {
  std::string id, name, data;
};

/// Cuts a `text/event-stream` into events, however its bytes arrive.
class event_reader {
public:
  void feed(std::string_view bytes, const std::function<void(const server_event&)>& take);

private:
  void read_line(std::string_view line, const std::function<void(const server_event&)>& take);
  std::string rest_;
  server_event next_;
  bool has_data_ = false;
};

} // namespace banyan
