#include "trainer/run_folder.hpp"

#include "model/atomic_file.hpp"
#include "model/checkpoint.hpp"
#include "model/read_file.hpp"
#include "model/safetensors.hpp"
#include "model/weights.hpp"
#include "trainer/checksums.hpp"
#include "trainer/not_finite.hpp"
#include "trainer/optimizer.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <map>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>
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

void save_state(const fs::path& folder, const optimizer& update,
                const nlohmann::ordered_json& state) {
  write_safetensors(folder / "trainer.safetensors", update.state());
  write_file_atomically(folder / "trainer.json", state.dump(2) + "\n");
}

std::map<std::string, at::Tensor> read_tensors(const fs::path& file) {
  auto all = map_safetensors(file).tensors;
  if (const auto name = find_not_finite(all); !name.empty())
    throw bad_checkpoint(file.string() + ": " + name
                         + " has values that are not finite; go back to an earlier checkpoint");
  return all;
}

void restore_state(const fs::path& folder, optimizer& update,
                   const std::function<void(const nlohmann::ordered_json&)>& take) {
  const auto damaged = [&folder](const std::string& what) {
    throw bad_checkpoint((folder / "trainer.json").string() + ": " + what
                         + "; go back to an earlier checkpoint");
  };
  try {
    update.restore(read_tensors(folder / "trainer.safetensors"));
    take(nlohmann::ordered_json::parse(read_file(folder / "trainer.json")));
  } catch (const nlohmann::json::parse_error&) {
    damaged("not JSON");
  } catch (const nlohmann::json::exception&) {
    damaged("an entry is missing, or is not what it should be");
  } catch (const std::domain_error& e) {
    damaged(e.what());
  } catch (const std::invalid_argument& e) {
    throw bad_checkpoint((folder / "trainer.safetensors").string() + ": " + e.what()
                         + "; it is another run's: go back to an earlier checkpoint");
  }
}

void require_unchanged(const fs::path& folder) {
  const auto other = "go back to an earlier checkpoint";
  try {
    if (const auto file = changed_file(folder); !file.empty())
      throw bad_checkpoint(file.string() + ": it is not as it was written (its checksum differs); "
                           + other);
  } catch (const nlohmann::json::exception&) {
    throw bad_checkpoint((folder / checksum_file).string() + ": not JSON; " + other);
  }
}

std::string lost_lines(const fs::path& out, std::int64_t steps) {
  return (out / "log.jsonl").string() + ": the lines of " + std::to_string(steps)
         + (steps == 1 ? " step" : " steps") + " are missing; the run goes on without them";
}

void require_shape(const model_weights& ours, const model_weights& theirs, const fs::path& folder) {
  const auto mine = named_views(ours), given = named_views(theirs);
  const auto alike = [](const named_tensor& a, const named_tensor& b) {
    return a.name == b.name && a.value.sizes() == b.value.sizes();
  };
  if (std::ranges::equal(mine, given, alike) && ours.config.num_heads == theirs.config.num_heads
      && ours.config.rope_theta == theirs.config.rope_theta)
    return;
  throw bad_checkpoint(
      (folder / "config.json").string()
      + ": another shape than the run's; resume with the options it was started with");
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

std::string epoch_file(std::int64_t epoch) {
  return "epoch-" + std::to_string(epoch) + ".safetensors";
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

std::optional<std::int64_t> step_of_checkpoint(const fs::path& folder) {
  try {
    load_checkpoint(folder, dtype::float32, "cpu");
    map_safetensors(folder / "trainer.safetensors"); // it must be there, others may
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (entry.path().extension() == ".safetensors") read_tensors(entry.path());
      if (entry.path().extension() == ".json" && !nlohmann::json::accept(read_file(entry.path())))
        return {};
    }
    const auto state = nlohmann::json::parse(read_file(folder / "trainer.json"));
    const std::int64_t step = state.at("step");
    for (const std::int64_t epoch : state.value("epochs", nlohmann::json::array()))
      if (epoch != step && !fs::exists(folder / epoch_file(epoch))) return {};
    return changed_file(folder).empty() ? std::optional(step) : std::nullopt;
  } catch (const std::exception&) {
    return {}; // whatever is wrong with it
  }
}

std::string newest_whole_checkpoint(const fs::path& out, const fs::path& but) {
  const auto all = checkpoints_in(out);
  for (const auto& [step, folder] : std::views::reverse(all))
    if (folder.filename() != but.filename() && step_of_checkpoint(folder) == step)
      return folder.filename().string();
  return {};
}

void load_into(model_weights& weights, const fs::path& folder) {
  const auto from = load_checkpoint(folder, dtype::float32, weights.embedding.device().str());
  require_shape(weights, *from.weights, folder);
  auto mine = named_views(weights), saved = named_views(*from.weights);
  for (std::size_t i = 0; i < mine.size(); ++i) mine[i].value.detach().copy_(saved[i].value);
}

} // namespace banyan
