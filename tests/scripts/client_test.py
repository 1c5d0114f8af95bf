#!/usr/bin/env python3
"""client_test.py BANYAN: the commands that talk to a daemon, against one that says what each test wants."""

import collections
import contextlib
import fcntl
import http.server
import json
import os
import pathlib
import pty
import re
import signal
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import unittest
import urllib.parse

BANYAN = sys.argv.pop(1)
PATIENCE = 60  # seconds; a machine may be busy

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("BANYAN_")}
ENVIRONMENT.update(XDG_CONFIG_HOME="/nonexistent", TERM="xterm")


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


class client_case(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)
        self.daemon = fake_daemon()
        self.addCleanup(self.daemon.close)
        self.answers = self.daemon.answers
        self.env = {**ENVIRONMENT, "BANYAN_URL": self.daemon.url}

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


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


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


class connection(client_case):
    def test_where_no_daemon_answers(self):
        url = f"http://127.0.0.1:{free_port()}"
        for words in (["ps"], ["top"], ["tree", "T1"], ["tree", "T1", "--follow"], ["cancel", "T1"], ["export"],
                      ["submit", "--target", 54, 25, 7, 3]):
            with self.subTest(words=words):
                said = self.refused(3, *words, "--url", url, says=url)
                self.assertEqual(said, f"banyan: {url}: no daemon answers there; start one with `banyand`, or name another with --url\n")

    def test_https_where_http_is_spoken(self):
        self.refused(3, "ps", "--url", self.daemon.url.replace("http:", "https:"), says=["speaks no TLS", "use http://"])

    @unittest.skipUnless(shutil.which("openssl"), "needs openssl to make a certificate")
    def test_https_with_a_certificate_that_nobody_trusts(self):
        with tempfile.TemporaryDirectory() as folder:
            key, certificate = f"{folder}/key.pem", f"{folder}/certificate.pem"
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
                            "-keyout", key, "-out", certificate], check=True, capture_output=True)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
            server.socket = context.wrap_socket(server.socket, server_side=True)
            server.handle_error = lambda *_: None
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self.addCleanup(server.server_close)
            self.addCleanup(server.shutdown)
            self.refused(3, "ps", "--url", f"https://127.0.0.1:{server.server_port}", says=["certificate", "trusts"])

    def test_what_is_no_id(self):
        for words in (["tree", ""], ["tree", "../../x?y#z"], ["tree", "a/b", "--follow"], ["cancel", ""]):
            with self.subTest(words=words):
                self.refused(2, *words, says=f"'{words[1]}': it is no tree's id; `banyan ps` lists them")
        for action in ("cancel", "pause", "resume"):
            self.refused(2, action, "T1", "--thread", "", says="--thread: it is empty; give a path")

    def test_a_default_address(self):
        said = self.banyan("ps", env={"BANYAN_URL": ""}).stderr
        self.assertTrue(said == "" or "http://127.0.0.1:8427: " in said, said)

    def test_what_is_no_address(self):
        for url in ("ftp://localhost", "http://", "http://a b"):
            self.refused(2, "ps", "--url", url, says=[url, "http://127.0.0.1:8427"])

    def test_errors_of_the_api(self):
        def error(status, message, field=None):
            self.answers["GET /v1/trees/T1"] = (status, {"error": {"code": "x", "message": message, "field": field}})
        error(404, "T1: there is no such tree; `banyan ps --all` lists them")
        self.refused(2, "tree", "T1", says="T1: there is no such tree; `banyan ps")
        error(400, "it is out of range", "problem.target")
        self.refused(2, "tree", "T1", says="problem.target: it is out of range; ")
        error(409, "T1: it is finished")
        self.refused(2, "tree", "T1", says="T1: it is finished; ")
        error(404, "T1: there is no such tree; look again", "id")
        self.assertIn("banyan: T1: there is", self.refused(2, "tree", "T1", says=""))
        error(401, "the token is missing")
        self.refused(2, "tree", "T1", says="--token-file")
        error(500, "oh")
        self.refused(3, "tree", "T1", says=[self.daemon.url, "oh"])
        error(503, "the daemon: it is about to end; ask another one")
        self.refused(3, "tree", "T1", says="it is about to end")
        error(404, "two\nlines \x1b[2J; of it")
        self.assertNotIn("\x1b", self.refused(2, "tree", "T1", says="lines"))

    def test_answers_that_make_no_sense(self):
        for answer in (b"<html>", (200, b""), (200, b"[1]"), (302, b"", {"Location": "/elsewhere"})):
            self.answers["GET /v1/trees"] = answer
            self.refused(3, "ps", says=self.daemon.url)
        self.answers["GET /v1/trees"] = (502, b"Bad Gateway")
        self.refused(3, "ps", says="502")
        self.answers["GET /v1/trees"] = {"trees": [{"id": 7, "state": [], "usage": 3, "threads": "x"}, "y"]}
        self.works("ps")

    def test_connections_that_break(self):
        self.answers["GET /v1/trees"] = lambda r: None
        self.refused(3, "ps", says=[self.daemon.url, "broke off"])
        halt = threading.Event()
        self.addCleanup(halt.set)
        self.answers["GET /v1/trees"] = lambda r: halt.wait(PATIENCE) and None
        self.refused(3, "ps", "--timeout", 0.2, says=[self.daemon.url, "0.2 seconds", "--timeout"])

    def test_ctrl_c_while_the_daemon_is_silent(self):
        halt = threading.Event()
        self.addCleanup(halt.set)
        arrived = threading.Event()
        self.answers["GET /v1/trees"] = lambda r: arrived.set() or halt.wait(PATIENCE) and None
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            arrived.clear()
            run = self.start("ps")
            self.assertTrue(arrived.wait(PATIENCE))
            run.send_signal(number)
            out, errors = run.communicate(timeout=PATIENCE)
            self.assertEqual((run.returncode, out, errors), (code, "", ""))

    def test_proxies_are_not_for_this_machine(self):
        self.answers["GET /v1/trees"] = lists()
        self.works("ps", env={"http_proxy": "http://127.0.0.1:1", "ALL_PROXY": "http://127.0.0.1:1"})

    def test_which_address_counts(self):
        self.answers["GET /v1/trees"] = lists()
        config = self.folder / "banyan" / "banyan.conf"
        config.parent.mkdir()
        config.write_text(f"url = {self.daemon.url}/\n")
        nowhere = f"http://127.0.0.1:{free_port()}"
        home = {"XDG_CONFIG_HOME": str(self.folder)}
        self.works("ps", env={**home, "BANYAN_URL": ""})
        self.works("ps", "--url", self.daemon.url, env={"BANYAN_URL": nowhere})
        config.write_text(f"url = {nowhere}\n")
        self.works("ps", env=home)

    def test_tokens(self):
        self.answers["GET /v1/trees"] = lists()
        file = self.folder / "token"
        file.write_text("of-the-file\n")

        def sent(*words, **env):
            self.works("ps", *words, env=env)
            return self.daemon.seen[-1].headers.get("Authorization")
        self.assertIsNone(sent())
        self.assertEqual(sent("--token-file", file), "Bearer of-the-file")
        self.assertEqual(sent(BANYAN_TOKEN="of-the-environment"), "Bearer of-the-environment")
        self.assertEqual(sent("--token-file", file, BANYAN_TOKEN="of-the-environment"), "Bearer of-the-file")
        file.write_text("two\nlines\n")
        self.refused(3, "ps", "--token-file", file, says=str(file))
        self.refused(3, "ps", "--token-file", self.folder / "nowhere", says="nowhere")

    def test_a_reader_that_leaves(self):
        self.answers["GET /v1/trees"] = lists(*(tree(f"T{i}") for i in range(3000)))
        for words in (["ps", "--all"], ["ps", "--all", "--json"], ["top", "--interval", 0.05]):
            self.answers["GET /v1/status"] = status()
            run = self.start(*words)
            run.stdout.readline()
            run.stdout.close()
            self.assertEqual(run.wait(PATIENCE), 141)
            self.assertEqual(run.stderr.read(), "")


