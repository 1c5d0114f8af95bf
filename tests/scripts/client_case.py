"""What tests of the commands that talk to a daemon share: one that says what each test wants."""

import http.server
import json
import subprocess
import threading
import time
import urllib.parse

from daemon import ENVIRONMENT, PATIENCE
from program_case import PROGRAM as BANYAN, program_case


class request:
    def __init__(self, handler):
        parts = urllib.parse.urlsplit(handler.path)
        self.method, self.path = handler.command, parts.path
        self.query = urllib.parse.parse_qsl(parts.query, keep_blank_values=True)
        self.headers = handler.headers
        length = int(handler.headers.get("Content-Length", 0))
        self.body = json.loads(handler.rfile.read(length)) if length else None
        self.handler = handler

    def __repr__(self):
        return f"{self.method} {self.path} {self.query}"


class fake_daemon:
    """Answers `METHOD /path` by a function of the request: an object, (status, object), (status, object, headers),
    bytes for a whole body, or nothing where the function has answered itself."""

    def __init__(self, port=0, answers=()):
        self.answers, self.seen = dict(answers), []
        daemon = self

        class handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                r = request(self)
                daemon.seen.append(r)
                answer = daemon.answers.get(f"{r.method} {r.path}")
                if answer is None:
                    return self.say(404, {"error": {"code": "not_found", "message": f"{r.path}: nothing is there; look elsewhere"}})
                said = answer(r) if callable(answer) else answer
                if said is None:
                    self.close_connection = True
                elif isinstance(said, tuple):
                    self.say(*said)
                else:
                    self.say(200, said)

            do_POST = do_GET

            def say(self, status, body, headers=()):
                body = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in dict(headers).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        class server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, *_):
                pass  # clients may leave

        self.server = server(("127.0.0.1", port), handler)
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def asked(self, path, method="GET"):
        return [r for r in self.seen if (r.method, r.path) == (method, path)]


def stream(*events, last=True):
    """An answer: these events, then the end of the stream. A function among them is called."""
    def answer(r):
        h = r.handler
        h.send_response(200)
        h.send_header("Content-Type", "text/event-stream")
        h.send_header("Connection", "close")
        h.end_headers()
        for e in events:
            if callable(e):
                e()
            else:
                h.wfile.write(e if isinstance(e, bytes) else event(*e))
                h.wfile.flush()
    return answer


def event(name, data, number=None):
    data = {"tree": "T1", "thread": "/", "parent": None, "position": 0, "at": "2026-11-23T09:30:00.100Z", **data}
    return ("".join((f"id: s-{number}\n" if number is not None else "", f"event: {name}\n",
                     f"data: {json.dumps(data)}\n\n"))).encode()


# The events of a tree that grows, and of one that ends.
GROWS = [("tree", {"state": "running", "prompt": "p", "problem": {"numbers": [25, 7, 3], "target": 54}}),
         ("thread", {"state": "decoding", "tokens": 0, "failure": None, "depth": 0}),
         ("text", {"text": "root\n", "tokens": 2}, 10),
         ("text", {"text": "think\n", "position": 5, "tokens": 3}, 11),
         ("spawn", {"text": "<spawn>\n", "position": 11, "children": ["/0"]}, 12)]
ENDS = [("thread", {"thread": "/0", "parent": "/", "state": "done", "tokens": 7, "failure": None}, 20),
        ("join", {"text": "<joined>\n", "position": 11}, 21),
        ("thread", {"state": "done", "tokens": 12, "failure": None}, 22),
        ("done", {"state": "done", "failure": None, "outcome": {"solved": True}}, 23)]


