#pragma once

#include <filesystem>
#include <string>

namespace banyan {

/// A daemon's folder, and that no other daemon uses it. Root may make it for somebody whom it then
/// becomes: what it gives away is the folder itself, where it is new or empty, and nothing that is
/// found in it or behind a symbolic link.
class data_folder {
public:
  /// Makes the folder where it is missing. One that is empty and our own, and no place like /tmp
  /// that others write to, becomes private, and `owner`'s where root starts the daemon and `owner`
  /// is not empty. Throws `bad_environment`.
  data_folder(const std::filesystem::path&, const std::string& owner);
  ~data_folder();
  data_folder(const data_folder&) = delete;
  data_folder& operator=(const data_folder&) = delete;

  /// Takes the folder, as whoever the process is by now, until the end of this object. Throws
  /// `bad_environment`, also where another daemon has it.
  void lock();

private:
  bool is_to_be_had(const std::string& owner) const;
  bool is_empty() const;
  void make_private(const std::string& owner) const;

  std::filesystem::path path_;
  int folder_ = -1, lock_ = -1; ///< descriptors
};

} // namespace banyan