class usage(client_case):
    commands = ("ps", "top", "tree", "cancel", "pause", "resume", "export", "submit")

    def test_help(self):
        told = self.works("--help")
        for command in self.commands:
            self.assertRegex(told, rf"(?m)^  {command} ")
            self.assertIn("--url", self.works(command, "--help"))

    def test_wrong_usage(self):
        for words, says in [
            (["ps", "--state", "dead"], "dead"),
            (["ps", "--label", "x"], "--label"),
            (["ps", "--limit", 0], "--limit"),
            (["ps", "more"], "more"),
            (["tree"], "id"),
            (["tree", "a", "b"], "tree"),
            (["cancel"], "id"),
            (["pause", "--thread", "/0"], "id"),
            (["top", "--interval", 0], "--interval"),
            (["submit"], "submit"),
            (["submit", "--target", 54, 25], "54"),
            (["submit", "--target", 54, 25, 7, 3, "--labels", "=x"], "--labels"),
            (["export", "--format", "xml"], "xml"),
            (["export", "--since", "yesterday"], "--since"),
            (["export", "--format", "records", "--out", "x.trees"], "--store"),
            (["export", "--out", "x.trees"], "--store"),
            (["export", "--format", "records", "--store", "x"], "--out"),
        ]:
            with self.subTest(words=words):
                self.refused(2, *words, says=says)
        self.assertEqual(self.daemon.seen, [])

    def test_the_config_file_knows_all_options(self):
        """What a command's help lists may stand in the user's config file, whichever command reads it."""
        commands = re.findall(r"(?m)^  ([a-z]+(?: [a-z]+)?)  +\S", self.works("--help"))
        helps = {command: self.works(*command.split(), "--help") for command in commands}
        daemon = pathlib.Path(BANYAN).parent / "banyand"
        if daemon.exists():
            helps["banyand"] = subprocess.run([daemon, "--help"], capture_output=True, text=True, timeout=PATIENCE, env=self.env).stdout
        options = {command: set(re.findall(r"(?m)^  --([a-z0-9-]+)", told)) for command, told in helps.items()}
        config = self.folder / "banyan" / "banyan.conf"
        config.parent.mkdir()
        home = {"XDG_CONFIG_HOME": str(self.folder)}
        self.answers["GET /v1/trees"] = lists()
        others = sorted(set().union(*options.values()) - options["ps"])
        config.write_text("".join(f"{name} = 1\n" for name in others) + "".join(f"[{command}]\n" for command in options))
        self.works("ps", env=home)
        config.write_text("\nunheard-of = 1\n")
        self.refused(2, "ps", env=home, says=[f"{config}: line 2: unheard-of"])
        config.write_text("json = true\n[ps]\njson = false\n[top]\ninterval = x\n")
        self.assertIn("ID", self.works("ps", env=home))
        self.refused(2, "top", env=home, says=f"{config}: line 5: interval")


class listing(client_case):
    def at(self, id, state, minute, **more):
        return tree(id, state, created=f"2026-11-23T09:{minute:02}:00.000Z", **more)

    def ids(self, *words):
        return [line.split()[0] for line in self.works("ps", *words).splitlines()[1:]]

    def setUp(self):
        super().setUp()
        self.answers["GET /v1/trees"] = lists(
            self.at("R1", "running", 1), self.at("D2", "done", 2, labels={"run": "a", "user": "b"}),
            self.at("F3", "failed", 3, solved=False, failure="deadline"), self.at("Q4", "queued", 4), self.at("P5", "paused", 5),
            self.at("D6", "done", 6), self.at("C7", "cancelled", 7, solved=False), page=2)

    def test_live_trees_come_first_then_the_newest(self):
        self.assertEqual(self.ids(), ["R1", "P5", "Q4", "C7", "D6", "F3", "D2"])
        self.assertEqual(self.ids("--state", "done"), ["D6", "D2"])
        self.assertEqual(self.ids("--state", "failed", "--state", "done"), ["D6", "F3", "D2"])
        self.assertEqual(self.ids("--state", "queued,done,running"), ["R1", "Q4", "D6", "D2"])
        self.refused(2, "ps", "--state", "running,", says="running,")

    def test_no_more_than_asked_for(self):
        done = self.banyan("ps", "--limit", 2)
        self.assertEqual([line.split()[0] for line in done.stdout.splitlines()[1:]], ["R1", "P5", "C7", "D6"])
        self.assertIn("--all", done.stderr)
        self.assertEqual(self.banyan("ps", "--limit", 3, "--state", "running,queued,paused").stderr, "")  # just as many as there are
        self.assertEqual(self.banyan("ps", "--limit", 2, "--quiet").stderr, "")

    def test_all_pages(self):
        self.answers["GET /v1/trees"] = lists(*(self.at(f"D{i:03}", "done", i % 60) for i in range(250)))
        self.assertEqual(len(set(self.ids("--all"))), 250)
        lines = self.works("ps", "--all", "--json").splitlines()
        self.assertEqual(len({json.loads(line)["id"] for line in lines}), 250)

    def test_the_table(self):
        lines = self.works("ps").splitlines()
        self.assertEqual(lines[0].split(), ["ID", "STATE", "PROBLEM", "THREADS", "TOKENS", "TIME", "SOLVED", "LABELS"])
        row = {line.split()[0]: line for line in lines[1:]}
        self.assertRegex(row["D2"], r"^D2 +done +25, 7, 3 -> 54 +2 +19 +40[01] ms +yes +run=a,user=b$")
        self.assertRegex(row["F3"], r"no: deadline$")
        self.assertRegex(row["R1"], r" 1:47 +-$")
        self.assertRegex(row["Q4"], r" 19 +- +-$")

    def test_json_is_passed_through(self):
        lines = [json.loads(line) for line in self.works("ps", "--json", "--state", "done").splitlines()]
        self.assertEqual([line["seed"] for line in lines], [18446744073709551615] * 2)
        self.assertEqual(list(lines[0]), list(tree()))

    def test_filters_are_sent(self):
        self.ids("--state", "done", "--label", "run=a&b", "--label", "x=y=z", "--solved")
        query = self.daemon.seen[-1].query
        for field in (("state", "done"), ("label", "run=a&b"), ("label", "x=y=z"), ("solved", "true")):
            self.assertIn(field, query)
        self.ids("--solved=false")
        self.assertIn(("solved", "false"), self.daemon.seen[-1].query)


