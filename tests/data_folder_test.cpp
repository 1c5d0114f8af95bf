#include "apps/banyand/data_folder.hpp"

#include "apps/failure.hpp"
#include "tests/scratch_folder.hpp"

#include <string>

#include <catch2/catch.hpp>
#include <pwd.h>
#include <sys/stat.h>

namespace banyan {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;

struct stat facts_of(const fs::path& path) {
  struct stat facts {};
  REQUIRE(::lstat(path.c_str(), &facts) == 0);
  return facts;
}

unsigned mode_of(const fs::path& path) { return facts_of(path).st_mode & 07777; }

/// Only root can give anything away; others see that nothing changes.
uid_t owner_of_what_is_given() {
  return ::geteuid() == 0 ? ::getpwnam("nobody")->pw_uid : ::geteuid();
}

std::string complaint(data_folder& folder) {
  try {
    folder.lock();
    return {};
  } catch (const bad_environment& why) {
    return why.what();
  }
}

TEST_CASE("a new data folder is private and its lock too", "[apps]") {
  const scratch_folder scratch;
  const auto path = scratch / "data";
  data_folder folder(path, "");
  folder.lock();
  CHECK(mode_of(path) == 0700);
  CHECK(mode_of(path / "lock") == 0600);
}

TEST_CASE("a new data folder belongs to its user and what is above it does not", "[apps]") {
  const scratch_folder scratch;
  const auto path = scratch / "above" / "data";
  const data_folder folder(path / "", "nobody");
  CHECK(facts_of(path).st_uid == owner_of_what_is_given());
  CHECK(facts_of(path.parent_path()).st_uid == ::geteuid());
  CHECK(mode_of(path.parent_path()) != 0700);
}

TEST_CASE("an empty data folder becomes its user's and one that is used does not", "[apps]") {
  const scratch_folder scratch;
  const auto empty = scratch / "empty", used = scratch / "used";
  for (const auto& path : {empty, used}) {
    fs::create_directory(path);
    fs::permissions(path, fs::perms(0755));
  }
  fs::create_directory(used / "of others");
  const data_folder first(empty, "nobody"), second(used, "nobody");
  CHECK(mode_of(empty) == 0700);
  CHECK(facts_of(empty).st_uid == owner_of_what_is_given());
  CHECK(mode_of(used) == 0755);
  CHECK(facts_of(used).st_uid == ::geteuid());
}

TEST_CASE("an empty data folder that others write to stays theirs", "[apps]") {
  const scratch_folder scratch;
  const auto path = scratch / "data";
  fs::create_directory(path);
  fs::permissions(path, fs::perms(01777));
  const data_folder folder(path, "nobody");
  CHECK(mode_of(path) == 01777);
  CHECK(facts_of(path).st_uid == ::geteuid());
}

TEST_CASE("what a linked data folder leads to is used and given to nobody", "[apps]") {
  const scratch_folder scratch;
  const auto target = scratch / "target", link = scratch / "link";
  fs::create_directory(target);
  fs::permissions(target, fs::perms(0755));
  fs::create_directory_symlink(target, link);
  data_folder folder(link / "", "nobody");
  folder.lock();
  CHECK(mode_of(target) == 0755);
  CHECK(facts_of(target).st_uid == ::geteuid());
  CHECK(fs::exists(target / "lock"));
}

TEST_CASE("a lock that is a link is refused and nobody gets what it leads to", "[apps]") {
  const scratch_folder scratch;
  const auto path = scratch / "data";
  fs::create_directory(path);
  scratch.write("secret", "of root");
  fs::permissions(scratch / "secret", fs::perms(0600));
  fs::create_symlink(scratch / "secret", path / "lock");
  data_folder folder(path, "nobody");
  CHECK_THAT(complaint(folder), Contains((path / "lock").string() + ": it is a symbolic link; "));
  CHECK(facts_of(scratch / "secret").st_uid == ::geteuid());
  CHECK(mode_of(scratch / "secret") == 0600);
}

TEST_CASE("a lock that was there stays whose it was", "[apps]") {
  const scratch_folder scratch;
  const auto path = scratch / "data";
  fs::create_directory(path);
  scratch.write("data/lock", "");
  data_folder folder(path, "nobody");
  folder.lock();
  CHECK(facts_of(path / "lock").st_uid == ::geteuid());
}

TEST_CASE("two daemons do not share a folder", "[apps]") {
  const scratch_folder scratch;
  const auto path = scratch / "data";
  data_folder first(path, ""), second(path, "");
  first.lock();
  CHECK_THAT(complaint(second), Contains(path.string() + ": another banyand or a run uses it; "));
}

TEST_CASE("a data folder that cannot be is named", "[apps]") {
  const scratch_folder scratch;
  scratch.write("file", "");
  CHECK_THROWS_WITH(data_folder(scratch / "file", ""), Contains("file: Not a directory; "));
  CHECK_THROWS_WITH(data_folder(scratch / "file" / "data", ""), Contains("data: "));
}

} // namespace
} // namespace banyan
