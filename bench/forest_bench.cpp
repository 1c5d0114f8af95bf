// What a daemon adds to decoding: the real server, node, actors and store over a device that says
// what is in a script and takes a given time for a step. So decoding costs no core, as on a GPU,
// and the rest can be told from it.
//
//   forest_bench [overhead] [looks] [--clients 200] [--seconds 5] [--step-ms 4] [--tokens 48]
//                [--threads 10000] [--folder DIR] [--sync full|normal] [--spin]
//
// overhead  clients that wait for a tree each, again and again, and ask for /healthz in between:
// what a
//           tree's answer takes beyond the tree's own life, against what any answer takes
// looks     trees of many live threads: pages, lists, status and metrics, and tokens per second
// with
//           and without somebody who looks all the time
//
// --spin: a step keeps a core busy instead of sleeping. --folder: where the store is, for its disk.

#include "apps/actor_house.hpp"
#include "apps/serving/http_server.hpp"
#include "apps/serving/live_forest.hpp"
#include "gpu_pool/pool.hpp"
#include "gpu_pool/scripted_evaluator.hpp"
#include "model/tokenizer.hpp"
#include "solver/trace.hpp"
#include "tests/http_client.hpp"
#include "trainer/store_actor.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <thread>
#include <vector>

#include <boost/program_options.hpp>
#include <sys/epoll.h>
#include <sys/resource.h>

using namespace banyan;

namespace {

using steady = std::chrono::steady_clock;
using milliseconds = std::chrono::duration<double, std::milli>;

struct bench_options {
  std::vector<std::string> parts;
  std::size_t clients = 200, threads = 10000;
  double seconds = 5, step_ms = 4;
  int tokens = 48;
  std::string folder = std::filesystem::temp_directory_path(), sync = "full";
  bool spin = false;
};

// ---- the device

/// Takes at least this long for a step.
class timed_device : public evaluator {
public:
  timed_device(std::unique_ptr<evaluator> says, const std::atomic<double>& step_ms, bool spin)
      : says_(std::move(says)), step_ms_(step_ms), spin_(spin) {}

  std::span<const float> run(const decode_batch& batch, std::uint32_t epoch) override {
    const auto until =
        steady::now() + std::chrono::duration_cast<steady::duration>(milliseconds(step_ms_.load()));
    const auto logits = says_->run(batch, epoch);
    if (!spin_) std::this_thread::sleep_until(until);
    while (steady::now() < until) {
    }
    return logits;
  }
  void take(std::uint32_t epoch, std::shared_ptr<const transformer> model) override {
    says_->take(epoch, std::move(model));
  }
  void load(std::uint32_t epoch, const std::filesystem::path& folder) override {
    says_->load(epoch, folder);
  }
  void forget(std::uint32_t epoch) override { says_->forget(epoch); }

private:
  std::unique_ptr<evaluator> says_;
  const std::atomic<double>& step_ms_;
  bool spin_;
};

// ---- what it says

const problem asked{{42, 61, 66}, 47};
constexpr auto operation = "66-42=24";
constexpr auto numbers = "[61, 24]";

/// Looks at so many first steps and spawns a child for each.
std::string spawning(const std::string& node, std::size_t children, int level) {
  std::string steps, block = "<Calling Sub Searches>\n";
  for (std::size_t i = 0; i < children; ++i) {
    const auto child = node + "," + std::to_string(i);
    steps += std::string("Exploring Operation: ") + operation + ", Resulting Numbers: " + numbers
             + "\nGenerated Node #" + child + ": 47:" + numbers + " Operation: " + operation + "\n";
    block += "<Start Sub Search " + std::to_string(i) + " at level " + std::to_string(level)
             + "> Moving to Node #" + child + "\n";
  }
  return steps + block + "<End Calling Sub Searches>\n";
}

std::string child_prompt(const std::string& node) {
  return "Moving to Node #" + node + "\nCurrent State: 47:" + numbers + ", Operations: ['"
         + operation + "']\n";
}

class scripts {
public:
  void add(const std::string& prompt, const std::string& continuation, bool ends = false) {
    all_.push_back({words_->encode(prompt), words_->encode(continuation)});
    if (ends) all_.back().continuation.push_back(words_->eos_id());
  }

