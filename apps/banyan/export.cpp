#include "apps/banyan/commands.hpp"

#include "apps/chrome_trace.hpp"
#include "apps/interrupt.hpp"
#include "apps/json.hpp"
#include "apps/line_sink.hpp"
#include "apps/problem_file.hpp"
#include "apps/terminal.hpp"
#include "apps/tree_mirror.hpp"
#include "apps/tree_query.hpp"
#include "solver/record_file.hpp"
#include "solver/unix_time.hpp"

#include <algorithm>
#include <memory>
#include <optional>
#include <set>

#include <nlohmann/json.hpp>

namespace banyan {

namespace fs = std::filesystem;

namespace {

using json = client::json;

enum class export_format { jsonl, records, chrome };

struct export_options {
  common_options common;
  client_options daemon;
  tree_query which;
  std::vector<std::string> ids;
  fs::path out, store;
  std::optional<export_format> format; ///< nothing: as `out` ends
};

constexpr auto about =
    "Writes trees, oldest first: as JSON lines, as Protobuf records (.trees), or as a trace that\n"
    "https://ui.perfetto.dev opens, where a tree is a process and each of its threads a track. "
    "They\n"
    "come from the daemon, or straight from the file of its store; token ids, and so records, are\n"
    "in the store alone. A damaged tree is named and left out; the exit code is then 3.";

constexpr auto examples =
    "  banyan export --state done --out trees.jsonl\n"
    "  banyan export 01J9ZC3V7R2M8Q5T4W6X0Y1B3D --format chrome --out trace.json\n"
    "  banyan export --since 2h --label run=a | jq .usage\n"
    "  banyan export --store ~/.local/share/banyan/trees.db --out all.trees\n";

option_list declare(export_options& o) {
  option_list list("export", "[ID...] [options]", about, examples);
  declare(list, o.which);
  declare_times(list, o.which);
  list.group("From where, to where");
  list.path("store", o.store, "FILE", "read this store instead of asking the daemon");
  list.choice("format", o.format,
              {{"jsonl", export_format::jsonl},
               {"records", export_format::records},
               {"chrome", export_format::chrome}},
              "default: as --out ends (.jsonl, .trees, .json)");
  list.path("out", o.out, "FILE", "default, and `-`: standard output");
  declare(list, o.daemon);
  declare(list, o.common);
  list.positional(o.ids);
  return list;
}

export_format format_of(const fs::path& out) {
  if (out.extension() == ".trees") return export_format::records;
  if (out.extension() == ".json") return export_format::chrome;
  return export_format::jsonl;
}

void complete(export_options& o, const option_list& list) {
  if (!o.format) o.format = format_of(o.out);
  if (o.out == "-") o.out.clear();
  if (same_file(o.out, o.store))
    throw bad_usage("--out", "it is the file of --store", "give another one");
  if (!o.ids.empty())
    for (const auto* filter : tree_query::names)
      if (list.given(filter))
        throw bad_usage(std::string("--") + filter, "the trees are named by their ids already",
                        "leave it out, or the ids");
  std::set<std::string> named;
  std::erase_if(o.ids, [&](const auto& id) { return !named.insert(id).second; });
  if (o.format != export_format::records) return;
  if (o.store.empty())
    throw bad_usage("--format records", "the daemon tells no token ids over HTTP",
                    "give the file of its store with --store FILE");
  if (o.out.empty())
    throw bad_usage("--format records", "records go to a file", "give --out FILE.trees");
}

// ---- where trees go

class tree_sink {
public:
  virtual ~tree_sink() = default;
  virtual void write(const tree&) = 0;
  virtual void write(const json& as_told) { write(read_tree(as_told)); }
  virtual void commit() = 0;
};

class json_sink : public tree_sink {
public:
  explicit json_sink(const fs::path& out) : out_(out) {}
  void write(const tree& t) override { out_.write(tree_json(t) + "\n"); }
  void write(const json& j) override {
    out_.write(j.dump(-1, ' ', false, json::error_handler_t::replace) + "\n");
  }
  void commit() override { out_.commit(); }

private:
  line_sink out_;
};

class chrome_sink : public tree_sink {
public:
  explicit chrome_sink(const fs::path& out) : out_(out) { out_.write(chrome_trace_begin); }
  void write(const tree& t) override {
    out_.write((written_ > 0 ? ",\n" : "") + chrome_trace_events(t, written_ + 1));
    ++written_;
  }
  void commit() override {
    out_.write(chrome_trace_end);
    out_.commit();
  }

private:
  line_sink out_;
  std::size_t written_ = 0;
};

class record_sink : public tree_sink {
public:
  explicit record_sink(const fs::path& out) : out_(out) {}
  void write(const tree& t) override { out_.write(encode_record(t)); }
  void commit() override { out_.commit(); }

private:
  line_sink out_;
};

std::unique_ptr<tree_sink> open_sink(const export_options& o) {
  switch (*o.format) {
  case export_format::records: return std::make_unique<record_sink>(o.out);
  case export_format::chrome: return std::make_unique<chrome_sink>(o.out);
  case export_format::jsonl: break;
  }
  return std::make_unique<json_sink>(o.out);
}

// ---- where they come from

class counter {
public:
  explicit counter(const common_options& o) : options_(o), line_(o.quiet) {}
  void add() {
    if (++written_ % 50 == 0) line_.show("banyan: wrote " + counted(written_, "tree"));
  }

