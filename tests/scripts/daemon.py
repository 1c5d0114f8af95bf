"""A banyand of a test's own: started on a free port, talked to over HTTP, ended. Standard library only."""

import http.client
import json
import os
import pathlib
import queue
import select
import signal
import subprocess
import tempfile
import threading
import time

SOURCE = pathlib.Path(__file__).resolve().parents[2]
MODEL = SOURCE / "models" / "countdown-3"
PATIENCE = 120  # seconds; a machine may be busy

ENDED = ("done", "failed", "cancelled")
TICKS = os.sysconf("SC_CLK_TCK")

# Nothing of the caller's own settings.
ENVIRONMENT = {name: value for name, value in os.environ.items()
               if not name.startswith(("BANYAN_", "NOTIFY_", "WATCHDOG_"))}
ENVIRONMENT.update(XDG_CONFIG_HOME="/nonexistent", OMP_WAIT_POLICY="passive")


class too_late(Exception):
    pass


def wait_for(condition, what, patience=PATIENCE, pause=0.005):
    """What the condition is when it holds at last."""
    until = time.monotonic() + patience
    while not (found := condition()):
        if time.monotonic() > until:
            raise too_late(f"after {patience} s: {what}")
        time.sleep(pause)
    return found


def scratch_folder():
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    return tempfile.TemporaryDirectory(prefix="banyand-", dir=place)


class answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        return self.json["error"]

    def __repr__(self):
        return f"{self.status} {self.body[:400]}"


class event:
    def __init__(self, name, number, data):
        self.name, self.id, self.data = name, number, data

    def __repr__(self):
        return f"{self.name} {self.id} {self.data}"


class stream:
    """Server-sent events, one after the other; ends where the stream does."""

    def __init__(self, response, connection):
        self.status, self.headers = response.status, response.headers
        self.response, self.connection = response, connection
        self.last = None  # id of the last event that had one

    def __iter__(self):
        name, number, data = None, None, []
        for line in iter(self.response.readline, b""):
            field, _, value = line.decode().rstrip("\n").partition(": ")
            if field == "event":
                name = value
            elif field == "id":
                self.last = number = value
            elif field == "data":
                data.append(value)
            elif not field and data:
                text = "\n".join(data)
                yield event(name, number, text if text == "[DONE]" else json.loads(text))
                name, number, data = None, None, []
        self.close()

    def close(self):
        self.response.close()
        self.connection.close()


class tree_texts:
    """The texts of a tree's threads, put together from its events."""

    def __init__(self):
        self.texts, self.states, self.done = {}, {}, None

    def read(self, events):
        """To the end of the stream."""
        for e in events:
            self.take(e)
        return self

    def take(self, e):
        thread = e.data["thread"]
        if e.name == "thread":
            self.states[thread] = e.data["state"]
        elif e.name == "done":
            self.done = e.data
        elif e.name in ("text", "spawn", "join"):
            known = self.texts.get(thread, b"")
            self.texts[thread] = known[:e.data["position"]].ljust(e.data["position"], b"?") + e.data["text"].encode()