  /// What nobody wrote down goes on with empty lines.
  std::unique_ptr<evaluator> device(std::int32_t num_blocks, std::int32_t block_size) const {
    const auto filler = words_->encode("\n").front();
    return std::make_unique<scripted_evaluator>(all_, filler, num_blocks, block_size,
                                                words_->vocab_size());
  }

private:
  std::shared_ptr<const tokenizer> words_ = countdown_tokenizer();
  std::vector<script> all_;
};

// ---- a daemon

pool_source source() {
  pool_source s;
  s.model.vocabulary = countdown_tokenizer();
  s.model.config.vocab_size = s.model.vocabulary->vocab_size();
  s.model.config.eos_id = s.model.vocabulary->eos_id();
  s.model.config.max_positions = 1 << 17;
  return s;
}

class small_daemon {
public:
  small_daemon(const bench_options& o, const scripts& says) : step_ms_(0) {
    auto name = o.folder + "/forest-bench-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr)
      throw std::runtime_error(o.folder + ": no folder can be made there; name another --folder");
    folder_ = name;
    auto events = std::make_shared<event_hub>();
    house_options house;
    house.concurrency = 1 << 20;
    house.events = events;
    forest_options trees;
    house.make_store = [&](caf::actor_system& system) {
      tree_store file(folder_ / "trees.db", {.sync = o.sync == "full"});
      trees.gauge = file.gauge();
      return spawn_store(system, std::move(file), {});
    };
    house.make_pool = [&](caf::actor_system& system, pool_options options,
                          const pool_source& from) {
      constexpr std::int32_t num_blocks = 1 << 16;
      auto device = std::make_unique<timed_device>(
          says.device(num_blocks, options.scheduling.block_size), step_ms_, o.spin);
      return spawn_pool(system, std::move(options), std::move(device), num_blocks,
                        from.model.config, from.model.vocabulary);
    };
    house_ = std::make_unique<actor_house>(std::vector{source()}, std::move(house));
    trees.store = folder_ / "trees.db";
    trees.events = events;
    forest_ = std::make_unique<live_forest>(*house_, std::move(trees));
    http_options http;
    http.port = 0;
    http.max_connections = 4 * o.clients;
    server_ = std::make_unique<http_server>(*forest_, std::move(http));
  }

  ~small_daemon() {
    step_ms_ = 0;
    server_.reset();
    house_->park(std::chrono::seconds(10));
    forest_.reset();
    house_.reset();
    std::filesystem::remove_all(folder_);
  }

  void set_step(double ms) { step_ms_ = ms; }
  std::uint16_t port() const { return server_->port(); }

private:
  std::filesystem::path folder_;
  std::atomic<double> step_ms_;
  std::unique_ptr<actor_house> house_;
  std::unique_ptr<live_forest> forest_;
  std::unique_ptr<http_server> server_;
};

// ---- figures

double share(std::vector<double> values, double q) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  return values[std::min(values.size() - 1, static_cast<std::size_t>(q * double(values.size())))];
}

void show(const char* name, const std::vector<double>& ms) {
  std::printf("%-34s p50 %8.3f   p90 %8.3f   p99 %8.3f ms   (%zu)\n", name, share(ms, 0.5),
              share(ms, 0.9), share(ms, 0.99), ms.size());
}

double cpu_s(int who) {
  rusage used{};
  ::getrusage(who, &used);
  const auto s = [](const timeval& t) { return double(t.tv_sec) + 1e-6 * double(t.tv_usec); };
  return s(used.ru_utime) + s(used.ru_stime);
}

double number_behind(std::string_view text, std::string_view name) {
  const auto at = text.find(name);
  if (at == text.npos) throw std::runtime_error("no " + std::string(name) + " in an answer");
  return std::stod(std::string(text.substr(at + name.size(), 24)));
}

// ---- overhead

std::string tree_body(const std::string& more, std::int64_t target = asked.target) {
  return R"({"problem": {"numbers": [42, 61, 66], "target": )" + std::to_string(target) + "}" + more
         + "}";
}

/// Trees of different lengths, so that they do not all end in the same step.
constexpr int lengths = 32;

/// Asks for a tree and for /healthz in turn.
struct caller {
  explicit caller(std::uint16_t port) : connection(port) {}

  void ask(std::size_t number) {
    began = steady::now();
    wants_tree = !wants_tree;
    const auto target = static_cast<std::int64_t>(100 + number % lengths);
    connection.send(wants_tree ? request_text("POST", "/v1/trees", tree_body("", target))
                               : request_text("GET", "/healthz"));
  }

