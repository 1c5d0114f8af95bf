// What a daemon adds to decoding, over a device that takes a given time for a step: so decoding
// costs no core, as on a GPU, and the rest can be told from it.

#include "bench/bench_options.hpp"
#include "bench/scripted_daemon.hpp"
#include "solver/trace.hpp"
#include "tests/http_client.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <thread>
#include <vector>

#include <sys/epoll.h>
#include <sys/resource.h>

using namespace banyan;

namespace {

using steady = std::chrono::steady_clock;
using milliseconds = std::chrono::duration<double, std::milli>;

struct bench_options {
  std::vector<std::string> parts;
  std::size_t threads = 10000;
  double seconds = 5, step_ms = 4;
  int tokens = 48;
  scripted_daemon_options daemon;
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
  for (std::size_t i = 0; i < o.daemon.clients; ++i) callers.emplace_back(port);
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
  const auto between = milliseconds(o.tokens * o.step_ms / double(o.daemon.clients));
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
  scripted_daemon d(o.daemon, says);
  auto warm = o;
  warm.seconds = 0.5;
  call(d.port(), warm);
  d.set_step(o.step_ms);
  const auto m = call(d.port(), o);
  std::printf(
      "%zu clients, %.0f trees/s, steps of %g ms, --sync %s; for a tree and a /healthz %.0f us of "
      "CPU, %.0f %% of a core\n",
      o.daemon.clients, double(m.tree.size()) / m.wall_s, o.step_ms,
      o.daemon.synced ? "full" : "normal", 1e6 * m.cpu_s / double(m.tree.size()),
      100 * m.cpu_s / m.wall_s);
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
  scripted_daemon d(o.daemon, says);
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
  bench_options o;
  auto list = bench_options_of(
      "forest_bench", "[overhead] [looks] [options]",
      "What a daemon adds to decoding: the real server, node, actors and store over a device that\n"
      "says what is in a script and takes a given time for a step.\n\n"
      "  overhead  clients that wait for a tree each, again and again, and ask for /healthz in\n"
      "            between: what a tree's answer takes beyond the tree's own life\n"
      "  looks     trees of many live threads: pages, lists, status and metrics, and tokens per\n"
      "            second with and without somebody who looks all the time");
  list.positional(o.parts);
  list.number("seconds", o.seconds, "of each measurement", {0.1, 3600});
  list.number("step-ms", o.step_ms, "that a step of the device takes", not_negative);
  list.number("clients", o.daemon.clients, "of `overhead`", positive);
  list.number("tokens", o.tokens, "of a tree, in the middle; of `overhead`", positive);
  list.number("threads", o.threads, "that live at a time; of `looks`", {100, 1e6});
  list.text("folder", o.daemon.folder, "DIR", "where the store is, for its disk");
  list.choice("sync", o.daemon.synced, {{"full", true}, {"normal", false}},
              "of the store, as banyand has it");
  list.flag("spin", o.daemon.spins, "a step keeps a core busy instead of sleeping");
  read_words(list, argc, argv);
  for (const auto& part : o.parts)
    if (part != "overhead" && part != "looks")
      throw bad_usage("'" + part + "'", "there is no such part", "give overhead or looks");
  if (o.parts.empty()) o.parts = {"overhead", "looks"};
  return o;
}

} // namespace

int main(int argc, char** argv) try {
  const auto options = parse(argc, argv);
  for (const auto& part : options.parts) part == "looks" ? looks(options) : overhead(options);
  std::fflush(stdout);
  std::_Exit(0);
} catch (...) {
  return told_failure("forest_bench");
}