class one_tree(client_case):
    def test_threads_and_figures(self):
        self.answers["GET /v1/trees/T1"] = tree()
        lines = self.works("tree", "T1").splitlines()
        self.assertEqual(lines[0], "T1  done  25, 7, 3 -> 54")
        self.assertRegex(lines[1], r"^/ +done +12 tokens  solved$")
        self.assertRegex(lines[2], r"^  /0 +failed +7 tokens  no solution$")
        self.assertEqual(lines[3:], ["25-7=18, 18*3=54  (verified)", "  2 threads, depth 1, 1 round, 19 tokens, 19 on the critical path, 401 ms"])

    def test_texts(self):
        self.answers["GET /v1/trees/T1"] = tree()
        self.assertIn("\n==> / <==\nroot\nsays this\n\n==> /0 <==\nchild\nsays that\n", self.works("tree", "T1", "--texts"))

    def test_json(self):
        self.answers["GET /v1/trees/T1"] = tree()
        self.assertEqual(json.loads(self.works("tree", "T1", "--json")), tree())

    def test_more_threads_than_one_answer_holds(self):
        whole = tree()
        first, second = whole["threads"]

        def answer(r):
            after = dict(r.query).get("threads_after")
            if after is None:
                return {**whole, "threads": [first], "threads_next": "/"}
            self.assertEqual(after, "/")
            return {**whole, "threads": [second], "threads_next": None}
        self.answers["GET /v1/trees/T1"] = answer
        self.assertEqual(json.loads(self.works("tree", "T1", "--json")), whole)

    def test_one_thread(self):
        thread = {**tree(state="running")["threads"][1], "live": True, "cache": {"blocks": 12, "leased": True},
                  "budget_left": {"tokens": None, "rounds": 16, "seconds": 288.4}}
        self.answers["GET /v1/trees/T1/threads"] = thread
        told = self.works("tree", "T1", "--thread", "/0")
        self.assertEqual(self.daemon.seen[-1].query, [("path", "/0")])
        for part in ("/0  decoding since 2026-11-23T09:30:00.300Z\n", "cpu:0 on local", "7 tokens generated", "12 blocks, leased",
                     "16 rounds, 288 seconds", "\n\nchild\nsays that\n"):
            self.assertIn(part, told)
        self.assertEqual(json.loads(self.works("tree", "T1", "--thread", "/0", "--json")), thread)

    def test_actions(self):
        for action, state in (("cancel", "cancelled"), ("pause", "paused"), ("resume", "running")):
            self.answers[f"POST /v1/trees/T1/{action}"] = {**tree(state=state)}
            self.assertEqual(self.works(action, "T1"), f"T1 {state}\n")
            self.assertEqual(self.daemon.seen[-1].body, {})
            after = self.answers[f"POST /v1/trees/T1/{action}"]["threads"][1]["state"]
            self.assertEqual(self.works(action, "T1", "--thread", "/0"), f"T1 /0 {after}\n")
            self.assertEqual(self.daemon.seen[-1].body, {"thread": "/0"})
            self.assertEqual(json.loads(self.works(action, "T1", "--json"))["state"], state)
        self.refused(2, "cancel", "T2", says="T2")

    def test_actions_on_several_trees_do_all_that_can_be_done(self):
        self.answers["POST /v1/trees/T1/pause"] = tree(state="paused")
        self.answers["POST /v1/trees/T3/pause"] = tree("T3", "paused")
        done = self.banyan("pause", "T2", "T1", "T4", "T3")
        self.assertEqual((done.returncode, done.stdout), (2, "T1 paused\nT3 paused\n"))
        self.assertRegex(done.stderr, r"^banyan: [^\n]*T2[^\n]*\nbanyan: [^\n]*T4[^\n]*\n$")
        self.answers["POST /v1/trees/T2/pause"] = (503, {"error": {"message": "the daemon: it is about to end; ask another one"}})
        self.assertEqual(self.banyan("pause", "T2", "T1", "T4").returncode, 3)


