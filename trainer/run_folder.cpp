#include "trainer/run_folder.hpp"

#include "model/atomic_file.hpp"
#include "model/checkpoint.hpp"
#include "trainer/checksums.hpp"
#include "trainer/run_state.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <map>
#include <optional>
#include <ranges>
#include <string>
#include <string_view>
#include <vector>

#include <signal.h>
#include <unistd.h>

namespace banyan {

namespace fs = std::filesystem;

namespace {

/// Points `link` at `target` in one rename, so that it always names a whole checkpoint.
void point_link(const fs::path& link, const fs::path& target) {
  auto fresh = link;
  fresh += ".new";
  fs::remove(fresh);
  fs::create_directory_symlink(target, fresh);
  fs::rename(fresh, link);
  sync_folder(folder_of(link));
}

/// All of a text as a number.
std::optional<std::int64_t> number_in(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return {};
  return number;
}

std::optional<std::int64_t> step_of(const fs::directory_entry& entry) {
  constexpr std::string_view begin = "step-";
  const auto name = entry.path().filename().string();
  if (!entry.is_directory() || !name.starts_with(begin)) return {};
  return number_in(std::string_view(name).substr(begin.size()));
}

/// Did a process that is gone leave it? Nobody writes here while we begin, so not we ourselves.
bool is_leftover(const std::string& name) {
  constexpr std::string_view mark = ".tmp-";
  const auto at = name.find(mark);
  if (at == name.npos) return false;
  const auto owner = std::string_view(name).substr(at + mark.size());
  const auto process = number_in(owner.substr(0, owner.find('-')));
  if (!process) return false;
  return *process == ::getpid() || (::kill(static_cast<pid_t>(*process), 0) != 0 && errno == ESRCH);
}

bool is_ours(const std::string& name) {
  return std::ranges::any_of(std::array{"step-", "reference.", "train.conf.", "log.jsonl."},
                             [&](const char* begin) { return name.starts_with(begin); });
}

const fs::path& made(const fs::path& folder) {
  fs::create_directories(folder);
  return folder;
}

/// By number.
std::map<std::int64_t, fs::path> checkpoints_in(const fs::path& folder) {
  std::map<std::int64_t, fs::path> all;
  for (const auto& entry : fs::directory_iterator(folder))
    if (const auto step = step_of(entry)) all[*step] = entry.path();
  return all;
}

void remove_leftovers(const fs::path& folder) {
  std::vector<fs::path> dead;
  for (const auto& entry : fs::directory_iterator(folder))
    if (const auto name = entry.path().filename().string(); is_ours(name) && is_leftover(name))
      dead.push_back(entry.path());
  for (const auto& path : dead) fs::remove_all(path);
}

} // namespace

run_folder::run_folder(fs::path out, std::int64_t keep)
    : out_(std::move(out)), keep_(keep), lock_(made(out_)) {
  remove_leftovers(out_);
}

fs::path run_folder::folder_of(std::int64_t step) const { return out_ / checkpoint_name(step); }

void run_folder::save(std::int64_t step, const model_weights& weights, const tokenizer& vocabulary,
                      const std::function<void(const fs::path&)>& also) {
  const auto folder = folder_of(step);
  save_checkpoint(folder, weights, vocabulary, [&](const fs::path& to) {
    if (also) also(to);
    write_checksums(to);
  });
  point_link(last(), folder.filename());
  forget_others(step);
}

void run_folder::forget_others(std::int64_t newest) const {
  const auto all = checkpoints_in(out_);
  auto places = std::max<std::int64_t>(keep_, 1);
  for (const auto& [step, folder] : std::views::reverse(all))
    if (step > newest || places-- <= 0) fs::remove_all(folder);
}

std::string checkpoints_left(const fs::path& out) {
  std::string names;
  std::size_t open = 0;
  const auto all = checkpoints_in(out);
  for (const auto& [step, folder] : all) {
    if (!names.empty()) names += ++open + 1 < all.size() ? ", " : " and ";
    names += folder.filename().string();
  }
  if (all.empty()) return "no checkpoint is left there";
  return names + (all.size() == 1 ? " is" : " are") + " still there";
}

std::string checkpoint_name(std::int64_t step) {
  const auto digits = std::to_string(step);
  return "step-" + std::string(digits.size() < 6 ? 6 - digits.size() : 0, '0') + digits;
}

bool holds_run(const fs::path& out) {
  if (!fs::is_directory(out)) return false;
  const auto log = out / "log.jsonl";
  return fs::exists(fs::symlink_status(out / "last")) || !checkpoints_in(out).empty()
         || (fs::is_regular_file(log) && fs::file_size(log) > 0);
}

std::string newest_whole_checkpoint(const fs::path& out, const fs::path& but) {
  const auto all = checkpoints_in(out);
  for (const auto& [step, folder] : std::views::reverse(all))
    if (folder.filename() != but.filename() && step_of_checkpoint(folder) == step)
      return folder.filename().string();
  return {};
}

} // namespace banyan