  raw_client connection;
  steady::time_point began;
  bool wants_tree = false;
};

struct measured {
  std::vector<double> tree, life, extra, health;
  double wall_s = 0, cpu_s = 0;
};

measured call(std::uint16_t port, const bench_options& o) {
  std::vector<caller> callers;
  for (std::size_t i = 0; i < o.clients; ++i) callers.emplace_back(port);
  const int poll = ::epoll_create1(EPOLL_CLOEXEC);
  for (auto& c : callers) {
    epoll_event what{};
    what.events = EPOLLIN;
    what.data.ptr = &c;
    ::epoll_ctl(poll, EPOLL_CTL_ADD, c.connection.descriptor(), &what);
  }
  measured m;
  const auto cpu = cpu_s(RUSAGE_SELF) - cpu_s(RUSAGE_THREAD);
  const auto begin = steady::now();
  const auto end = begin + std::chrono::duration<double>(o.seconds);
  // They come one after the other, about as long as a tree lives.
  const auto between = milliseconds(o.tokens * o.step_ms / double(o.clients));
  std::size_t open = 0, begun = 0, number = 0;
  while (open > 0 || steady::now() < end) {
    while (begun < callers.size() && steady::now() - begin > between * double(begun)) {
      callers[begun++].ask(number++);
      ++open;
    }
    epoll_event ready[256];
    const int n = ::epoll_wait(poll, ready, 256, begun < callers.size() ? 1 : 100);
    for (int i = 0; i < n; ++i) {
      auto& c = *static_cast<caller*>(ready[i].data.ptr);
      const auto answer = read_answer(c.connection);
      const auto took = milliseconds(steady::now() - c.began).count();
      if (answer.status != 200) throw std::runtime_error(answer.body);
      if (c.wants_tree) {
        m.tree.push_back(took);
        m.life.push_back(number_behind(answer.body, "\"wall_ms\":"));
        m.extra.push_back(took - m.life.back());
      } else {
        m.health.push_back(took);
      }
      steady::now() < end ? c.ask(number++) : void(--open);
    }
  }
  ::close(poll);
  m.wall_s = std::chrono::duration<double>(steady::now() - begin).count();
  m.cpu_s = cpu_s(RUSAGE_SELF) - cpu_s(RUSAGE_THREAD) - cpu;
  return m;
}

void overhead(const bench_options& o) {
  scripts says;
  const auto step = std::string("Exploring Operation: ") + operation
                    + ", Resulting Numbers: " + numbers + "\n"; // 17 tokens
  for (int i = 0; i < lengths; ++i) {
    std::string text(static_cast<std::size_t>(o.tokens * (lengths / 2 + i) / lengths), '\n');
    says.add(root_prompt({asked.numbers, 100 + i}), text + step + "No solution found.\n", true);
  }
  small_daemon d(o, says);
  auto warm = o;
  warm.seconds = 0.5;
  call(d.port(), warm);
  d.set_step(o.step_ms);
  const auto m = call(d.port(), o);
  std::printf(
      "%zu clients, %.0f trees/s, steps of %g ms, --sync %s; %.0f us of CPU a tree, %.0f %% "
      "of a core\n",
      o.clients, double(m.tree.size()) / m.wall_s, o.step_ms, o.sync.c_str(),
      1e6 * m.cpu_s / double(m.tree.size()), 100 * m.cpu_s / m.wall_s);
  show("a tree's answer", m.tree);
  show("a tree's own life", m.life);
  show("the answer beyond the life", m.extra);
  show("/healthz", m.health);
}

// ---- looks

struct looks_at {
  std::uint16_t port;
  raw_client connection{port};

  std::string get(const std::string& path) {
    connection.send(request_text("GET", path));
    auto answer = read_answer(connection);
    if (answer.status != 200) throw std::runtime_error(path + ": " + answer.body);
    return answer.body;
  }
  std::vector<double> times(const std::string& path, int count) {
    std::vector<double> ms;
    for (int i = 0; i < count; ++i) {
      const auto begin = steady::now();
      get(path);
      ms.push_back(milliseconds(steady::now() - begin).count());
    }
    return ms;
  }
  double tokens() { return number_behind(get("/v1/pools"), "\"generated_tokens\":"); }
  std::size_t live() {
    return static_cast<std::size_t>(number_behind(get("/v1/threads?limit=1"), "\"total\":"));
  }
};