class following(client_case):
    grows = [("tree", {"state": "running", "prompt": "p", "problem": {"numbers": [25, 7, 3], "target": 54}}),
             ("thread", {"state": "decoding", "tokens": 0, "failure": None, "depth": 0}),
             ("text", {"text": "root\n", "tokens": 2}, 10),
             ("text", {"text": "think\n", "position": 5, "tokens": 3}, 11),
             ("spawn", {"text": "<spawn>\n", "position": 11, "children": ["/0"]}, 12)]
    ends = [("thread", {"thread": "/0", "parent": "/", "state": "done", "tokens": 7, "failure": None}, 20),
            ("join", {"text": "<joined>\n", "position": 11}, 21),
            ("thread", {"state": "done", "tokens": 12, "failure": None}, 22),
            ("done", {"state": "done", "failure": None, "outcome": {"solved": True}}, 23)]

    def setUp(self):
        super().setUp()
        self.answers["GET /v1/trees/T1"] = tree()
        self.answers["GET /v1/trees/T1/events"] = stream(*self.grows, *self.ends)

    def told(self, *words, code=0):
        return [line.removeprefix("2026-11-23T09:30:00.100Z ") for line in
                self.works("tree", "T1", "--follow", *words, code=code).splitlines()]

    def test_output_that_cannot_be_written(self):
        words = [BANYAN, "tree", "T1", "--follow", "--url", self.daemon.url]
        with open("/dev/full", "w") as full:
            done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stderr), (3, "banyan: standard output: No space left on device; make room or write elsewhere\n"))
        self.answers["GET /v1/trees"] = lists(tree())
        done = subprocess.run([BANYAN, "ps", "--url", self.daemon.url], preexec_fn=lambda: os.close(1), stderr=subprocess.PIPE, text=True,
                              timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stderr), (3, "banyan: standard output: Bad file descriptor; make room or write elsewhere\n"))

    def test_a_line_for_each_event(self):
        self.assertEqual(self.told(), ["tree running", "/ decoding", "/ spawned /0", "/0 done, 7 tokens", "/ joined",
                                       "/ done, 12 tokens", "tree done, solved"])
        self.assertIn('/ wrote "root\\n"', self.told("--texts"))

    def test_a_finished_tree_is_told_in_the_order_of_time(self):
        def at(second):
            return {"at": f"2026-11-23T09:30:0{second}.000Z"}
        child = {"thread": "/0", "parent": "/"}
        self.answers["GET /v1/trees/T1/events"] = stream(
            ("tree", {"state": "done", **at(9)}, 0), ("thread", {"state": "done", "tokens": 12, "failure": None, **at(9)}, 1),
            ("text", {"text": "root\n", **at(1)}, 2), ("spawn", {"children": ["/0", "/1"], "text": "<spawn>", **at(1)}, 3),
            ("thread", {**child, "state": "done", "tokens": 7, "failure": None, **at(5)}, 4), ("text", {**child, "text": "late", **at(5)}, 5),
            ("thread", {**child, "thread": "/1", "state": "failed", "tokens": 3, "failure": "no_solution", **at(3)}, 6),
            ("join", {"text": "<joined>", **at(5)}, 7), ("text", {"text": "end", **at(9)}, 8),
            ("done", {"state": "done", "failure": None, "outcome": {"solved": True}, **at(9)}, 9))
        told = [line.split(" ", 1)[1] for line in self.works("tree", "T1", "--follow", "--texts").splitlines()]
        self.assertEqual(told, ['/ wrote "root\\n"', "/ spawned /0 /1", "/1 failed: no_solution, 3 tokens", '/0 wrote "late"', "/0 done, 7 tokens",
                                "/ joined", '/ wrote "end"', "/ done, 12 tokens", "tree done, solved"])

    def test_the_exit_code_says_whether_it_is_solved(self):
        self.answers["GET /v1/trees/T1"] = tree(solved=False)
        self.told(code=1)

    def test_json_lines(self):
        lines = [json.loads(line) for line in self.works("tree", "T1", "--follow", "--json").splitlines()]
        self.assertEqual([line["event"] for line in lines], [e[0] for e in self.grows + self.ends])
        self.assertEqual((lines[-1]["id"], lines[-1]["outcome"]), ("s-23", {"solved": True}))

    def test_text_as_it_is_written(self):
        wait, seen = threading.Event(), threading.Event()
        self.addCleanup(wait.set)
        self.answers["GET /v1/trees/T1/events"] = stream(*self.grows[:3], seen.set, lambda: wait.wait(PATIENCE), *self.grows[3:], *self.ends)
        run = self.start("tree", "T1", "--follow", "--thread", "/")
        self.assertEqual(run.stdout.readline(), "root\n")  # before the next event is sent
        wait.set()
        self.assertEqual(run.stdout.read(), "think\n<spawn>\n<joined>\n")
        self.assertEqual((run.wait(PATIENCE), run.stderr.read()), (0, ""))

    def test_streams_that_break_go_on(self):
        parts = [stream(*self.grows[:4]), stream(), stream(event(*self.grows[4])[:-9]), stream(*self.grows[4:]), stream(*self.ends[:2], b"event: do"),
                 stream(*self.ends[2:])]
        seen = []

        def answer(r):
            seen.append(r.headers.get("Last-Event-ID"))
            return parts[len(seen) - 1](r)
        self.answers["GET /v1/trees/T1/events"] = answer
        self.assertEqual(self.told(), ["tree running", "/ decoding", "/ spawned /0", "/0 done, 7 tokens", "/ joined",
                                       "/ done, 12 tokens", "tree done, solved"])
        self.assertEqual(seen, [None, "s-11", "s-11", "s-11", "s-12", "s-21"])

    def test_a_daemon_that_begins_anew(self):
        """While it is away connections fail; then it tells everything once more."""
        first = self.daemon

        def leave():
            first.server.shutdown()
            first.server.server_close()
        self.answers["GET /v1/trees/T1/events"] = stream(*self.grows[:4], lambda: threading.Thread(target=leave).start())
        run = self.start("tree", "T1", "--follow", "--thread", "/")
        self.assertEqual(run.stdout.readline(), "root\n")
        again = stream(*self.grows[:2], ("text", {"text": "root\nthinks on\n", "tokens": 9}), *self.ends[2:])
        second = daemon_at(first.server.server_address[1],
                                {"GET /v1/trees/T1": tree(), "GET /v1/trees/T1/events": again})
        self.addCleanup(second.close)
        self.assertEqual(run.stdout.read(), "think\nthinks on\n")  # a line that has changed is begun anew
        self.assertEqual((run.wait(PATIENCE), run.stderr.read()), (0, ""))

    def test_what_was_printed_is_not_printed_again(self):
        """The new daemon tells of a spawn in whose place its join is printed already."""
        text = [("text", {"text": "root\n", "tokens": 2}, 10), ("spawn", {"text": "<spawn>\n", "position": 5, "children": ["/0"]}, 11),
                ("join", {"text": "<joined>\n", "position": 5}, 12), ("text", {"text": "think\n", "position": 14, "tokens": 5}, 13)]
        more = ("text", {"text": "on\n", "position": 20, "tokens": 6}, 24)
        parts = [stream(self.grows[0], *text), stream(self.grows[0], *text, more, *self.ends[2:])]
        self.answers["GET /v1/trees/T1/events"] = lambda r: parts.pop(0)(r)
        self.assertEqual(self.works("tree", "T1", "--follow", "--thread", "/"), "root\n<spawn>\n<joined>\nthink\non\n")

    def test_a_tree_that_ended_while_nobody_heard_is_told_in_the_order_of_time(self):
        def at(second):
            return {"at": f"2026-11-23T09:30:0{second}.000Z"}
        parts = [stream(("tree", {"state": "running", **at(0)}, 0), ("thread", {"state": "decoding", "tokens": 0, "failure": None, **at(0)}, 1)),
                 stream(("tree", {"state": "done", **at(9)}, 2), ("thread", {"state": "done", "tokens": 12, "failure": None, **at(9)}, 3),
                        ("spawn", {"children": ["/0"], "text": "<spawn>", **at(1)}, 4),
                        ("thread", {"thread": "/0", "parent": "/", "state": "done", "tokens": 7, "failure": None, **at(5)}, 5),
                        ("join", {"text": "<joined>", **at(5)}, 6), ("done", {"state": "done", "failure": None, "outcome": {"solved": True}, **at(9)}, 7))]
        self.answers["GET /v1/trees/T1/events"] = lambda r: parts.pop(0)(r)
        told = [line.split(" ", 1)[1] for line in self.works("tree", "T1", "--follow").splitlines()]
        self.assertEqual(told, ["tree running", "/ decoding", "/ spawned /0", "/0 done, 7 tokens", "/ joined", "/ done, 12 tokens", "tree done, solved"])

    def test_streams_that_are_rationed_are_waited_for(self):
        parts = [lambda r: (429, {"error": {"code": "too_many_requests", "message": "ask more slowly"}}, {"Retry-After": "0.01"}),
                 stream(*self.grows, *self.ends)]
        self.answers["GET /v1/trees/T1/events"] = lambda r: parts.pop(0)(r)
        self.assertEqual(self.told()[-1], "tree done, solved")

    def test_a_daemon_that_is_gone_for_good(self):
        self.answers["GET /v1/trees/T1/events"] = stream(*self.grows[:3], lambda: threading.Thread(target=self.daemon.close).start())
        done = self.banyan("tree", "T1", "--follow", "--timeout", 0.3)
        self.assertEqual(done.returncode, 3)
        self.assertIn("no daemon answers there", done.stderr)

    def test_a_stream_without_events_is_no_stream(self):
        self.answers["GET /v1/trees/T1/events"] = stream()
        self.refused(3, "tree", "T1", "--follow", "--timeout", 0.3, says="/v1/trees/T1/events")

    def test_what_cannot_be_followed(self):
        for path in ("/99", "nonsense"):
            self.refused(2, "tree", "T1", "--follow", "--thread", path, says=f"{path}: the tree has no such thread")
        del self.answers["GET /v1/trees/T1/events"]
        self.refused(2, "tree", "T1", "--follow", says="nothing is there")

    def test_ctrl_c(self):
        halt, sent = threading.Event(), threading.Event()
        self.addCleanup(halt.set)
        self.answers["GET /v1/trees/T1/events"] = stream(*self.grows, sent.set, lambda: halt.wait(PATIENCE))
        run = self.start("tree", "T1", "--follow")
        self.assertTrue(sent.wait(PATIENCE))
        run.stdout.readline()
        run.send_signal(signal.SIGINT)
        _, errors = run.communicate(timeout=PATIENCE)
        self.assertEqual((run.returncode, errors), (130, ""))