def tree(id="T1", state="done", solved=True, **more):
    """A tree as the API gives it."""
    finished = state in ("done", "failed", "cancelled")
    threads = [
        {"path": "/", "parent": None, "state": "done" if finished else "waiting", "since": "2026-11-23T09:30:00.400Z",
         "waiting_for": [] if finished else ["/0"], "pool": "cpu:0", "node": "local", "depth": 0, "prompt_tokens": 40,
         "generated_tokens": 12, "rounds": 1, "failure": None, "text": "root\nsays this\n", "solution": "path\n" if finished else None,
         "history": [{"state": "decoding", "at": "2026-11-23T09:30:00.000Z"}, {"state": "waiting", "at": "2026-11-23T09:30:00.100Z"},
                     {"state": "decoding", "at": "2026-11-23T09:30:00.300Z"}, {"state": "done", "at": "2026-11-23T09:30:00.400Z"}]},
        {"path": "/0", "parent": "/", "state": "failed" if finished else "decoding", "since": "2026-11-23T09:30:00.300Z",
         "waiting_for": [], "pool": "cpu:0", "node": "local", "depth": 1, "prompt_tokens": 20, "generated_tokens": 7, "rounds": 0,
         "failure": "no_solution" if finished else None, "text": "child\nsays that", "solution": None,
         "history": [{"state": "decoding", "at": "2026-11-23T09:30:00.110Z"}, {"state": "failed", "at": "2026-11-23T09:30:00.300Z"}]}]
    return {"id": id, "task": "countdown", "state": state, "problem": {"numbers": [25, 7, 3], "target": 54},
            "prompt": "Moving to Node #0\n", "labels": {}, "created": "2026-11-23T09:30:00.000Z",
            "finished": "2026-11-23T09:30:00.400Z" if finished else None,
            "outcome": {"solved": solved, "claimed": True, "operations": ["25-7=18", "18*3=54"], "solution": "path\n"} if finished else None,
            "failure": None, "weights_epoch": 1, "seed": 18446744073709551615,
            "usage": {"threads": 2, "depth": 1, "rounds": 1, "prompt_tokens": 60, "generated_tokens": 19,
                      "critical_path_tokens": 19, "cached_tokens": 10, "wall_ms": 400.5 if finished else 0 if state == "queued" else 107_000},
            "threads": threads, **more}


def lists(*trees, page=100):
    """An answer to GET /v1/trees: what its filter lets through, in pages, newest first."""
    def answer(r):
        q = dict(r.query)
        states = [state for name, value in r.query if name == "state" for state in value.split(",")]
        found = sorted((t for t in trees if not states or t["state"] in states), key=lambda t: t["created"], reverse=True)
        ids = [t["id"] for t in found]
        begin = ids.index(q["after"]) + 1 if "after" in q else 0
        end = begin + min(page, int(q.get("limit", 20)))
        shown = [{**t, "threads": [{k: v for k, v in thread.items() if k not in ("text", "solution", "history")}
                                   for thread in t["threads"]]} for t in found[begin:end]]
        return {"trees": shown, "next": ids[end - 1] if end < len(ids) else None}
    return answer


def status(**more):
    return {"version": "1.2.3", "ready": True, "draining": False, "uptime_s": 3723.5,
            "trees": {"accepted": 9, "queued": 1, "running": 2, "paused": 0, "finished": 6, "solved": 5, "failed": 1, "cancelled": 0},
            "threads": {"queued": 0, "decoding": 5, "waiting": 2, "paused": 0}, "failures": {}, "store": {"finished": 120},
            "pools": [{"name": "cpu:0", "node": "local", "queued": 3, "running": 17, "generated_tokens": 0, "prompt_tokens": 100,
                       "cached_tokens": 54, "busy_s": 1.0, "forward_s": 0.9, "blocks": {"total": 1000, "free": 250, "leased": 250, "cached": 250}}],
            "tokens": {"generated": 0}, **more}


class counting_status:
    """So many tokens more with every look."""

    def __init__(self):
        self.tokens = 0

    def __call__(self, r):
        self.tokens += 1000
        now = status(tokens={"generated": self.tokens})
        now["pools"][0]["generated_tokens"] = self.tokens
        return now


class client_case(program_case):
    def setUp(self):
        super().setUp()
        self.daemon = fake_daemon()
        self.addCleanup(self.daemon.close)
        self.answers = self.daemon.answers
        self.env = {**ENVIRONMENT, "TERM": "xterm", "BANYAN_URL": self.daemon.url}

    def banyan(self, *words, env=None, **more):
        return subprocess.run([BANYAN, *map(str, words)], capture_output=True, text=True, timeout=PATIENCE,
                              stdin=subprocess.DEVNULL, env={**self.env, **(env or {})}, **more)

    def start(self, *words, **more):
        run = subprocess.Popen([BANYAN, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               stdin=subprocess.DEVNULL, env=self.env, **more)
        ending = threading.Timer(PATIENCE, run.kill)  # nobody reads for ever what does not come
        ending.start()
        self.addCleanup(ending.cancel)
        self.addCleanup(run.stdout.close)
        self.addCleanup(run.stderr.close)
        self.addCleanup(lambda: run.poll() is None and run.kill())
        return run

    def works(self, *words, code=0, **more):
        done = self.banyan(*words, **more)
        self.assertEqual((done.returncode, done.stderr), (code, ""), done.stdout)
        return done.stdout

    def refused(self, code, *words, says, **more):
        """The program ends with `code` and one line, which holds all of `says`."""
        done = self.banyan(*words, **more)
        self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        self.assertRegex(done.stderr, r"^banyan: [^\n]+: [^\n]+; [^\n]+\n$")
        for part in [says] if isinstance(says, str) else says:
            self.assertIn(part, done.stderr)
        return done.stderr


def daemon_at(port, answers):
    """As soon as the port is free."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return fake_daemon(port, answers)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
