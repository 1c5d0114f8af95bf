#include "apps/client.hpp"

#include "apps/interrupt.hpp"
#include "apps/json_list.hpp"
#include "apps/terminal.hpp"
#include "apps/token_file.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include <curl/curl.h>
#include <nlohmann/json.hpp>

namespace banyan {

namespace {

using json = client::json;
using clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds glance{50}; // how long nobody looks whether there is something else to do
constexpr milliseconds first_pause{100}, longest_pause{2000};
constexpr long connect_ms = 5000;

std::string environment(const char* name) {
  const auto* value = std::getenv(name);
  return value ? value : "";
}

struct url_parts {
  std::string base, host;
};

std::string part(CURLU* url, CURLUPart what) {
  char* text = nullptr;
  if (curl_url_get(url, what, &text, 0) != CURLUE_OK) return {};
  const std::unique_ptr<char, decltype(&curl_free)> owned(text, curl_free);
  return text;
}

url_parts parsed_url(const std::string& text) {
  const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> url(curl_url(), curl_url_cleanup);
  const bool read =
      curl_url_set(url.get(), CURLUPART_URL, text.c_str(), CURLU_GUESS_SCHEME) == CURLUE_OK;
  const auto scheme = part(url.get(), CURLUPART_SCHEME);
  if (!read || (scheme != "http" && scheme != "https") || !part(url.get(), CURLUPART_QUERY).empty()
      || !part(url.get(), CURLUPART_FRAGMENT).empty())
    throw bad_usage(text, "it is not the address of a daemon", "write it as http://127.0.0.1:8427");
  auto base = part(url.get(), CURLUPART_URL);
  while (base.ends_with('/')) base.pop_back();
  return {std::move(base), part(url.get(), CURLUPART_HOST)};
}

bool is_loopback(const std::string& host) {
  return host == "localhost" || host.ends_with(".localhost") || host.starts_with("127.")
         || host == "[::1]";
}

struct free_list {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using headers = std::unique_ptr<curl_slist, free_list>;

void add(headers& list, const std::string& line) {
  list.reset(curl_slist_append(list.release(), line.c_str()));
}

/// What an answer brings.
struct exchange {
  std::string body, retry_after;
};

/// How long a daemon that went away is waited for, and how often it is looked for.
class patience {
public:
  explicit patience(double seconds) : most_(seconds) {}

  void renew() {
    broken_ = clock::now();
    pause_ = first_pause;
  }
  bool is_left() const { return clock::now() - broken_ <= most_; }
  milliseconds next_pause() { return std::exchange(pause_, std::min(2 * pause_, longest_pause)); }

private:
  std::chrono::duration<double> most_;
  clock::time_point broken_ = clock::now();
  milliseconds pause_ = first_pause;
};

/// A stream of events over all its connections.
struct event_stream {
  std::string last;   ///< id of the last event
  bool open = false;  ///< the last connection was one
  bool heard = false; ///< it brought an event
};

std::size_t take_body(const char* bytes, std::size_t, std::size_t size, void* to) {
  static_cast<exchange*>(to)->body.append(bytes, size);
  return size;
}

std::size_t take_header(const char* bytes, std::size_t, std::size_t size, void* to) {
  constexpr std::string_view wanted = "retry-after:";
  const std::string_view line(bytes, size);
  const auto same = [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; };
  if (std::ranges::equal(line.substr(0, wanted.size()), wanted, same))
    static_cast<exchange*>(to)->retry_after = line.substr(wanted.size());
  return size;
}

/// A part of the error in an answer; empty where it has none.
std::string part_of(const std::string& body, const char* name) {
  const auto j = json::parse(body, nullptr, false);
  if (!j.is_object() || !j.contains("error") || !j["error"].is_object()) return {};
  const auto i = j["error"].find(name);
  return i != j["error"].end() && i->is_string() ? i->get<std::string>() : std::string();
}

std::string code_of(const std::string& body) { return part_of(body, "code"); }

std::string told(const std::string& body) {
  const auto field = part_of(body, "field");
  auto message = part_of(body, "message");
  if (!field.empty() && message.find(": ") == message.npos) message = field + ": " + message;
  return printable(message);
}

const char* remedy(long status) {
  if (status == 401 || status == 403)
    return "give the daemon's token: --token-file or BANYAN_TOKEN";
  if (status == 404) return "`banyan ps --all` lists the trees";
  if (status == 429) return "try again later";
  return status >= 500 ? "see the daemon's log" : "see `banyan --help`";
}

} // namespace

// ---- options

void declare(option_list& list, client_options& o) {
  list.group("The daemon");
  list.text("url", o.url, "URL", "its address; also BANYAN_URL");
  list.path("token-file", o.token_file, "FILE",
            "holds the token that it asks for; also BANYAN_TOKEN");
  list.number("timeout", o.timeout_s, "seconds to wait for an answer", limits{0.001, 1e6});
}

bool parse(option_list& list, const common_options& common, client_options& o,
           std::span<const std::string> words) {
  if (!list.parse(words)) return false;
  const bool url_asked = list.given("url"), token_asked = list.given("token-file");
  read_config(list, common);
  const auto url = environment("BANYAN_URL"), token = environment("BANYAN_TOKEN");
  if (!url_asked && !url.empty()) o.url = url;
  if (!token_asked && !token.empty())
    o.token = token;
  else if (!o.token_file.empty())
    o.token = read_token(o.token_file);
  return true;
}

// ---- requests

struct client::impl {
  client_options options;
  url_parts url;
  std::function<void()> waits;
  std::unique_ptr<CURLM, decltype(&curl_multi_cleanup)> multi;
  std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> easy;