class submitting(client_case):
    def setUp(self):
        super().setUp()
        self.bodies = []

        def accept(r):
            self.bodies.append(r.body)
            return 202, {"id": f"T{len(self.bodies)}"}
        self.answers["POST /v1/trees"] = accept

    def test_ids_are_printed(self):
        self.assertEqual(self.works("submit", "--target", 54, 25, 7, 3), "T1\n")
        self.assertEqual(self.bodies, [{"wait": False, "problem": {"numbers": [25, 7, 3], "target": 54}}])
        self.assertEqual(self.works("submit", "--target", 54, 25, 7, 3, "--json"), '{"id":"T2"}\n')

    def test_only_what_was_asked_for_is_sent(self):
        self.works("submit", "--target", 54, 25, 7, 3, "--temperature", 0.7, "--top-k", 5, "--seed", 18446744073709551615, "--max-tokens", 99,
                   "--deadline", 1.5, "--join", "k_of_n:2", "--children", 3, "--labels", "run=a", "user=b c")
        self.assertEqual(self.bodies[0], {
            "sampling": {"temperature": 0.7, "top_k": 5, "seed": 18446744073709551615}, "budget": {"max_tokens": 99, "deadline_s": 1.5},
            "join": "k_of_n:2", "children": 3, "labels": {"run": "a", "user": "b c"}, "wait": False,
            "problem": {"numbers": [25, 7, 3], "target": 54}})

    def test_a_token_budget_is_sent_and_stands_alone(self):
        self.works("submit", "--target", 54, 25, 7, 3, "--token-budget", 512)
        self.assertEqual(self.bodies[0]["token_budget"], 512)
        self.assertNotIn("children", self.bodies[0])
        self.refused(2, "submit", "--target", 54, 25, 7, 3, "--token-budget", 512, "--children", 3,
                     says="--token-budget: --children is given too")
        self.assertEqual(len(self.bodies), 1)

    def problems(self):
        file = self.folder / "p.jsonl"
        file.write_text('{"nums": [25, 7, 3], "target": 54}\n{"nums": [1, 2], "target": 3}\n')
        return file

    def test_waiting_prints_results_in_the_order_of_the_problems(self):
        states = iter(["queued", "running", "running", "done"])
        self.answers["GET /v1/trees/T1"] = lambda r: tree(state=next(states))
        self.answers["GET /v1/trees/T2"] = tree("T2", problem={"numbers": [1, 2], "target": 3})
        out = self.works("submit", "--problems", self.problems(), "--wait", "--quiet")
        self.assertEqual([line.split(": ")[0] for line in out.splitlines()[::2]], ["25, 7, 3 -> 54", "1, 2 -> 3"])
        self.assertIn("(verified)", out)
        self.assertEqual(len(self.bodies), 2)

    def test_what_stays_unsolved_is_told_by_the_exit_code(self):
        self.answers["GET /v1/trees/T1"] = tree()
        self.answers["GET /v1/trees/T2"] = tree("T2", "failed", solved=False, failure="deadline")
        lines = self.works("submit", "--problems", self.problems(), "--wait", "--json", "--quiet", code=1).splitlines()
        self.assertEqual([json.loads(line)["outcome"]["solved"] for line in lines], [True, False])

    def while_it_is_there(self, id):
        """The tree runs until the daemon leaves; set once it was asked for."""
        asked = threading.Event()
        self.here = True
        self.answers[f"GET /v1/trees/{id}"] = lambda r: asked.set() or (tree(id, "running") if self.here else None)
        return asked

    def leave(self):
        """With it go the connections that stand."""
        self.here = False
        self.daemon.close()

    def test_a_daemon_that_begins_anew_is_waited_for(self):
        """The ids are known before it goes away."""
        asked = self.while_it_is_there("T1")
        run = self.start("submit", "--problems", self.problems(), "--wait")
        self.assertEqual([run.stderr.readline() for _ in range(2)], ["banyan: T1: 25, 7, 3 -> 54\n", "banyan: T2: 1, 2 -> 3\n"])
        self.assertTrue(asked.wait(PATIENCE))
        self.leave()
        answers = {"GET /v1/trees/T1": (503, {"error": {"message": "the daemon: it is not ready yet; try again"}}), "GET /v1/trees/T2": tree("T2")}
        second = daemon_at(self.daemon.server.server_address[1], answers)
        self.addCleanup(second.close)
        deadline = time.monotonic() + PATIENCE
        while not second.asked("/v1/trees/T1"):
            self.assertIsNone(run.poll())
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        second.answers["GET /v1/trees/T1"] = tree()
        out, _ = run.communicate(timeout=PATIENCE)
        self.assertEqual((run.returncode, out.count("(verified)")), (0, 2))

    def test_a_daemon_that_is_gone_for_good(self):
        asked = self.while_it_is_there("T1")
        run = self.start("submit", "--target", 54, 25, 7, 3, "--wait", "--timeout", 0.3)
        self.assertTrue(asked.wait(PATIENCE))
        self.leave()
        _, errors = run.communicate(timeout=PATIENCE)
        self.assertEqual(run.returncode, 3)
        self.assertIn("no daemon answers there", errors)

    def test_a_full_queue_is_waited_for(self):
        accept, tries = self.answers["POST /v1/trees"], []

        def busy(r):
            tries.append(time.monotonic())
            if len(tries) < 3:
                return 429, {"error": {"code": "full", "message": "the queue: it is full; try again"}}, {"Retry-After": "0.1"}
            return accept(r)
        self.answers["POST /v1/trees"] = busy
        self.assertEqual(self.works("submit", "--target", 54, 25, 7, 3, "--quiet"), "T1\n")
        self.assertGreater(tries[2] - tries[0], 0.2)

    def test_a_queue_that_stays_full_is_waited_for_as_long_as_for_an_answer(self):
        accept, room = self.answers["POST /v1/trees"], [1]

        def full(r):
            if room:
                room.pop()
                return accept(r)
            return 429, {"error": {"code": "full", "message": "the queue: it is full; try again later"}}, {"Retry-After": "1000"}
        self.answers["POST /v1/trees"] = full
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as problems:
            problems.write('{"nums": [25, 7, 3], "target": 54}\n' * 2)
            problems.flush()
            done = self.banyan("submit", "--problems", problems.name, "--timeout", 0.3)
        self.assertEqual((done.returncode, done.stdout), (2, "T1\n"))
        self.assertEqual(done.stderr.splitlines()[-1], "banyan: the queue: it is full; try again later (tree T1 it has taken before)")

    def test_results_are_waited_for_where_requests_are_rationed(self):
        whole, tries = tree(), []

        def rationed(r):
            tries.append(r)
            if len(tries) % 2 == 1:
                return 429, {"error": {"code": "too_many_requests", "message": "127.0.0.1: too many requests; ask more slowly"}}, {"Retry-After": "0.1"}
            return whole
        self.answers["GET /v1/trees/T1"] = rationed
        self.assertIn("54", self.works("submit", "--target", 54, 25, 7, 3, "--wait", "--quiet"))

    def test_a_problem_that_the_daemon_refuses(self):
        self.answers["POST /v1/trees"] = (400, {"error": {"code": "bad_request", "message": "problem.numbers: the model knows three; give three",
                                                          "field": "problem.numbers"}})
        self.refused(2, "submit", "--target", 10, 1, 2, 3, 4, says="banyan: problem.numbers: the model knows three")
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as problems:
            problems.write('{"nums": [25, 7, 3, 4], "target": 54}\n' * 2)
            problems.flush()
            self.refused(2, "submit", "--problems", problems.name, says=f"banyan: {problems.name}: line 1: problem.numbers: the model knows three")