class daemon:
    """Runs until `stop`, `kill` or the end of the `with` block."""

    def __init__(self, program, folder, *words, model=MODEL, token=None, environment=None, ready=True, log=None, output=subprocess.PIPE,
                 **more):
        self.folder, self.token = pathlib.Path(folder), token
        self.data, self.log_file = self.folder / "data", self.folder / "log"
        self.command = [str(program), "--listen", "127.0.0.1:0", "--data-dir", str(self.data), "--model", str(model),
                        "--threads", "1", *map(str, words)]
        self.url = self.port = None
        with open(self.log_file, "ab") as file:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=output,
                                            stderr=log or file, env={**ENVIRONMENT, **(environment or {})}, **more)
        if ready:
            self.wait_until_ready()

    def wait_until_ready(self):
        readable, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        self.line = self.process.stdout.readline().decode() if readable else ""
        if not self.line.startswith("banyand: http://"):
            self.kill()
            raise AssertionError(f"no line with its address: {self.line!r}; {self.log()}")
        self.url = self.line.split()[1]
        self.port = int(self.url.rsplit(":", 1)[1])
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    # ---- its end

    def wait(self):
        return self.process.wait(PATIENCE)

    def stop(self, number=signal.SIGTERM):
        """Its exit code."""
        self.process.send_signal(number)
        return self.wait()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()

    # ---- from outside

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        return self.log_file.read_text(errors="replace")

    def logs(self, text):
        """Lines are written beside the work that they tell of, and so a little later."""
        wait_for(lambda: text in self.log(), f"the log does not say {text!r}")

    def cpu_s(self):
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def resident_bytes(self):
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")))

    # ---- requests

    def connect(self, timeout=PATIENCE):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def headers(self, given):
        token = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return {**token, **(given or {})}

    def ask(self, method, path, body=None, headers=None, timeout=PATIENCE):
        connection = self.connect(timeout)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), self.headers(headers))
            response = connection.getresponse()
            return answer(response.status, response.headers, response.read().decode())
        finally:
            connection.close()

    def get(self, path, **more):
        return self.ask("GET", path, **more)

    def post(self, path, body=None, **more):
        return self.ask("POST", path, body, **more)

    def stream(self, path, body=None, last=None, timeout=PATIENCE):
        connection = self.connect(timeout)
        headers = self.headers({"Last-Event-ID": last} if last else {})
        connection.request("GET" if body is None else "POST", path, None if body is None else json.dumps(body), headers)
        return stream(connection.getresponse(), connection)

    # ---- trees

    def submit(self, body):
        """The id of a tree that nobody waits for."""
        given = self.post("/v1/trees", {**body, "wait": False})
        if given.status != 202:
            raise AssertionError(f"a tree was refused: {given}")
        return given.json["id"]

    def solve(self, body):
        given = self.post("/v1/trees", body)
        if given.status != 200:
            raise AssertionError(f"no tree came back: {given}")
        return given.json

    def tree(self, name):
        found = self.get(f"/v1/trees/{name}")
        if found.status != 200:
            raise AssertionError(f"there is no tree {name}: {found}")
        return found.json

    def finished(self, name):
        return wait_for(lambda: self.ended(self.tree(name)), f"tree {name} is not finished", pause=0.02)

    def ended(self, tree):
        return tree if tree["state"] in ENDED else None

    def all_trees(self, query=""):
        """Every tree of the list, page by page."""
        after, trees = "", []
        while after is not None:
            page = self.get(f"/v1/trees?limit=1000{query}{after and '&after=' + after}").json
            trees += page["trees"]
            after = page["next"]
        return trees

    def status(self):
        return self.get("/v1/status").json

    def idle(self):
        """No tree runs or waits."""
        given = self.get("/v1/status")
        if given.status == 503:  # it is too busy to say
            return False
        assert given.status == 200, given
        now = given.json["trees"]
        return now["running"] + now["queued"] == 0


def problem(number):
    """One of many problems, always the same."""
    a, b, c = 3 + number * 7 % 90, 2 + number * 11 % 91, 1 + number * 13 % 93
    return {"numbers": [a, b, c], "target": 10 + number * 17 % 90}


def body(number, **more):
    """A tree that samples: its text depends on its seed."""
    return {"problem": problem(number), "sampling": {"temperature": 1, "seed": number + 1}, **more}


def told(tree):
    """What must be the same each time that a tree is grown from its seed."""
    threads = {t["path"]: (t["state"], t["failure"], t["text"], t["solution"]) for t in tree["threads"]}
    return tree["state"], tree["failure"], tree["outcome"], threads


def side_by_side(work, inputs, threads=16):
    """`work` of every input, in order; the first exception is raised here."""
    inputs = list(inputs)
    results, waiting = [None] * len(inputs), queue.SimpleQueue()
    for place in enumerate(inputs):
        waiting.put(place)
    troubles = []

    def run():
        while not troubles:
            try:
                index, given = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                results[index] = work(given)
            except Exception as trouble:  # told below
                troubles.append(trouble)

    workers = [threading.Thread(target=run) for _ in range(min(threads, len(inputs)))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if troubles:
        raise troubles[0]
    return results