  explicit impl(const client_options& o)
      : options(o),
        url(parsed_url(o.url)),
        multi((curl_global_init(CURL_GLOBAL_DEFAULT), curl_multi_init()), curl_multi_cleanup),
        easy(curl_easy_init(), curl_easy_cleanup) {
    if (!multi || !easy) throw std::bad_alloc();
  }

  void look_up() const {
    if (waits) return waits();
    if (interrupted() != 0) throw was_interrupted();
  }

  template <class Value>
  void set(CURLoption option, Value value) {
    curl_easy_setopt(easy.get(), option, value);
  }

  long status() const {
    long code = 0;
    curl_easy_getinfo(easy.get(), CURLINFO_RESPONSE_CODE, &code);
    return code;
  }

  /// The connection stays open from request to request, the settings do not.
  headers prepare(const std::string& path, exchange& into) {
    curl_easy_reset(easy.get());
    set(CURLOPT_URL, (url.base + path).c_str());
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_CONNECTTIMEOUT_MS, std::min(connect_ms, std::lround(1000 * options.timeout_s)));
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    if (is_loopback(url.host)) set(CURLOPT_PROXY, "");
    set(CURLOPT_WRITEFUNCTION, take_body);
    set(CURLOPT_WRITEDATA, &into);
    set(CURLOPT_HEADERFUNCTION, take_header);
    set(CURLOPT_HEADERDATA, &into);
    headers list;
    add(list, "User-Agent: banyan");
    if (!options.token.empty()) add(list, "Authorization: Bearer " + options.token);
    return list;
  }

  /// `arrived` is called when something may have come; false: that is enough.
  CURLcode run(const std::function<bool()>& arrived = {}) {
    struct added {
      CURLM* multi;
      CURL* easy;
      ~added() { curl_multi_remove_handle(multi, easy); }
    };
    curl_multi_add_handle(multi.get(), easy.get());
    const added guard{multi.get(), easy.get()};
    for (int running = 1; running > 0;) {
      curl_multi_perform(multi.get(), &running);
      if (arrived && !arrived()) return CURLE_OK;
      look_up();
      if (running > 0)
        curl_multi_poll(multi.get(), nullptr, 0, static_cast<int>(glance.count()), nullptr);
    }
    int left = 0;
    const auto* message = curl_multi_info_read(multi.get(), &left);
    return message ? message->data.result : CURLE_OK;
  }

  [[noreturn]] void fail(CURLcode why) const {
    curl_off_t connected = 0;
    curl_easy_getinfo(easy.get(), CURLINFO_PRETRANSFER_TIME_T, &connected);
    if (why == CURLE_COULDNT_RESOLVE_HOST)
      throw bad_environment(url.base, "there is no such host", "check --url or BANYAN_URL");
    if (why == CURLE_SSL_CONNECT_ERROR)
      throw bad_environment(url.base, "what answers there speaks no TLS that this program knows",
                            "banyand itself speaks none; use http://, or ask what stands in front");
    if (why == CURLE_PEER_FAILED_VERIFICATION)
      throw bad_environment(url.base, "its certificate is not one that this machine trusts",
                            "name the host as in the certificate, or have its issuer trusted here");
    if (why == CURLE_COULDNT_CONNECT || connected == 0)
      throw bad_environment(url.base, "no daemon answers there",
                            "start one with `banyand`, or name another with --url");
    if (why == CURLE_OPERATION_TIMEDOUT)
      throw bad_environment(url.base,
                            "no answer within " + number_text(options.timeout_s) + " seconds",
                            "see the daemon's log, or wait longer with --timeout");
    throw bad_environment(url.base,
                          std::string("the connection broke off: ") + curl_easy_strerror(why),
                          "see the daemon's log");
  }

  [[noreturn]] void refuse(const exchange& answer) const {
    const auto code = status();
    auto text = told(answer.body);
    if (text.empty()) text = url.base + ": it answers with status " + std::to_string(code);
    if (text.find(": ") == text.npos) text = url.base + ": " + text;
    if (text.find("; ") == text.npos) text += std::string("; ") + remedy(code);
    if (code_of(answer.body) == "damaged_tree") throw damaged_there(text);
    if (code < 400 || code >= 500) throw bad_environment(text);
    refused no(text, static_cast<int>(code), code_of(answer.body));
    const auto seconds = std::strtod(answer.retry_after.c_str(), nullptr);
    if (seconds > 0 && seconds < 3600) no.retry = milliseconds(std::lround(1000 * seconds));
    throw no;
  }

