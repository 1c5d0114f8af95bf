#!/usr/bin/env python3
"""What a daemon adds to decoding, and how it holds up.

    bench/daemon_bench.py build/release/bin/banyand [--only PART,…] [--scale X] [--json]

  overhead  200 clients at a time grow small trees: what each waits beyond its tree's own life (created to finished),
            and what /v1/status and a list of 20 trees take meanwhile; with --sync full and with normal
  streams   1,000 open streams of events while trees grow, half of them of all trees and half of one each: how many
            got every event, and what the daemon used for it, against the same trees without streams
  recovery  10,000 unfinished trees and kill -9: from the start of the process to its ready line, to its first
            answer and to the first tree that goes on, against a start with an empty store
  pages     10,000 live threads of paused trees: a page of threads, a list of trees and the status, against the same
            questions to an empty daemon
  soak      2,000 trees: resident memory at each quarter
  idle      CPU of a daemon that has done some work and has nothing to do

Figures of one run belong together: machines differ, and so does what else they do. `--scale 0.1` makes all numbers of
trees, streams and threads a tenth. Needs nothing but Python.
"""

import argparse
import json
import pathlib
import re
import resource
import selectors
import socket
import sys
import threading
import time
from datetime import datetime

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "scripts"))
from daemon import body, daemon, scratch_folder, side_by_side, wait_for  # noqa: E402

SMALL = {"max_tokens": 40}


def share(values, q):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


def spread(name, values):
    return {f"{name}_p50": share(values, 0.5), f"{name}_p99": share(values, 0.99)}


def milliseconds_of(time_text):
    return 1000 * datetime.fromisoformat(time_text.replace("Z", "+00:00")).timestamp()


# ---- many clients on one OS thread: they wait for the daemon and not for each other