double tokens_per_s(looks_at& one, double time_s, const std::function<void()>& meanwhile) {
  const auto before = one.tokens();
  const auto begin = steady::now();
  const auto passed = [&] { return std::chrono::duration<double>(steady::now() - begin).count(); };
  while (passed() < time_s) meanwhile();
  return (one.tokens() - before) / passed();
}

/// A large tree, and as many trees of one thread.
void looks(const bench_options& o) {
  const std::size_t children = 10, grandchildren = o.threads / 2 / children;
  scripts says;
  says.add(root_prompt(asked, {.sub_call_budget = 10}), spawning("0", children, 1));
  for (std::size_t i = 0; i < children; ++i) {
    const auto node = "0," + std::to_string(i);
    says.add(child_prompt(node), spawning(node, grandchildren, 2));
  }
  small_daemon d(o, says);
  looks_at one{d.port()};
  const std::string kept = R"(, "wait": false, "budget": {"max_threads": 100000, "max_depth": 2,
      "deadline_s": 100000})";
  one.connection.send(request_text("POST", "/v1/trees", tree_body(kept + R"(, "children": 10)")));
  const auto created = read_answer(one.connection).body;
  const auto id = created.substr(created.find(':') + 2, 26);
  const auto wanted = 1 + children + children * grandchildren;
  while (one.live() < wanted) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  d.set_step(o.step_ms);
  for (std::size_t i = 0; i < o.threads / 2; ++i) {
    one.connection.send(request_text("POST", "/v1/trees", tree_body(kept)));
    read_answer(one.connection);
  }
  std::printf("%zu live threads, %zu of them in one tree\n", one.live(), wanted);
  const std::vector<std::string> paths{"/v1/threads?limit=100",
                                       "/v1/threads?limit=1000",
                                       "/v1/trees/" + id + "/threads?limit=100",
                                       "/v1/trees/" + id + "/threads?path=/3/7",
                                       "/v1/trees/" + id + "?texts=false",
                                       "/v1/trees/" + id,
                                       "/v1/trees?limit=20",
                                       "/v1/trees?limit=100&state=running",
                                       "/v1/status",
                                       "/metrics",
                                       "/healthz"};
  for (const auto& path : paths) show(path.c_str(), one.times(path, 20));
  const auto alone = tokens_per_s(
      one, o.seconds, [] { std::this_thread::sleep_for(std::chrono::milliseconds(100)); });
  std::size_t next = 0;
  const auto cpu = cpu_s(RUSAGE_SELF) - cpu_s(RUSAGE_THREAD);
  const auto seen = tokens_per_s(one, o.seconds, [&] {
    one.get(paths[next++ % paths.size()]);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  });
  std::printf("%.0f tokens/s alone, %.0f (%.1f %%) with %zu looks in %g s, %.0f %% of a core\n",
              alone, seen, 100 * seen / alone, next, o.seconds,
              100 * (cpu_s(RUSAGE_SELF) - cpu_s(RUSAGE_THREAD) - cpu) / o.seconds);
}

bench_options parse(int argc, char** argv) {
  namespace po = boost::program_options;
  bench_options o;
  po::options_description all;
  all.add_options()("part", po::value(&o.parts))("clients", po::value(&o.clients))(
      "threads", po::value(&o.threads))("seconds", po::value(&o.seconds))(
      "step-ms", po::value(&o.step_ms))("tokens", po::value(&o.tokens))(
      "folder", po::value(&o.folder))("sync", po::value(&o.sync))("spin", po::bool_switch(&o.spin));
  po::positional_options_description parts;
  parts.add("part", -1);
  po::variables_map given;
  po::store(po::command_line_parser(argc, argv).options(all).positional(parts).run(), given);
  po::notify(given);
  if (o.parts.empty()) o.parts = {"overhead", "looks"};
  return o;
}

} // namespace

int main(int argc, char** argv) try {
  const auto options = parse(argc, argv);
  for (const auto& part : options.parts) part == "looks" ? looks(options) : overhead(options);
  std::fflush(stdout);
  std::_Exit(0);
} catch (const std::exception& why) {
  std::cerr << "forest_bench: " << why.what() << "\n";
  return 2;
}