  json answer(const exchange& x) const {
    if (status() < 200 || status() > 299) refuse(x);
    auto j = json::parse(x.body, nullptr, false);
    if (!j.is_object())
      throw bad_environment(url.base, "what answers there is not a daemon of Banyan's",
                            "check --url or BANYAN_URL");
    return j;
  }

  json ask(const std::string& path, const json* body) {
    exchange x;
    auto list = prepare(path, x);
    set(CURLOPT_TIMEOUT_MS, std::lround(1000 * options.timeout_s));
    const auto text = body ? body->dump(-1, ' ', false, json::error_handler_t::replace) : "";
    if (body) {
      set(CURLOPT_POSTFIELDS, text.c_str());
      set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(text.size()));
      add(list, "Content-Type: application/json");
      add(list, "Expect:");
    }
    set(CURLOPT_HTTPHEADER, list.get());
    if (const auto why = run(); why != CURLE_OK) fail(why);
    return answer(x);
  }

  /// One connection's events. False: `take` has seen enough.
  bool listen(const std::string& path, event_stream& stream,
              const std::function<bool(const server_event&)>& take) {
    exchange x;
    auto list = prepare(path, x);
    add(list, "Accept: text/event-stream");
    if (!stream.last.empty()) add(list, "Last-Event-ID: " + stream.last);
    set(CURLOPT_HTTPHEADER, list.get());
    set(CURLOPT_TCP_KEEPALIVE, 1L);
    event_reader reader;
    bool more = true;
    const auto why = run([&] {
      stream.open = status() == 200;
      if (!stream.open) return true; // the body tells why
      reader.feed(std::exchange(x.body, {}), [&](const server_event& e) {
        stream.heard = true;
        if (!e.id.empty()) stream.last = e.id;
        more = more && take(e);
      });
      return more;
    });
    if (!more) return false;
    if (why != CURLE_OK) fail(why);
    if (!stream.open) refuse(x);
    return true;
  }
};

client::client(const client_options& o) : impl_(std::make_unique<impl>(o)) {}
client::~client() = default;

json client::get(const std::string& path) { return impl_->ask(path, nullptr); }
json client::post(const std::string& path, const json& body) { return impl_->ask(path, &body); }
const std::string& client::url() const { return impl_->url.base; }
void client::while_waiting(std::function<void()> f) { impl_->waits = std::move(f); }

void client::wait(milliseconds time) {
  for (const auto until = clock::now() + time; clock::now() < until;) {
    impl_->look_up();
    const auto left = std::chrono::duration_cast<milliseconds>(until - clock::now());
    const auto rest = std::clamp(left, milliseconds(1), glance);
    curl_multi_poll(impl_->multi.get(), nullptr, 0, static_cast<int>(rest.count()), nullptr);
  }
  impl_->look_up();
}

void client::follow(const std::string& path, const std::function<bool(const server_event&)>& take) {
  patience left(impl_->options.timeout_s);
  event_stream stream;
  for (bool worked = false;;) {
    const auto begin = clock::now();
    stream.open = stream.heard = false;
    try {
      if (!impl_->listen(path, stream, take)) return;
    } catch (const output_failed&) {
      throw; // it is not the connection that broke
    } catch (const refused& no) {
      if (no.status != 429 || !left.is_left()) throw;
      wait(std::min<milliseconds>(no.retry, longest_pause));
    } catch (const bad_environment&) {
      if (!worked && !stream.open) throw;
      if (!stream.open && !left.is_left()) throw;
    }
    worked = true;
    if (stream.heard || (stream.open && clock::now() - begin > longest_pause)) left.renew();
    if (!left.is_left())
      throw bad_environment(url() + path, "the stream of events ends at once",
                            "see the daemon's log");
    wait(left.next_pause());
  }
}

json client::when_there_is_room(const std::function<json()>& ask,
                                const std::function<void(const refused&)>& waits) {
  const auto until = clock::now() + std::chrono::duration<double>(impl_->options.timeout_s);
  for (;;) {
    try {
      return ask();
    } catch (const refused& no) {
      if (no.status != 429) throw;
      const auto left = std::chrono::duration_cast<milliseconds>(until - clock::now());
      if (left <= milliseconds(0)) throw;
      if (waits) waits(no);
      wait(std::min(no.retry, left));
    }
  }
}

json client::patiently(const std::function<json()>& ask) {
  for (patience left(impl_->options.timeout_s);;) {
    try {
      return ask();
    } catch (const output_failed&) {
      throw;
    } catch (const bad_environment&) {
      if (!left.is_left()) throw;
    }
    wait(left.next_pause());
  }
}

} // namespace banyan
