#pragma once

namespace banyan {

struct store_options {
  /// true: a commit is on the disk when it returns (`synchronous=FULL`), a power cut loses nothing
  /// that was acknowledged; false: a killed process loses nothing, a power cut the last moments.
  bool sync = true;
  bool read_only = false;
  double busy_s = 5; ///< patience with another process that has the file locked
};

} // namespace banyan