class exporting(client_case):
    def setUp(self):
        super().setUp()
        trees = [tree(f"T{i}", created=f"2026-11-23T09:{i:02}:00.000Z") for i in range(5)]
        self.answers["GET /v1/trees"] = lists(*trees, page=2)
        for t in trees:
            self.answers[f"GET /v1/trees/{t['id']}"] = t

    def test_json_lines_oldest_first(self):
        done = self.banyan("export", "--quiet")
        trees = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([t["id"] for t in trees], ["T0", "T1", "T2", "T3", "T4"])
        self.assertEqual(trees[0]["threads"][0]["text"], "root\nsays this\n")
        self.assertEqual(self.banyan("export", "--quiet", "--out", "-").stdout, done.stdout)

    def test_progress_is_told_as_the_end_is(self):
        trees = [tree(f"T{i}", created=f"2026-11-23T09:{i:02}:00.000Z") for i in range(50)]
        self.answers["GET /v1/trees"] = lists(*trees)
        for t in trees:
            self.answers[f"GET /v1/trees/{t['id']}"] = t
        self.assertEqual(self.banyan("export").stderr, 2 * "banyan: wrote 50 trees\n")

    def test_some_trees(self):
        out = self.works("export", "T3", "T1", "--quiet")
        self.assertEqual([json.loads(line)["id"] for line in out.splitlines()], ["T3", "T1"])
        self.refused(2, "export", "T9", "--quiet", says="T9")
        twice = self.works("export", "T3", "T1", "T3", "--quiet")
        self.assertEqual(twice, out)
        for words in (["--state", "done"], ["--label", "a=b"], ["--solved"], ["--since", "2h"]):
            self.refused(2, "export", "T3", *words, says=words[0])

    def test_times_are_sent(self):
        self.works("export", "--quiet", "--since", "2026-11-23T09:30:00Z", "--until", "2026-11-24", "--label", "a=b", "--state", "done")
        query = dict(self.daemon.asked("/v1/trees")[-1].query)
        self.assertEqual((query["created_after"], query["created_before"]), ("2026-11-23T09:29:59.999Z", "2026-11-24T00:00:00.000Z"))
        self.assertEqual((query["label"], query["state"]), ("a=b", "done"))

    def test_a_trace(self):
        out = self.folder / "trace.json"
        self.works("export", "--quiet", "--out", out)
        events = json.loads(out.read_text())["traceEvents"]
        self.assertEqual({e["pid"] for e in events}, {1, 2, 3, 4, 5})
        self.assertEqual(sorted({e["name"] for e in events if e["ph"] == "X"}), ["/", "/0", "decoding", "waiting"])
        self.assertEqual(json.loads(self.works("export", "--quiet", "--format", "chrome"))["traceEvents"], events)

    def test_a_file_is_whole_or_not_there(self):
        self.answers["GET /v1/trees/T4"] = 503, {"error": {"code": "unavailable", "message": "T4: the store is busy; try again"}}
        for name in ("a.jsonl", "a.json"):
            self.refused(3, "export", "--quiet", "--out", self.folder / name, says="T4")
        self.assertEqual(list(self.folder.iterdir()), [])
        self.refused(3, "export", "--out", self.folder / "nowhere" / "a.jsonl", says="nowhere")

    def test_a_tree_that_was_dropped_since_the_list_is_left_out(self):
        del self.answers["GET /v1/trees/T0"]
        self.assertEqual([json.loads(line)["id"] for line in self.works("export", "--quiet").splitlines()], ["T1", "T2", "T3", "T4"])
        self.refused(2, "export", "T0", "--quiet", says="T0")  # asked for by name

    def test_requests_that_are_rationed_take_their_time(self):
        tries = collections.Counter()

        def rationed(answer):
            def every_second(r):
                tries[r.path] += 1
                if tries[r.path] % 2:
                    return 429, {"error": {"code": "too_many_requests", "message": "127.0.0.1: too many requests; ask more slowly"}}, {"Retry-After": "0.01"}
                return answer(r) if callable(answer) else answer
            return every_second
        for name, answer in list(self.answers.items()):
            self.answers[name] = rationed(answer)
        self.assertEqual(len(self.works("export", "--quiet").splitlines()), 5)
        self.assertEqual(tries["/v1/trees/T0"], 2)

    def test_a_damaged_tree_is_named_and_left_out(self):
        def damaged(name):
            return 500, {"error": {"code": "damaged_tree", "message": f"d/trees.db: tree {name}: not a tree; do without it"}}

        listed = lists(*[tree(f"T{i}", created=f"2026-11-23T09:{i:02}:00.000Z") for i in range(5)], page=2)
        self.answers["GET /v1/trees"] = lambda r: {**listed(r), "damaged": ["T9"]}
        self.answers["GET /v1/trees/T9"], self.answers["GET /v1/trees/T2"] = damaged("T9"), damaged("T2")
        for words in ([], ["T0", "T9", "T1", "T2", "T3", "T4"]):
            done = self.banyan("export", "--quiet", *words)
            self.assertEqual(done.returncode, 3)
            self.assertEqual([json.loads(line)["id"] for line in done.stdout.splitlines()], ["T0", "T1", "T3", "T4"])
            self.assertEqual(sorted(done.stderr.splitlines()),
                             [f"banyan: d/trees.db: tree {name}: not a tree; do without it" for name in ("T2", "T9")])
        out = self.folder / "trees.jsonl"
        self.assertEqual(self.banyan("export", "--out", out).returncode, 3)
        self.assertEqual(len(out.read_text().splitlines()), 4)
        shown = self.banyan("ps")
        self.assertEqual(shown.returncode, 0)
        self.assertRegex(shown.stderr, "T9: .*; `banyan tree T9` says why")

    def test_a_store_that_is_not_there(self):
        done = self.banyan("export", "--store", self.folder / "trees.db")
        self.assertEqual((done.returncode, done.stdout), (3, ""))
        self.assertIn("trees.db", done.stderr)
        self.assertEqual(list(self.folder.iterdir()), [])


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


class snapshots(client_case):
    def setUp(self):
        super().setUp()
        self.answers["GET /v1/status"] = counting_status()
        self.answers["GET /v1/trees"] = lists(tree("R1", "running"), tree("R2", "running", usage={"threads": 40, "generated_tokens": 5}), tree("Q1", "queued"))

    def test_one_per_interval(self):
        out = self.works("top", "--count", 3, "--interval", 0.05)
        self.assertEqual(out.count("banyand 1.2.3 at " + self.daemon.url + ", ready, up 1:02:03\n"), 3)
        first, second = out.split("banyand ")[1:3]
        self.assertIn("2 running, 1 queued, 0 paused, 120 finished, 6 since start: 5 solved, 1 failed, 0 cancelled\n", first)
        self.assertIn("5 decoding, 2 waiting", first)
        self.assertRegex(first, r"cpu:0 +3 +17 +- +\[#####\+\+\+\+\+=====\.\.\.\.\.\] 750 of 1\.0k +54 % +-")
        self.assertRegex(second, r"cpu:0 +3 +17 +\d[\d.]*[kM] ")
        self.assertRegex(second, r"\d[kM] tokens/s")
        self.assertEqual(re.findall(r"(?m)^([RQ]\d) ", first), ["R2", "R1", "Q1"])

    def test_long_lists_are_cut(self):
        self.answers["GET /v1/trees"] = lists(*(tree(f"R{i}", "running") for i in range(25)))
        self.assertRegex(self.works("top", "--count", 1), r"(\nR\d+ [^\n]*){20}\nand 5 more trees\n$")

    def test_json_lines(self):
        lines = [json.loads(line) for line in self.works("top", "--count", 2, "--interval", 0.05, "--json").splitlines()]
        self.assertEqual([line["status"]["tokens"]["generated"] for line in lines], [1000, 2000])
        self.assertEqual(len(lines[0]["trees"]), 3)