class connection:
    """A kept-alive connection that asks one thing at a time."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, method, path, request=None):
        text = b"" if request is None else json.dumps(request).encode()
        self.socket.sendall(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(text)}\r\n\r\n".encode() + text)
        self.began, self.got, self.size = time.monotonic(), bytearray(), None

    def read(self):
        """Takes what is there; the whole body once it is."""
        piece = self.socket.recv(1 << 18)
        if not piece:
            raise ConnectionError("the daemon left")
        self.got += piece
        if self.size is None:
            head_end = self.got.find(b"\r\n\r\n")
            if head_end < 0:
                return None
            head = self.got[:head_end].decode().lower()
            self.size = head_end + 4 + int(head.split("content-length: ")[1].split("\r\n")[0])
            self.begin = head_end + 4
        return bytes(self.got[self.begin:]) if len(self.got) >= self.size else None


def swarm(d, requests, clients, looks=()):
    """Sends the requests, so many at a time; meanwhile asks for each of the `looks` every 50 ms. Milliseconds and bodies
    of the requests, and milliseconds of the looks."""
    selector, waiting = selectors.DefaultSelector(), list(reversed(requests))
    done, seen = [], {path: [] for path in looks}

    def next_request(c):
        if waiting:
            c.ask("POST", "/v1/trees", waiting.pop())
        else:
            selector.unregister(c.socket)

    def next_look(c, path):
        c.ask("GET", path)

    for _ in range(min(clients, len(requests))):
        c = connection(d.port)
        selector.register(c.socket, selectors.EVENT_READ, (c, None))
        next_request(c)
    resting = []  # when, connection, path
    for path in looks:
        c = connection(d.port)
        selector.register(c.socket, selectors.EVENT_READ, (c, path))
        next_look(c, path)
    while len(done) < len(requests):
        now = time.monotonic()
        for entry in [r for r in resting if r[0] <= now]:
            resting.remove(entry)
            next_look(*entry[1:])
        for key, _ in selector.select(0.05):
            c, path = key.data
            got = c.read()
            if got is None:
                continue
            took = 1000 * (time.monotonic() - c.began)
            if path:
                seen[path].append(took)
                resting.append((time.monotonic() + 0.05, c, path))
            else:
                done.append((took, got))
                next_request(c)
    return done, seen


def overhead(program, scale, sync):
    clients, trees = max(2, int(200 * scale)), max(10, int(2000 * scale))
    listed = "/v1/trees?limit=20"
    with scratch_folder() as folder, daemon(program, folder, "--sync", sync, "--concurrency", clients) as d:
        requests = [body(i, budget=SMALL) for i in range(trees)]
        swarm(d, requests[:clients], clients)
        done, seen = swarm(d, requests, clients, ("/v1/status", listed))
    extra, lives = [], []
    for took, got in done:
        tree = json.loads(got)
        life = milliseconds_of(tree["finished"]) - milliseconds_of(tree["created"])
        lives.append(life)
        extra.append(took - life)
    return {"sync": sync, "clients": clients, "trees": trees, **spread("tree_ms", lives), **spread("extra_ms", extra),
            **spread("status_ms", seen["/v1/status"]), **spread("list_ms", seen[listed])}


# ---- streams


class reader:
    """A stream of events as its bytes came."""

    def __init__(self, port, path):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        self.path, self.pieces, self.over = path, [], False

    def events(self):
        """Names and data, in order."""
        whole = b"".join(self.pieces).partition(b"\r\n\r\n")[2]
        text = b""
        while whole:  # chunks
            size, _, whole = whole.partition(b"\r\n")
            text += whole[:int(size, 16)]
            whole = whole[int(size, 16) + 2:]
        for part in text.decode().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in part.split("\n") if not line.startswith(":") and ": " in line)
            if "data" in fields:
                yield fields["event"], fields.get("id"), json.loads(fields["data"])


def read_all(readers, over):
    selector = selectors.DefaultSelector()
    for r in readers:
        selector.register(r.socket, selectors.EVENT_READ, r)
    open_ones = len(readers)
    while open_ones and not over():
        for key, _ in selector.select(0.1):
            piece = key.fileobj.recv(1 << 16)
            key.data.pieces.append(piece)
            if not piece or piece.endswith(b"0\r\n\r\n"):
                selector.unregister(key.fileobj)
                open_ones -= 1


def grow_watched(program, trees, streams):
    """Trees that begin when all watch; the readers, the trees and what the daemon used."""
    with scratch_folder() as folder, daemon(program, folder, "--concurrency", 4) as d:
        names = [d.submit(body(i)) for i in range(trees)]
        for name in names:
            d.post(f"/v1/trees/{name}/pause")
        names = [name for name in names if d.tree(name)["state"] == "paused"]
        rss = d.resident_bytes()
        readers = [reader(d.port, "/v1/events" if i % 2 else f"/v1/trees/{names[i // 2 % len(names)]}/events")
                   for i in range(streams)]
        if streams:
            wait_for(lambda: f"banyan_event_streams {streams}\n" in d.get("/metrics").body, "streams are missing", pause=0.2)
        cpu, began, ended = d.cpu_s(), time.monotonic(), []
        rss_open = d.resident_bytes()

        def resume():
            for name in names:
                d.post(f"/v1/trees/{name}/resume")
            wait_for(d.idle, "trees do not end", pause=0.1)
            ended.append(time.monotonic() - began)
            time.sleep(1)
            ended.append(True)

        worker = threading.Thread(target=resume)
        worker.start()
        read_all(readers, lambda: len(ended) == 2)
        worker.join()
        used = {"grow_s": ended[0], "cpu_s": d.cpu_s() - cpu, "rss_mb": d.resident_bytes() / 1e6,
                "kb_each": (rss_open - rss) / 1e3 / max(1, streams)}
        return readers, {name: d.tree(name) for name in names}, used


def texts_of(events):
    texts = {}
    for name, _, data in events:
        if name in ("text", "spawn", "join"):
            known = texts.get(data["thread"], b"")
            texts[data["thread"]] = known[:data["position"]] + data["text"].encode()
    return texts


def streams(program, scale):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    trees, count = 20, max(2, int(1000 * scale))
    *_, alone = grow_watched(program, trees, 0)
    readers, grown, used = grow_watched(program, trees, count)
    whole = 0
    all_ids = None
    for r in readers:
        events = list(r.events())
        if r.path == "/v1/events":
            ids = [number for _, number, _ in events]
            all_ids = all_ids or ids
            whole += ids == all_ids and sum(name == "done" for name, *_ in events) == len(grown)
        else:
            tree = grown[r.path.split("/")[3]]
            whole += texts_of(events) == {t["path"]: t["text"].encode() for t in tree["threads"]}
    told = sum(sum(map(len, r.pieces)) for r in readers)
    return {"streams": count, "trees": len(grown), "whole": whole, "told_mb": told / 1e6, "kb_each": used["kb_each"],
            "rss_mb": used["rss_mb"], "rss_mb_alone": alone["rss_mb"], "cpu_s": used["cpu_s"], "cpu_s_alone": alone["cpu_s"],
            "grow_s": used["grow_s"], "grow_s_alone": alone["grow_s"]}


# ---- starts and pages


def first_answer(d, began):
    """Seconds from the start to the ready line, and to an answer."""
    ready = time.monotonic() - began
    d.status()
    return ready, time.monotonic() - began


def recovery(program, scale):
    count = max(10, int(10000 * scale))
    words = ("--concurrency", 1, "--max-queue", 2 * count)
    with scratch_folder() as folder:
        began = time.monotonic()
        with daemon(program, folder, *words) as d:
            empty, answered_empty = first_answer(d, began)
            began = time.monotonic()
            swarm(d, [body(i, wait=False) for i in range(count)], 32)
            submitted = time.monotonic() - began
        began = time.monotonic()
        with daemon(program, folder, *words) as d:
            ready, answered = first_answer(d, began)
            wait_for(lambda: d.status()["trees"]["finished"] > 0, "no tree goes on")
            goes_on = time.monotonic() - began
            now = d.status()["trees"]
            left = int(re.search(r"(\d+) unfinished trees are taken up", d.log())[1])
    return {"unfinished": left, "submitted_per_s": count / submitted, "ready_s": ready, "ready_s_empty": empty,
            "answer_s": answered, "answer_s_empty": answered_empty, "goes_on_s": goes_on,
            "missing": left - now["queued"] - now["running"] - now["finished"]}


def asked(d, path, times=20):
    took = []
    for _ in range(times):
        began = time.monotonic()
        given = d.get(path)
        took.append(1000 * (time.monotonic() - began))
        assert given.status == 200, given
    return took


def pause_with_children(d, wanted):
    """Grows trees and pauses each as soon as it has children, until so many threads live."""
    live = lambda: sum(d.status()["threads"].values())  # noqa: E731
    number = 0
    watched = d.stream("/v1/events")
    for _ in range(8):
        d.submit(body(number))
        number += 1
    for e in watched:
        if e.name == "spawn":
            d.post(f"/v1/trees/{e.data['tree']}/pause")
        if e.name == "spawn" or e.name == "done":
            if number % 20 == 0 and live() >= wanted:
                break
            d.submit(body(number))
            number += 1
    watched.close()
    for tree in d.all_trees("&state=running,queued"):
        d.post(f"/v1/trees/{tree['id']}/pause")
    wait_for(lambda: d.status()["threads"]["decoding"] == 0, "somebody decodes", pause=0.1)
    return live()


def pages(program, scale):
    paths = {"threads_ms": "/v1/threads?limit=1000", "paused_ms": "/v1/trees?state=paused&limit=100",
             "status_ms": "/v1/status", "metrics_ms": "/metrics"}
    found = {}
    with scratch_folder() as folder, daemon(program, folder, "--concurrency", 16) as d:
        for name, path in paths.items():
            found[f"{name}_empty"] = share(asked(d, path), 0.5)
        found["threads"] = pause_with_children(d, int(10000 * scale))
        found["trees"] = d.status()["trees"]["running"]
        for name, path in paths.items():
            found |= spread(name, asked(d, path))
        found["rss_mb"] = d.resident_bytes() / 1e6
        before, began = d.cpu_s(), time.monotonic()
        time.sleep(5)
        found["cpu_percent"] = 100 * (d.cpu_s() - before) / (time.monotonic() - began)
    return found


# ---- time


def soak(program, scale):
    trees, found = max(40, int(2000 * scale)), {}
    with scratch_folder() as folder, daemon(program, folder) as d:
        swarm(d, [body(i, budget=SMALL) for i in range(trees // 10)], 16)  # buffers find their size
        found["rss_mb_0"] = d.resident_bytes() / 1e6
        for quarter in range(1, 5):
            swarm(d, [body(i, budget=SMALL) for i in range(quarter * trees // 4, (quarter + 1) * trees // 4)], 16)
            found[f"rss_mb_{25 * quarter}"] = d.resident_bytes() / 1e6
        found["trees"] = d.status()["trees"]["finished"]
        found["store_mb"] = d.status()["store"]["bytes"] / 1e6
    return found


def idle(program, _):
    seconds = 10
    with scratch_folder() as folder, daemon(program, folder) as d:
        side_by_side(d.solve, map(body, range(8)))
        time.sleep(1)
        before, began = d.cpu_s(), time.monotonic()
        time.sleep(seconds)
        return {"seconds": seconds, "cpu_percent": 100 * (d.cpu_s() - before) / (time.monotonic() - began)}


PARTS = {"overhead": lambda p, s: [overhead(p, s, sync) for sync in ("full", "normal")], "streams": streams,
         "recovery": recovery, "pages": pages, "soak": soak, "idle": idle}


def shown(value):
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas")
    parser.add_argument("--scale", type=float, default=1)
    parser.add_argument("--json", action="store_true", help="one object")
    options = parser.parse_args()
    results = {}
    for name in options.only.split(","):
        results[name] = PARTS[name](options.program, options.scale)
        rows = results[name] if isinstance(results[name], list) else [results[name]]
        if not options.json:
            for figure in rows[0]:
                print(f"{name:9} {figure:20}", *(f"{shown(row[figure]):>10}" for row in rows), flush=True)
    if options.json:
        print(json.dumps(results))


if __name__ == "__main__":
    main()
