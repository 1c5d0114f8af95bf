#pragma once

#include "actors/status.hpp"
#include "apps/serving/forest.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include <prometheus/collectable.h>

namespace banyan {

/// What the HTTP side counts itself.
struct http_counters {
  std::map<std::tuple<std::string, std::string, int>, std::uint64_t>
      requests;                             ///< by method, path template and status
  std::map<std::string, histogram> seconds; ///< until the response began, by path template
  std::uint64_t event_streams = 0;          ///< open now

  void count(const std::string& method, const std::string& path, int status, double seconds);
};

/// A moment of the daemon in Prometheus' terms. Nothing is counted here: all figures are those of
/// the status.
class daemon_metrics : public prometheus::Collectable {
public:
  daemon_metrics(const forest_status& s, const http_counters& http) : s_(s), http_(http) {}
  std::vector<prometheus::MetricFamily> Collect() const override;

private:
  const forest_status& s_;
  const http_counters& http_;
};

/// In the text format that Prometheus reads.
std::string metrics_text(const prometheus::Collectable&);

} // namespace banyan