class terminal:
    """A program on a terminal of its own, as a user sees it."""

    def __init__(self, words, env, columns=100, rows=30, program=(BANYAN,)):
        self.master, self.slave = pty.openpty()
        self.resize(columns, rows)
        self.before = termios.tcgetattr(self.slave)
        self.seen = b""
        self.arrived = threading.Condition()

        def own_terminal():
            os.setsid()
            fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)
        self.program = subprocess.Popen([*program, *map(str, words)], stdin=self.slave, stdout=self.slave, stderr=self.slave,
                                        env=env, preexec_fn=own_terminal, pass_fds=(self.slave,))
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        with contextlib.suppress(OSError):
            while piece := os.read(self.master, 65536):
                with self.arrived:
                    self.seen += piece
                    self.arrived.notify_all()

    def resize(self, columns, rows):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def press(self, keys):
        os.write(self.master, keys.encode())

    def wait_for(self, pattern, since=0):
        """Waits until what came after `since` bytes matches; returns the place behind the match."""
        with self.arrived:
            found = None

            def matches():
                nonlocal found
                found = re.search(pattern.encode(), self.seen[since:], re.S)
                return found
            if not self.arrived.wait_for(matches, PATIENCE):
                raise AssertionError(f"{pattern} does not come: {self.seen[since:][-3000:]}")
            return since + found.end()

    def frames(self, since=0):
        return [f for f in self.seen[since:].split(b"\x1b[H") if f.endswith(b"\x1b[J")]

    def restored(self):
        return termios.tcgetattr(self.slave) == self.before

    def close(self):
        if self.program.poll() is None:
            self.program.kill()
            self.program.wait()
        os.close(self.slave)
        os.close(self.master)