  /// A tree that cannot be read.
  void leave_out(const std::string& id, const std::string& why) {
    if (!left_out_.insert(id).second) return;
    line_.clear();
    print_error("banyan: " + why + "\n");
  }

  /// The exit code.
  int finish() {
    line_.clear();
    auto text = "wrote " + counted(written_, "tree");
    if (!left_out_.empty()) text += ", left out " + std::to_string(left_out_.size()) + " damaged";
    options_.log(common_options::level::info, text);
    return left_out_.empty() ? exit_done : exit_environment;
  }

private:
  std::set<std::string> left_out_;
  const common_options& options_;
  progress_line line_;
  std::size_t written_ = 0;
};

/// The list is newest first, and grows at its begin while it is read: so first all ids, then the
/// trees from the end.
void export_from_daemon(const export_options& o, tree_filter filter, tree_sink& out,
                        counter& progress) {
  client daemon(o.daemon);
  auto ids = o.ids;
  if (ids.empty()) {
    std::vector<std::pair<std::string, std::string>> found; // created, id
    list_trees(
        daemon, filter, SIZE_MAX,
        [&](json&& t) { found.emplace_back(text_field(t, "created"), text_field(t, "id")); },
        [&](const std::string& id) { found.emplace_back("", id); }); // which says why, asked for
    std::ranges::stable_sort(found);
    for (auto& [created, id] : found) ids.push_back(std::move(id));
  }
  for (const auto& id : ids) try {
      out.write(whole_tree(daemon, id));
      progress.add();
    } catch (const damaged_there& why) {
      progress.leave_out(id, why.what());
    } catch (const refused& no) {
      const bool dropped_since = no.status == 404 && o.ids.empty();
      if (!dropped_since) throw;
    }
}

void export_from_store(const export_options& o, tree_filter filter, tree_sink& out,
                       counter& progress) {
  const tree_store store(o.store, {.read_only = true});
  const auto leave_out = [&](const damaged_tree& one) { progress.leave_out(one.id, one.what()); };
  for (const auto& id : o.ids) try {
      const auto t = store.find(id);
      if (!t) throw bad_usage(id, "no such tree is in " + o.store.string(), "check the id");
      out.write(*t);
      progress.add();
    } catch (const damaged_tree& one) {
      leave_out(one);
    }
  if (!o.ids.empty()) return;
  filter.limit = INT64_MAX;
  store.for_each(
      filter,
      [&](tree&& t) {
        if (interrupted() != 0) throw was_interrupted();
        out.write(t);
        progress.add();
        return true;
      },
      leave_out);
}

} // namespace

int export_command(command_words words) {
  export_options o;
  auto list = declare(o);
  if (!parse(list, o.common, o.daemon, words)) return exit_done;
  complete(o, list);
  auto filter = o.which.filter(list, unix_ms_now());
  const auto out = open_sink(o);
  counter progress(o.common);
  o.store.empty() ? export_from_daemon(o, std::move(filter), *out, progress)
                  : export_from_store(o, std::move(filter), *out, progress);
  out->commit();
  return progress.finish();
}

} // namespace banyan