def shown(frame):
    """The lines of a frame without their colours."""
    return [re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", line).decode() for line in frame.split(b"\r\n")]


class on_a_terminal(client_case):
    def run_on_terminal(self, *words, **size):
        t = terminal(words, self.env, **size)
        self.addCleanup(t.close)
        return t

    def top(self, **size):
        t = self.run_on_terminal("top", "--interval", 0.05, **size)
        t.wait_for("q quit")
        return t

    def setUp(self):
        super().setUp()
        self.answers["GET /v1/status"] = counting_status()
        self.answers["GET /v1/trees"] = lists(*(tree(f"R{i:02}", "running", created=f"2026-11-23T09:{i:02}:00.000Z") for i in range(40)))
        self.answers["GET /v1/trees/T1"] = tree()

    def selected(self, t, id, since=0):
        return t.wait_for(r"\x1b\[7m" + id + " ", since)

    def test_ctrl_c_leaves_the_tree_that_was_followed_on_the_screen(self):
        self.answers["GET /v1/trees/T1/events"] = stream(*following.grows, lambda: time.sleep(2))
        t = self.run_on_terminal("tree", "T1", "--follow")
        t.wait_for("/0")
        before = len(t.seen)
        t.press("\x03")
        self.assertEqual(t.program.wait(PATIENCE), 130)
        t.wait_for("\r\x1b\\[K", before)
        self.assertNotRegex(t.seen[before:].decode(), "\x1b\\[[0-9]+A")  # nothing is drawn over

    def test_q_leaves_the_terminal_as_it_was(self):
        t = self.top()
        self.assertFalse(t.restored())
        self.assertIn(b"\x1b[?1049h", t.seen)
        t.press("q")
        self.assertEqual(t.program.wait(PATIENCE), 0)
        self.assertTrue(t.restored())
        t.wait_for(r"\x1b\[\?25h\x1b\[\?1049l$")

    def test_signals_leave_the_terminal_as_it_was(self):
        halt = threading.Event()
        self.addCleanup(halt.set)
        for keys, number, code in (("\x03", None, 130), (None, signal.SIGTERM, 143), (None, signal.SIGHUP, -signal.SIGHUP),
                                   (None, signal.SIGQUIT, -signal.SIGQUIT)):
            with self.subTest(number=number):
                t = self.top()
                t.press(keys) if keys else t.program.send_signal(number)
                self.assertEqual(t.program.wait(PATIENCE), code)
                self.assertTrue(t.restored())
                t.wait_for(r"\x1b\[\?1049l")

    def test_stopped_and_brought_back(self):
        shell = ("sh", "-mc", '"$0" "$@"; echo stopped; read line; fg; echo ended $?', BANYAN)
        t = self.run_on_terminal("top", "--interval", 0.05, program=shell)
        at = t.wait_for("q quit")
        t.press("\x1a")
        at = t.wait_for(r"\x1b\[\?1049l.*stopped", at)
        self.assertTrue(t.restored())
        t.press("\n")
        at = t.wait_for(r"\x1b\[\?1049h.*q quit", at)
        t.press("q")
        t.wait_for(r"\x1b\[\?1049l.*ended 0", at)
        self.assertEqual(t.program.wait(PATIENCE), 0)
        self.assertTrue(t.restored())

    def test_frames_fit_the_terminal(self):
        t = self.top(columns=60, rows=20)
        at = len(t.seen)
        t.resize(40, 12)
        t.program.send_signal(signal.SIGWINCH)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            lines = [shown(f) for f in t.frames(at)]
            if any(len(frame) == 12 for frame in lines):
                break
            time.sleep(0.01)
        small = [frame for frame in lines if len(frame) == 12]
        self.assertTrue(small)
        for frame in small:
            self.assertLessEqual(max(map(len, frame)), 40)
        t.press("q")
        self.assertEqual(t.program.wait(PATIENCE), 0)

    def test_keys_move_through_the_list(self):
        t = self.top()
        at = self.selected(t, "R39")
        t.press("\x1b[B\x1b[B")
        at = self.selected(t, "R37", at)
        t.press("\x1b[A")
        at = self.selected(t, "R38", at)
        t.press("\x1b[F")
        at = self.selected(t, "R00", at)
        t.press("\x1b[5~")
        at = t.wait_for(r"\x1b\[7mR[12]\d ", at)
        t.press("\x1b[H")
        self.selected(t, "R39", at)

    def test_nobody_is_cancelled_in_the_place_of_a_tree_that_has_ended(self):
        """Between the question and the answer, and before a key, the marked tree goes from the list."""
        rest = [tree(f"R{i:02}", "running", created=f"2026-11-23T09:{i:02}:00.000Z") for i in range(39)]
        self.answers["POST /v1/trees/R39/cancel"] = (409, {"error": {"message": "R39: it has ended; there is nothing to do"}})
        t = self.top()
        at = self.selected(t, "R39")
        t.press("c")
        at = t.wait_for(r"cancel R39\? y/n", at)
        self.answers["GET /v1/trees"] = lists(*rest)
        at = t.wait_for(r"\x1b\[H(?:(?!R39).)*cancel R39\? y/n", at)  # it is not in the list, but asked about
        t.press("y")
        at = t.wait_for("R39: it has ended", at)
        for key in "pr":
            t.press(key)
            at = t.wait_for("no tree is marked", at)
        t.press("c")
        at = t.wait_for("no tree is marked", at)
        self.assertFalse(any(b"\x1b[7m" in frame for frame in t.frames(at)))
        self.assertEqual([r.path for r in self.daemon.seen if r.method == "POST"], ["/v1/trees/R39/cancel"])
        t.press("\x1b[B")
        self.selected(t, "R37", at)

    def test_the_marked_tree_stays_the_same_one(self):
        """The first that is seen is marked, whichever stands there later."""
        self.answers["POST /v1/trees/R39/pause"] = tree("R39", "paused")
        t = self.top()
        at = self.selected(t, "R39")
        trees = [tree(f"R{i:02}", "running", created=f"2026-11-23T09:{i:02}:00.000Z") for i in range(39, 42)]
        self.answers["GET /v1/trees"] = lists(*trees)
        at = t.wait_for(r"R41 .*R40 .*\x1b\[7mR39 ", at)
        t.press("p")
        t.wait_for("R39 paused", at)

    def test_the_threads_of_a_tree_are_scrolled_through(self):
        big = tree("R39", "running")
        big["threads"] += [{**big["threads"][1], "path": f"/{i}"} for i in range(1, 12)]
        self.answers["GET /v1/trees/R39"] = big
        t = self.top(rows=12)
        t.press("\r")
        at = t.wait_for(r"/ +waiting.*threads 1 to \d+ of 13")
        t.press("\x1b[B")
        at = t.wait_for(r"threads 2 to", at)
        t.press("\x1b[F")
        at = t.wait_for(r"/11 .*threads \d+ to 13 of 13", at)
        t.press("\x1b[H")
        at = t.wait_for(r"threads 1 to", at)
        t.press("\x1b[6~")
        at = t.wait_for(r"threads [3-9] to", at)
        t.press("\r")
        self.selected(t, "R39", at)  # the list did not move

    def test_a_narrow_terminal_shows_figures_before_all_else(self):
        id = "01J9ZC3V7R2M8Q5T4W6X0Y1B3D"
        self.answers["GET /v1/trees"] = lists(tree(id, "running", labels={"run": "a"}))
        t = self.top(columns=60)
        lines = shown(t.frames()[-1])
        head = next(i for i, line in enumerate(lines) if "TOKENS" in line and "TIME" in line)
        self.assertEqual(lines[head].split(), ["ID", "STATE", "PROBLEM", "THREADS", "TOKENS", "TIME"])
        self.assertRegex(lines[head + 1], r"^\.\.[0-9A-Z]+ +running +25, 7, 3 -> 54 +2 +19 +1:47$")
        self.assertTrue(id.endswith(lines[head + 1].split()[0][2:]))
        self.assertRegex("\n".join(lines), r"(?m)^cpu:0 +3 +17 .* 54 % ")
        self.assertRegex("\n".join(lines), r"(?m)^trees .* \.\.\.$")

    def test_what_is_followed_does_not_steer_the_terminal(self):
        self.answers["GET /v1/trees/T1/events"] = stream(*following.grows[:2], ("text", {"text": "red \x1b[31m\nnext\n", "tokens": 2}, 10), *following.ends[2:])
        t = self.run_on_terminal("tree", "T1", "--follow", "--thread", "/")
        self.assertEqual(t.program.wait(PATIENCE), 0)
        t.wait_for("red .*31m\r\nnext\r\n")
        self.assertNotIn(b"\x1b[31m", t.seen)

    def test_a_dumb_terminal_gets_lines(self):
        self.answers["GET /v1/trees/T1/events"] = stream(*following.grows, *following.ends)
        self.env["TERM"] = "dumb"
        t = self.run_on_terminal("top", "--interval", 0.05)
        t.wait_for("banyand .*R39 .*banyand .*R39 ")
        t.press("\x03")
        self.assertEqual(t.program.wait(PATIENCE), 130)
        self.assertNotIn(b"\x1b", t.seen)
        t = self.run_on_terminal("tree", "T1", "--follow")
        self.assertEqual(t.program.wait(PATIENCE), 0)
        t.wait_for("/ spawned /0\r\n.*tree done, solved\r\n$")
        self.assertNotIn(b"\x1b", t.seen)

    def test_a_tree_is_shown_and_left(self):
        self.answers["GET /v1/trees/R39"] = tree("R39", "running")
        t = self.top()
        t.press("\r")
        at = t.wait_for("waits for /0.*19 tokens.*Enter back")
        t.press("\r")
        self.selected(t, "R39", at)

    def test_trees_are_cancelled_once_that_is_confirmed(self):
        for action, state in (("cancel", "cancelled"), ("pause", "paused"), ("resume", "running")):
            self.answers[f"POST /v1/trees/R39/{action}"] = tree("R39", state)
        t = self.top()
        t.press("c")
        at = t.wait_for(r"cancel R39\? y/n")
        t.press("n")
        at = t.wait_for("q quit", at)
        t.press("p")
        at = t.wait_for("R39 paused", at)
        t.press("r")
        at = t.wait_for("R39 running", at)
        self.assertEqual(self.daemon.asked("/v1/trees/R39/cancel", "POST"), [])
        t.press("cy")
        t.wait_for("R39 cancelled", at)
        self.assertEqual(len(self.daemon.asked("/v1/trees/R39/cancel", "POST")), 1)

    def test_a_daemon_that_goes_away_is_waited_for(self):
        t = self.top()
        real = self.answers["GET /v1/status"]
        self.answers["GET /v1/status"] = (503, {"error": {"message": "the daemon: it is about to end; ask another one"}})
        at = t.wait_for("it is about to end")
        self.answers["GET /v1/status"] = real
        t.wait_for("q quit", at)

    def test_q_does_not_wait_for_a_silent_daemon(self):
        t = self.top()
        halt, asked = threading.Event(), threading.Event()
        self.addCleanup(halt.set)
        self.answers["GET /v1/status"] = lambda r: asked.set() or halt.wait(PATIENCE) and None
        self.assertTrue(asked.wait(PATIENCE))
        t.press("q")
        self.assertEqual(t.program.wait(PATIENCE), 0)
        self.assertTrue(t.restored())

    def test_a_tree_that_is_followed_is_drawn(self):
        wait = threading.Event()
        self.addCleanup(wait.set)
        self.answers["GET /v1/trees/T1/events"] = stream(*following.grows, lambda: wait.wait(PATIENCE), *following.ends)
        t = self.run_on_terminal("tree", "T1", "--follow", columns=60, rows=20)
        at = t.wait_for(r"T1  running.*waits for /0.*\n.*/0 +queued")
        t.resize(50, 10)
        wait.set()
        self.assertEqual(t.program.wait(PATIENCE), 0)
        t.wait_for(r"T1  done.*no solution.*\(verified\)", at)
        self.assertTrue(t.restored())

    def test_ctrl_c_ends_a_drawing(self):
        halt = threading.Event()
        self.addCleanup(halt.set)
        self.answers["GET /v1/trees/T1/events"] = stream(*following.grows, lambda: halt.wait(PATIENCE))
        t = self.run_on_terminal("tree", "T1", "--follow")
        t.wait_for("waits for /0")
        t.press("\x03")
        self.assertEqual(t.program.wait(PATIENCE), 130)

    def test_what_models_wrote_does_not_steer_the_terminal(self):
        evil = tree()
        evil["threads"][0]["text"] = "clear \x1b[2J\nand \x9b2J \x07\n"
        evil["labels"] = {"x": "\x1b]0;title\x07"}
        self.answers["GET /v1/trees/T1"] = evil
        self.answers["GET /v1/trees"] = lists({**evil, "state": "done"})
        for words in (["tree", "T1", "--texts"], ["ps"]):
            t = self.run_on_terminal(*words)
            self.assertEqual(t.program.wait(PATIENCE), 0)
            t.wait_for("clear|title")
            for wrong in (b"\x1b[2J", b"\x1b]", b"\x07", "\x9b".encode()):
                self.assertNotIn(wrong, t.seen)


if __name__ == "__main__":
    unittest.main(verbosity=2)
