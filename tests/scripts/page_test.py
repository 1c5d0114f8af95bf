#!/usr/bin/env python3
"""page_test.py URL [--shots DIR] [TEST…]: uses the daemon's page as a person does, in Chromium.

The daemon must have finished trees with children and must take work. Needs nothing but Python and
Debian's chromium; BANYAN_CHROMIUM names another one.
"""

import argparse
import base64
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

CHROMIUM = os.environ.get("BANYAN_CHROMIUM", "chromium")
PATIENCE_S = 60
SHORT_S = 15

options = argparse.Namespace(url="", shots=None)


class web_socket:
    """As much of RFC 6455 as the DevTools protocol needs."""

    def __init__(self, url):
        place = re.fullmatch(r"ws://([^:/]+):(\d+)(/.*)", url)
        self.socket = socket.create_connection((place[1], int(place[2])), timeout=PATIENCE_S)
        self.file = self.socket.makefile("rb")
        key = base64.b64encode(os.urandom(16)).decode()
        head = [f"GET {place[3]} HTTP/1.1", f"Host: {place[1]}:{place[2]}", "Upgrade: websocket",
                "Connection: Upgrade", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
        self.socket.sendall(("\r\n".join(head) + "\r\n\r\n").encode())
        while self.file.readline() not in (b"\r\n", b""):
            pass

    def send(self, text, kind=1):
        data = text if isinstance(text, bytes) else text.encode()
        size = len(data)
        head = bytes([0x80 | kind])
        if size < 126:
            head += bytes([0x80 | size])
        elif size < 65536:
            head += struct.pack("!BH", 0x80 | 126, size)
        else:
            head += struct.pack("!BQ", 0x80 | 127, size)
        mask = os.urandom(4)
        body = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
        self.socket.sendall(head + mask + body)

    def frame(self):
        first, second = self.file.read(2)
        size = second & 127
        if size == 126:
            (size,) = struct.unpack("!H", self.file.read(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", self.file.read(8))
        return first & 0x80, first & 15, self.file.read(size)

    def receive(self):
        message = b""
        while True:
            last, kind, data = self.frame()
            if kind == 9:
                self.send(data, 10)
            elif kind == 8:
                raise ConnectionError("the browser closed the connection")
            elif kind in (0, 1, 2):
                message += data
                if last:
                    return message.decode()

    def close(self):
        self.file.close()
        self.socket.close()


class browser:
    """One page of a headless Chromium of our own."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="banyan-page-")
        self.process = subprocess.Popen(
            [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--no-first-run", "--disable-background-networking", "--disable-component-update",
             "--disable-extensions", "--remote-debugging-port=0",
             f"--user-data-dir={self.folder}", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            start_new_session=True)
        try:
            self.socket = web_socket(self.page_url())
        except BaseException:
            self.close()
            raise
        self.calls = 0
        self.requests, self.errors = [], []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.size(1280, 800)

    def page_url(self):
        for line in self.process.stderr:
            found = re.search(r"DevTools listening on ws://([^/]+)/", line)
            if found:
                with urllib.request.urlopen(f"http://{found[1]}/json/list", timeout=PATIENCE_S) as reply:
                    pages = [target for target in json.load(reply) if target["type"] == "page"]
                return pages[0]["webSocketDebuggerUrl"]
        raise ConnectionError("chromium ended before it listened")

    def close(self):
        if hasattr(self, "socket"):
            self.socket.close()
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stderr.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def call(self, method, **params):
        self.calls += 1
        mine = self.calls
        self.socket.send(json.dumps({"id": mine, "method": method, "params": params}))
        while True:
            said = json.loads(self.socket.receive())
            if said.get("id") == mine:
                if "error" in said:
                    raise RuntimeError(f"{method}: {said['error']['message']}")
                return said["result"]
            if "method" in said:
                self.hear(said["method"], said["params"])

    def hear(self, method, params):
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.errors.append(str(params["args"]))

    def evaluate(self, script):
        said = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in said:
            details = said["exceptionDetails"]
            raise AssertionError(details.get("exception", {}).get("description", script))
        return said["result"].get("value")

    def wait(self, condition, patience_s=SHORT_S):
        """Waits until a JavaScript expression holds; returns its value."""
        value = self.evaluate(f"""new Promise((resolve) => {{
            const end = performance.now() + {1000 * patience_s};
            const look = () => {{
              let value = null;
              try {{ value = {condition}; }} catch {{}}
              if (value || performance.now() > end) resolve(value instanceof Node || value);
              else setTimeout(look, 15);
            }};
            look();
          }})""")
        if not value:
            said = self.text("body")[:600]
            raise AssertionError(f"in vain waited for {condition}; the page says:\n{said}")
        return value

    def text(self, selector):
        return self.evaluate(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")

    def count(self, selector):
        return self.evaluate(f"document.querySelectorAll({json.dumps(selector)}).length")

    def go(self, place):
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=options.url + place)
        self.wait("document.querySelector('main h1')")

    def press(self, key):
        codes = {"Tab": 9, "Enter": 13, "Escape": 27, "End": 35, "Home": 36,
                 "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
        facts = {"key": key, "code": key, "windowsVirtualKeyCode": codes[key]}
        text = {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **facts, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **facts)

    def type_key(self, letter):
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=letter)

    def write(self, text):
        self.call("Input.insertText", text=text)

    def tab_to(self, condition, most=40):
        """Presses Tab until the expression holds for the focused element `at`."""
        for _ in range(most):
            self.press("Tab")
            if self.evaluate(f"((at) => Boolean({condition}))(document.activeElement)"):
                return
        raise AssertionError(f"Tab does not lead to {condition}")

    def click(self, selector):
        place = self.wait(f"""(() => {{
            const node = document.querySelector({json.dumps(selector)});
            node.scrollIntoView({{ block: "nearest" }});
            const box = node.getBoundingClientRect();
            return box.width && {{ x: box.x + box.width / 2, y: box.y + box.height / 2 }};
          }})()""")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **place)

    def size(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=False)

    def scheme(self, name):
        self.call("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": name},
                            {"name": "prefers-reduced-motion", "value": "reduce"}])

    def offline(self, is_offline):
        self.call("Network.emulateNetworkConditions", offline=is_offline, latency=0,
                  downloadThroughput=-1, uploadThroughput=-1)

    def shot(self, name):
        if not options.shots:
            return
        data = self.call("Page.captureScreenshot", format="png")["data"]
        (options.shots / f"{name}.png").write_bytes(base64.b64decode(data))


def api(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    head = {"Content-Type": "application/json"}
    request = urllib.request.Request(options.url + path, data=data, headers=head)
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as reply:
        return json.load(reply)


PROBLEM = {"numbers": [25, 7, 36], "target": 54}


def submit(**more):
    return api("/v1/trees", {"task": "countdown", "problem": PROBLEM, "wait": False, **more})["id"]


def told(name, state, numbers, age_s=140, failure=None, claimed=None, **more):
    """A tree as lists have it. `claimed`: whether it claims to be solved, once it has ended."""
    created = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() - age_s))
    outcome = None if claimed is None else {"solved": claimed, "claimed": claimed}
    return {"id": name, "state": state, "problem": {"numbers": numbers, "target": 954}, "created": created,
            "labels": {}, "failure": failure, "outcome": outcome, "threads": [],
            "usage": {"threads": 112, "generated_tokens": 12781, "critical_path_tokens": 1781, "wall_ms": 83000}, **more}


def json_response(found):
    """JavaScript for an answer of this."""
    return f"new Response({json.dumps(json.dumps(found))})"


def whole(state, **more):
    """The tree T as it is asked for itself: a root that decodes, or did so for 1 ms."""
    begin, end = "2026-11-27T22:53:12.000Z", "2026-11-27T22:53:12.001Z"
    history = [{"state": "decoding", "at": begin}]
    if state != "running":
        history.append({"state": state, "at": end})
    root = {"path": "/", "state": history[-1]["state"], "since": history[-1]["at"], "history": history,
            "generated_tokens": 12, "failure": None, "text": "", "solution": None}
    return {**told("T", state, [25, 7, 36]), "created": begin, "weights_epoch": 0, "seed": 0, "prompt": "",
            "threads": [root], "threads_next": None, **more}


MANY_KINDS = [
    told("A", "running", [25, 7, 36]),
    told("B", "queued", [25, 77, 36, 11]),
    told("C", "done", [25, 7, 36], claimed=True, labels={"commit": "x" * 230, "run": "a"}),
    told("D", "done", [25, 77, 36, 11], outcome={"solved": False, "claimed": True}),
    told("E", "failed", [25, 77, 36], failure="no_solution", claimed=False),
    told("F", "failed", [100, 75, 50, 25, 10, 9], age_s=3540, failure="malformed_spawn", claimed=False),
    told("G", "cancelled", [25, 7, 36], age_s=200000, failure="cancelled", claimed=False),
]

# A second takes 50 ms.
FAST_CLOCK = """
  for (const name of ["setTimeout", "setInterval"]) {
    const set = window[name];
    window[name] = (work, ms = 0) => set(work, ms / 20);
  }"""

# Streams of events that tell nothing, all of them in `sources`.
COUNTED_SOURCES = """
  window.sources = [];
  window.EventSource = class extends EventTarget {
    static OPEN = 1;
    static CLOSED = 2;
    readyState = 1;
    constructor() { super(); sources.push(this); }
    close() { this.readyState = 2; }
    refuse() { this.close(); this.onerror(); }
  };"""

# Controls whose text has no room: of a choice the longest, of a field what it says while it is empty.
CUT_CONTROLS = """(() => {
  const pen = document.createElement("canvas").getContext("2d");
  return [...document.querySelectorAll(".filters select, .filters input")].filter((node) => {
    const style = getComputedStyle(node);
    pen.font = style.font;
    const texts = node.options ? [...node.options].map((option) => option.text) : [node.placeholder];
    const arrow = node.options ? 20 : 0;
    const room = node.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight) - arrow;
    return Math.max(...texts.map((text) => pen.measureText(text).width)) > room;
  }).map((node) => node.ariaLabel);
})()"""

# Every text that is seen, with the contrast of its colour to what is painted behind it.
CONTRASTS = """(() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], under) => [r, g, b].map((c, i) => c * a + under[i] * (1 - a));
  const back = (node) => {
    if (!node) return matchMedia("(prefers-color-scheme: dark)").matches ? [0, 0, 0] : [255, 255, 255];
    return over(rgba(getComputedStyle(node).backgroundColor), back(node.parentElement));
  };
  const light = (colour) => {
    const [r, g, b] = colour.map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const seen = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode.parentElement;
    const words = walk.currentNode.data.trim().slice(0, 40);
    if (!words || !node.checkVisibility() || node.closest(".unseen, .skip, title, option")) continue;
    const style = getComputedStyle(node);
    const behind = back(node);
    const ink = over(rgba(node instanceof SVGElement ? style.fill : style.color), behind);
    const [a, b] = [light(ink), light(behind)].sort((x, y) => y - x);
    const look = node.closest("[class]")?.getAttribute("class");
    seen.push({ words, look, ratio: (a + 0.05) / (b + 0.05) });
  }
  return seen;
})()"""


class page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.browser = browser()
        cls.addClassCleanup(cls.browser.close)

    def setUp(self):
        self.browser.errors.clear()
        self.browser.requests.clear()
        self.expected = []
        self.browser.scheme("light")
        self.browser.size(1280, 800)

    def tearDown(self):
        is_expected = lambda error: any(word in error for word in self.expected)
        self.assertEqual([error for error in self.browser.errors if not is_expected(error)], [])
        ours = (options.url + "/", "about:")
        self.assertEqual([url for url in self.browser.requests if not url.startswith(ours)], [])

    def go_to(self, place, ready):
        """`ready`: a selector of what is there once the view shows what it should."""
        self.browser.go(place)
        self.browser.wait(f"document.querySelector({json.dumps(ready)})")

    def run_in_every_page(self, script):
        """From here to the test's end, before the page's own scripts."""
        made = self.browser.call("Page.addScriptToEvaluateOnNewDocument", source=script)
        self.addCleanup(self.browser.call, "Page.removeScriptToEvaluateOnNewDocument", **made)

    def answered_by(self, function):
        """From here to the test's end this JavaScript function of path and options answers the page's
        requests; where it returns nothing the daemon does."""
        self.run_in_every_page(f"""{{
            const ask = fetch;
            const answer = {function};
            window.asked = 0;
            window.refused = (status, message) => new Response(JSON.stringify({{ error: {{ message }} }}), {{ status }});
            window.fetch = async (path, ...more) => (asked++, await answer(path, ...more)) ?? ask(path, ...more);
          }}""")

    def told_instead(self, path, found):
        """From here to the test's end the page is told this by addresses that begin so."""
        self.answered_by(f"(path) => path.startsWith({json.dumps(path)}) ? {json_response(found)} : null")

    def happens(self, kind, event):
        """An event comes, of COUNTED_SOURCES."""
        self.browser.evaluate(f"""sources.at(-1).dispatchEvent(
            new MessageEvent({json.dumps(kind)}, {{ data: {json.dumps(json.dumps(event))} }}))""")

    def stays_for_answers(self, selector, count):
        """The same element is there after so many more answers."""
        self.browser.evaluate(f"window.kept = document.querySelector({json.dumps(selector)}); window.before = asked")
        self.browser.wait(f"asked > before + {count}")
        self.assertTrue(self.browser.evaluate(f"kept && kept === document.querySelector({json.dumps(selector)})"))

    def rows(self):
        return self.browser.wait(
            "[...document.querySelectorAll('.forest tbody tr')].map((row) => row.innerText)")

    def finished(self):
        """A finished tree with children, solved where there is one."""
        trees = [tree for tree in api("/v1/trees?state=done,failed&limit=100")["trees"]
                 if len(tree["threads"]) > 1]
        self.assertTrue(trees, "the daemon has no finished tree with children")
        return max(trees, key=lambda tree: tree["outcome"]["solved"])

    def open_tree(self, tree_id, rest=""):
        self.browser.go(f"/#/tree/{tree_id}{rest}")
        self.browser.wait("document.querySelector('.panel h2').innerText")

    # ---- the list

    def test_list_shows_trees(self):
        newest = api("/v1/trees?limit=1")["trees"][0]
        self.go_to("/", ".forest tbody tr")
        self.assertGreater(len(self.rows()), 0)
        numbers = " ".join(map(str, newest["problem"]["numbers"]))
        self.assertIn(f"{numbers} → {newest['problem']['target']}", "\n".join(self.rows()))
        self.browser.shot("list")

    def test_the_summary_tells_what_is_kept_from_what_this_daemon_did(self):
        status = api("/v1/status")
        status["trees"] |= {"running": 1, "queued": 2, "paused": 3, "finished": 0, "solved": 0}
        status["store"]["finished"] = 1234
        self.told_instead("/v1/status", status)
        self.go_to("/", ".forest tbody tr")
        self.browser.wait("document.querySelector('.summary').innerText")
        self.assertEqual(self.browser.text(".summary"), "1 running · 2 queued · 3 paused · 1,234 finished in the store · "
                                                        "since the start 0 finished, 0 solved")

    def test_list_is_filtered(self):
        submit(labels={"page": "<b>mark</b>"})
        self.go_to("/#/?solved=true", ".forest tbody tr")
        self.assertTrue(all("solved" in row and "not solved" not in row for row in self.rows()))
        self.browser.go("/")
        self.browser.evaluate("document.querySelector('[aria-label=Label]').focus()")
        self.browser.write("page=<b>mark</b>")
        self.browser.press("Enter")
        self.browser.wait("""((rows) => rows.length && rows.every(
            (row) => row.innerText.includes('page=<b>mark</b>')))([...document.querySelectorAll('.forest tbody tr')])""")
        self.assertEqual(self.browser.count(".forest b"), 0)
        self.assertIn("label=page", self.browser.evaluate("location.hash"))

    def test_list_follows_what_happens(self):
        self.go_to("/", ".forest tbody tr")
        tree = submit()
        link = f".forest a[href=\"#/tree/{tree}\"]"
        row = f"document.querySelector({json.dumps(link)}).closest('tr')"
        self.browser.wait(row)
        self.browser.wait(f"/done|failed/.test({row}.innerText)", PATIENCE_S)
        before = len(self.browser.requests)
        self.browser.evaluate("new Promise((resolve) => setTimeout(resolve, 2000))") # to count in
        self.assertLess(len(self.browser.requests) - before, 8)

    def test_trees_that_run_stand_in_front_of_those_that_wait(self):
        self.submit_many(60)
        self.browser.go("/")
        states = "[...document.querySelectorAll('.forest tbody td.state')].map((cell) => cell.innerText.trim())"
        self.browser.wait(f"{states}[0] === 'running' && {states}[1] === 'queued'")
        rows = self.browser.evaluate("""[...document.querySelectorAll('.forest tbody tr')].map((row) =>
            ['.state', '.wall'].map((name) => row.querySelector(`td${name}`).innerText.trim()))""")
        self.assertEqual({wall for state, wall in rows if state == "queued"}, {"–"})
        self.browser.shot("queue")
        self.browser.click(".pager a")
        self.browser.wait(f"{states}.includes('done')")
        # The last that waits is the next to run, and is for a moment where it was.
        self.browser.wait(f"!{states}.slice(1).includes('running')", patience_s=1)
        self.assertEqual(self.browser.text(".pager a"), "First page")

    def sort_rows(self, order):
        self.browser.evaluate(f"order = '{order}'")
        self.happens("tree", {})
        self.browser.wait(f"document.querySelector('.forest tbody tr').row.tree.id === '{order[0]}'")

    def test_a_row_that_sinks_leaves_the_focus_where_it_is(self):
        self.run_in_every_page(COUNTED_SOURCES + f"window.kinds = {json.dumps(MANY_KINDS)}; window.order = 'ABCDEFG'")
        self.answered_by("""(path) => {
            const trees = [...order].map((name) => kinds.find(({ id }) => id === name));
            return path.startsWith("/v1/trees?") ? new Response(JSON.stringify({ trees, next: null })) : null;
          }""")
        self.go_to("/", ".forest tbody tr")
        self.browser.evaluate("""
            document.querySelector('.forest a[href="#/tree/B"]').focus();
            window.moved = [];
            new MutationObserver((changes) => moved.push(...changes.flatMap(({ addedNodes }) => [...addedNodes]))).observe(
              document.querySelector('.forest tbody'), { childList: true })""")
        self.sort_rows("BCADEFG")
        self.assertEqual(self.browser.evaluate("moved.map(({ row }) => row.tree.id).join()"), "A")
        self.assertEqual(self.browser.evaluate("document.activeElement.hash"), "#/tree/B")
        self.sort_rows("CADBEFG")
        self.assertEqual(self.browser.evaluate("document.activeElement.hash"), "#/tree/B")

    def test_a_refused_list_is_asked_for_again(self):
        self.run_in_every_page(FAST_CLOCK + COUNTED_SOURCES + "window.is_busy = true;")
        self.answered_by("(path) => is_busy ? refused(503, 'it is busy') : null")
        self.go_to("/", "main .error")
        self.stays_for_answers("main .error", 3)
        self.browser.evaluate("is_busy = false")
        self.browser.wait("document.querySelector('.forest tbody tr') && !document.querySelector('main .error')")

    def test_a_part_of_the_list_that_is_none_is_the_nearest(self):
        for part in ("-1", "99", "1.5", "x"):
            with self.subTest(part=part):
                self.go_to(f"/#/?part={part}", ".forest tbody tr")

    # ---- a tree

    def test_a_tree_that_waited_is_seen_from_its_begin(self):
        others = self.submit_many(40)
        tree = submit()
        self.open_tree(tree)
        wall = "[...document.querySelectorAll('.tree-head dt')].find((dt) => dt.innerText === 'Wall time').nextSibling.innerText"
        self.assertEqual(self.browser.evaluate(wall), "–")
        self.stop(others)
        self.wait_for_state("^(done|failed)", PATIENCE_S)
        ran = api(f"/v1/trees/{tree}")["usage"]["wall_ms"]
        self.browser.wait(f"{wall} !== '–'")
        self.browser.click("#tab-timeline")
        self.assertRegex(self.browser.text(".before"), r"^Queued for \d.* before this\.$")
        first = "document.querySelector('.timeline .row .stretch.decoding')"
        gutter = self.browser.evaluate(f"Number({first}.getAttribute('x'))")
        self.assertEqual(gutter, 84)
        last = self.browser.evaluate("document.querySelector('.axis').lastElementChild.textContent")
        number, unit = last.split()
        self.assertLess(float(number) * {"ms": 1, "s": 1000, "min": 60000}[unit], 2 * ran + 1000)
        self.browser.shot("waited")
        width = "document.querySelector('.timeline').getBoundingClientRect().width"
        before = self.browser.evaluate(width)
        self.browser.evaluate("document.querySelector('.canvas').focus()")
        self.browser.type_key("+")
        self.browser.wait(f"{width} > 1.4 * {before}")
        self.browser.evaluate("document.querySelector('.canvas').scrollLeft = 100")
        name, back = "document.querySelector('.row .path').getBoundingClientRect().left", "document.querySelector('.canvas').getBoundingClientRect().left"
        self.browser.wait(f"document.querySelector('.canvas').scrollLeft > 90 && {name} > {back}")
        self.browser.shot("zoomed")
        self.browser.type_key("0")
        self.browser.wait(f"{width} === {before}")

    def test_the_focus_of_a_whole_view_draws_no_ring(self):
        self.go_to("/", ".forest tbody tr")
        self.browser.tab_to("at.matches('[data-view=devices]')")
        self.browser.press("Enter")
        self.browser.wait("document.querySelector('.pool') && document.activeElement.id === 'main'")
        self.assertEqual(self.browser.evaluate("getComputedStyle(document.activeElement).outlineStyle"), "none")

    def test_keyboard_leads_from_the_list_into_a_thread_and_back(self):
        tree = self.finished()
        solved = str(tree["outcome"]["solved"]).lower()
        self.go_to(f"/#/?state={tree['state']}&solved={solved}", ".forest tbody tr")
        self.browser.tab_to("at.closest('.forest tbody')")
        self.move_down_to(tree["id"])
        self.browser.press("Enter")
        self.browser.wait("document.querySelector('.panel h2').innerText === 'Thread /'")
        self.browser.tab_to("at.matches('.canvas')")
        self.browser.press("ArrowRight")
        self.browser.wait("document.querySelector('.panel h2').innerText === 'Thread /0'")
        selected = "document.querySelector('.canvas [aria-selected=true]').dataset.path"
        self.assertEqual(self.browser.evaluate(selected), "/0")
        self.browser.wait("document.querySelector('.transcript').innerText.includes('Node #0,')")
        self.assertEqual(self.browser.count(".transcript .part.prompt"), 1)
        self.browser.press("Enter")
        self.assertTrue(self.browser.evaluate("document.activeElement.matches('.transcript')"))
        self.browser.press("Escape")
        self.assertTrue(self.browser.evaluate("document.activeElement.matches('.canvas')"))
        self.browser.press("ArrowLeft")
        self.browser.wait("document.querySelector('.panel h2').innerText === 'Thread /'")
        self.browser.wait("document.querySelector('.transcript .part.joined')")
        self.browser.press("Escape")
        self.browser.wait("document.querySelector('.forest tbody')")
        self.browser.wait(f"document.activeElement.hash === '#/tree/{tree['id']}'")

    def move_down_to(self, tree_id, most=100):
        for _ in range(most):
            if self.browser.evaluate("document.activeElement.hash") == f"#/tree/{tree_id}":
                return
            self.browser.press("ArrowDown")
        self.fail(f"the arrow keys do not lead to {tree_id}")

    def test_threads_are_drawn_and_timed(self):
        tree = self.finished()
        self.open_tree(tree["id"])
        threads = len(tree["threads"])
        self.assertEqual(self.browser.count(".drawing [role=treeitem]"), threads)
        self.assertIn("solved" if tree["outcome"]["solved"] else "not solved", self.browser.text(".tree-head"))
        self.browser.shot("tree")
        self.browser.tab_to("at.matches('[role=tab]')")
        self.browser.press("ArrowRight")
        self.browser.wait(f"document.querySelectorAll('.timeline [role=treeitem]').length === {threads}")
        self.browser.shot("timeline")

    def test_joined_lines_lead_to_the_children(self):
        self.open_tree(self.finished()["id"])
        child = self.browser.wait("document.querySelector('.part.joined .jump').innerText")
        self.browser.click(".part.joined .jump")
        self.browser.wait(f"document.querySelector('.panel h2').innerText === 'Thread {child}'")

    def test_text_that_is_not_ours_stays_text(self):
        self.expected = ["404", "400"]
        self.go_to("/#/tree/<b>none<b>", ".error")
        self.assertEqual(self.browser.count("main b"), 0)

    def test_a_short_timeline_has_round_ticks(self):
        self.told_instead("/v1/trees/T", whole("done"))
        self.go_to("/#/tree/T?view=timeline", ".axis text")
        ticks = self.browser.evaluate("[...document.querySelectorAll('.axis text')].map((text) => text.textContent)")
        self.assertEqual([tick for tick in ticks if not re.fullmatch(r"[\d.]{1,5} ms", tick)], [])
        self.assertEqual(ticks[-1], "1 ms")

    def test_a_seed_is_shown_only_as_it_is(self):
        names = "[...document.querySelectorAll('.tree-head dt')].filter((dt) => dt.checkVisibility()).map((dt) => dt.innerText)"
        for seed, is_shown in ((2**53 - 1, True), (2**53 + 1, False)):
            with self.subTest(seed=seed):
                self.told_instead("/v1/trees/T", whole("done", seed=seed))
                self.open_tree("T")
                self.assertEqual("Seed" in self.browser.evaluate(names), is_shown)

    def test_a_busy_daemon_is_asked_for_the_end_again(self):
        running, done = whole("running"), whole("done", outcome={"solved": True, "claimed": True})
        self.run_in_every_page(FAST_CLOCK + COUNTED_SOURCES + "window.is_busy = window.is_over = false;")
        self.answered_by(f"""(path) => {{
            if (is_busy) return refused(503, "it is busy");
            if (path.includes("/threads?")) return {json_response(running["threads"][0])};
            return is_over ? {json_response(done)} : {json_response(running)};
          }}""")
        self.open_tree("T")
        self.browser.evaluate("is_busy = is_over = true")
        self.happens("done", {"thread": "/", "at": done["created"], "state": "done"})
        for place in (".tree-head .error", ".panel .error"):
            self.browser.wait(f"document.querySelector('{place}')")
            self.stays_for_answers(place, 3)
        self.browser.evaluate("is_busy = false")
        self.browser.wait("document.querySelector('.verdict').innerText === 'solved'")
        self.browser.wait("!document.querySelector('main .error')")

    def test_a_refusal_stays_while_the_page_asks_on(self):
        running = whole("running")
        self.run_in_every_page(FAST_CLOCK + COUNTED_SOURCES)
        self.answered_by(f"""(path, options) => {{
            if (options) return refused(409, "not now");
            return path.includes("/threads?") ? {json_response(running["threads"][0])} : {json_response(running)};
          }}""")
        self.open_tree("T")
        self.browser.click(".title [data-action=pause]")
        self.browser.wait("document.querySelector('.tree-head .error')?.innerText === 'not now'")
        self.browser.evaluate("sources.at(-1).onopen(); sources.at(-1).onopen()") # some events were missed
        self.stays_for_answers(".tree-head .error", 3)

    def test_who_waits_for_the_daemon_keeps_the_focus(self):
        self.run_in_every_page(FAST_CLOCK + "window.is_there = false;")
        self.answered_by(f"() => is_there ? {json_response(whole('done'))} : Promise.reject(new TypeError())")
        self.go_to("/#/tree/T", "main a")
        self.browser.evaluate("document.querySelector('main a').focus()")
        self.stays_for_answers("main .error", 3)
        self.assertTrue(self.browser.evaluate("document.activeElement.matches('main a')"))
        self.browser.evaluate("is_there = true")
        self.browser.wait("document.querySelector('.panel h2')?.innerText === 'Thread /'")

    def test_a_clock_that_tells_seconds_does_not_jump(self):
        self.browser.go("/#/nope") # asks nothing by itself
        skews = self.browser.evaluate("""(async () => {
            const { ask, now } = await import("/page/api.js");
            const skews = [];
            let at = 0;
            Date.now = () => at;
            const date = () => new Date(at + 10000).toUTCString();
            window.fetch = async () => new Response("{}", { headers: { Date: date() } });
            for (at of [1020, 2700, 3350, 4990, 5110]) {
              await ask("/v1/status");
              skews.push(now() - at);
            }
            return skews;
          })()""")
        self.assertEqual(skews, [9980] * 5)

    # ---- work

    def fill_form(self, numbers, target):
        self.browser.wait("document.querySelector('.summary').innerText") # it moves the button
        self.browser.click("[data-action=new]")
        self.browser.wait("document.querySelector('dialog[open]')")
        self.browser.wait("document.activeElement.name === 'numbers'")
        self.browser.write(numbers)
        self.browser.press("Tab")
        self.browser.write(str(target))

    def test_a_new_problem_grows_until_it_is_done(self):
        others = self.submit_many(300) # so that it waits until the page has seen it
        self.go_to("/", ".forest tbody")
        self.browser.evaluate("""
          const main = document.querySelector('main');
          window.sizes = new Set();
          new MutationObserver(() => {
            if (!location.hash.startsWith('#/tree/')) return;
            const threads = document.querySelectorAll('.drawing [role=treeitem]').length;
            window.sizes.add(`${threads} ${document.querySelector('.transcript')?.textContent.length}`);
          }).observe(main, { childList: true, subtree: true, characterData: true })""")
        self.fill_form("25 7 36", 54)
        self.browser.press("Enter")
        self.browser.wait("location.hash.startsWith('#/tree/')")
        self.browser.wait("document.querySelector('main h1').innerText === '25 7 36 → 54'")
        self.wait_for_state("^(queued|running)")
        self.stop(others)
        self.wait_for_state("^(done|failed)", PATIENCE_S)
        self.browser.wait("document.querySelector('.verdict').innerText")
        self.browser.wait("document.querySelectorAll('.drawing [role=treeitem]').length > 1")
        self.browser.wait("document.querySelector('.transcript').innerText.includes('54:[25, 7, 36]')")
        self.assertGreater(self.browser.evaluate("window.sizes.size"), 1)
        self.assertEqual(self.browser.count(".title button"), 0)

    def test_a_refused_problem_says_why(self):
        self.expected = ["400", "422"]
        self.browser.go("/")
        self.fill_form("1 2 3 4 5 6 7 8 9", 54)
        self.browser.press("Enter")
        self.browser.wait("document.querySelector('dialog .error').innerText.includes('numbers')")
        self.assertEqual(self.browser.evaluate("document.activeElement.name"), "numbers")
        self.browser.shot("refused")
        self.browser.press("Escape")
        self.browser.wait("!document.querySelector('dialog')")

    def test_a_problem_is_submitted_once(self):
        self.answered_by("""(path, options) => options?.method === "POST"
            ? new Promise((answer) => (window.posts = (window.posts ?? 0) + 1, window.say_no = () => answer(refused(409, "no"))))
            : null""")
        self.browser.go("/")
        self.fill_form("25 7 36", 54)
        self.browser.press("Enter")
        self.browser.press("Enter")
        self.assertEqual(self.browser.evaluate("posts"), 1)
        self.browser.evaluate("say_no()")
        self.browser.wait("document.querySelector('dialog .error')")
        self.browser.tab_to("at.matches('dialog .solid')")
        self.browser.press("Enter")
        self.browser.wait("posts === 2 && document.querySelector('dialog .solid').disabled")
        self.browser.evaluate("say_no()")
        self.browser.wait("document.activeElement.matches('dialog .solid:enabled')")

    def test_only_an_amount_that_is_seen_must_be_right(self):
        self.browser.go("/")
        self.fill_form("25 7 36", 54)
        for join, amount, is_right in (("k_of_n", 0, False), ("all", 0, True), ("k_of_n", 2, True), ("deadline", 0.5, True),
                                       ("deadline", -1, False), ("first_success", -1, True)):
            with self.subTest(join=join, amount=amount):
                self.assertEqual(self.browser.evaluate(f"""((form) => {{
                    form.elements.amount.value = {amount};
                    form.elements.join.value = "{join}";
                    form.elements.join.dispatchEvent(new Event("input"));
                    return form.checkValidity();
                  }})(document.querySelector("dialog form"))"""), is_right)

    def wait_for_state(self, pattern, patience_s=SHORT_S):
        state = "document.querySelector('.tree-state').innerText"
        self.browser.wait(f"/{pattern}/.test({state})", patience_s)

    def test_a_tree_is_paused_resumed_and_cancelled(self):
        tree = self.submit_many(400)[-1] # behind so many others it does not end by itself
        self.open_tree(tree)
        self.browser.click(".title [data-action=pause]")
        self.wait_for_state("^paused")
        self.browser.click(".title [data-action=resume]")
        self.wait_for_state("^(queued|running)")
        self.browser.click(".title [data-action=pause]")
        self.wait_for_state("^paused")
        self.browser.click(".title [data-action=cancel]")
        self.browser.wait("document.querySelector('dialog[open]')")
        self.browser.shot("cancel")
        self.browser.press("Escape")
        self.browser.wait("!document.querySelector('dialog')")
        self.assertEqual(api(f"/v1/trees/{tree}")["state"], "paused")
        self.browser.click(".title [data-action=cancel]")
        self.browser.click("dialog [data-action=confirm]")
        self.wait_for_state("^cancelled")
        self.assertEqual(api(f"/v1/trees/{tree}")["state"], "cancelled")

    def test_who_pauses_by_keyboard_can_resume_by_keyboard(self):
        tree = self.submit_many(400)[-1]
        self.open_tree(tree)
        self.browser.wait("document.querySelector('.title [data-action=pause]')")
        self.browser.tab_to("at.matches('.title [data-action=pause]')")
        self.browser.press("Enter")
        self.wait_for_state("^paused")
        self.browser.wait("document.activeElement.matches('.title [data-action=resume]')")
        self.browser.press("Enter")
        self.wait_for_state("^(queued|running)")
        self.browser.wait("document.activeElement.matches('.title [data-action=pause]')")
        api(f"/v1/trees/{tree}/cancel", {})
        self.wait_for_state("^cancelled")
        self.browser.wait("document.activeElement.id === 'main'") # the buttons have gone

    def submit_many(self, n):
        trees = [submit(sampling={"temperature": 1, "seed": seed}) for seed in range(n)]
        self.addCleanup(self.stop, trees)
        return trees

    def stop(self, trees):
        for tree in trees:
            try:
                api(f"/v1/trees/{tree}/cancel", {})
            except urllib.error.HTTPError as error:
                self.assertEqual(error.code, 409) # it was done already

    # ---- devices

    def test_devices_show_what_they_do(self):
        pools = api("/v1/pools")["pools"]
        self.browser.go("/#/devices")
        self.browser.wait(f"document.querySelectorAll('.pool').length === {len(pools)}")
        self.assertEqual(self.browser.text(".pool h2"), pools[0]["name"])
        self.browser.wait("""[...document.querySelectorAll('.pool .facts div')].some(
            (fact) => /^Tokens\\/s\\s+[\\d.,]+/.test(fact.innerText))""")
        words = self.browser.evaluate("document.querySelector('.blocks').getAttribute('aria-label')")
        self.assertRegex(words, r"^[\d,]+ blocks: ")
        self.assertIn("accepted", self.browser.text(".totals"))
        self.assertEqual(self.browser.text(".totals h3"), "Trees since the start")
        self.browser.shot("devices")

    def test_where_no_token_was_made_the_peak_is_0(self):
        pool = api("/v1/pools")["pools"][0] # the same at each poll
        self.told_instead("/v1/pools", {"pools": [pool]})
        self.go_to("/#/devices", ".pool")
        self.browser.wait("document.querySelector('.speed figcaption span').innerText")
        self.assertEqual(self.browser.text(".speed figcaption span"), "peak 0")

    def test_says_when_the_daemon_is_gone_and_back(self):
        self.expected = ["ERR_INTERNET_DISCONNECTED", "Failed to load resource"]
        self.go_to("/#/devices", ".pool")
        self.addCleanup(self.browser.offline, False)
        self.browser.offline(True)
        self.browser.wait("document.querySelector('.notice.lost')?.checkVisibility()")
        self.browser.shot("lost")
        self.browser.evaluate("location.hash = '#/tree/01J9ZC3V7R2M8Q5T4W6X0Y1B3D'")
        self.browser.wait("document.querySelector('main h1').innerText === 'The daemon does not answer'")
        self.browser.offline(False)
        self.browser.wait("document.querySelector('.notice.found')?.checkVisibility()")

    # ---- looks

    def views(self):
        tree = self.finished()["id"]
        return {
            "list": ("/", ".forest tbody tr"),
            "tree": (f"/#/tree/{tree}", ".transcript .line"),
            "child": (f"/#/tree/{tree}?thread=/0", ".transcript .line"),
            "timeline": (f"/#/tree/{tree}?view=timeline", ".timeline .row"),
            "devices": ("/#/devices", ".totals td"),
        }

    def test_texts_stand_out_in_light_and_dark(self):
        for scheme in ("light", "dark"):
            self.browser.scheme(scheme)
            for name, (place, ready) in self.views().items():
                with self.subTest(scheme=scheme, view=name):
                    self.go_to(place, ready)
                    texts = self.browser.evaluate(CONTRASTS)
                    self.assertGreater(len(texts), 20)
                    faint = [text for text in texts if text["ratio"] < 4.5]
                    self.assertEqual(faint, [])
                    self.browser.shot(f"{name}-{scheme}")

    def test_a_narrow_window_needs_no_sideways_scrolling(self):
        self.browser.size(400, 800)
        for name, (place, ready) in self.views().items():
            with self.subTest(view=name):
                self.go_to(place, ready)
                self.assertLessEqual(self.browser.evaluate("document.scrollingElement.scrollWidth"), 400)
                self.browser.shot(f"{name}-narrow")

    def test_the_list_fits_every_window(self):
        self.told_instead("/v1/trees?", {"trees": MANY_KINDS, "next": None})
        self.go_to("/", ".forest .label")
        for width in range(320, 1401, 20):
            with self.subTest(width=width):
                self.browser.size(width, 500)
                self.assertLessEqual(self.browser.evaluate("document.documentElement.scrollWidth"), width)
                labels = self.browser.evaluate("document.querySelector('td.labels').getBoundingClientRect().width")
                self.assertFalse(0 < labels < 80, f"no label can be read in {labels} px")

    def test_narrow_rows_say_all_that_counts(self):
        self.told_instead("/v1/trees?", {"trees": MANY_KINDS, "next": None})
        self.go_to("/", ".forest .label")
        for width in (375, 400, 700):
            self.browser.size(width, 700)
            with self.subTest(width=width):
                rows = self.browser.evaluate("""[...document.querySelectorAll('.forest tbody tr')].map((row) =>
                    [...row.querySelectorAll('td.state, td.solved')].filter((cell) => cell.checkVisibility())
                      .map((cell) => cell.innerText.trim()).join(' ').trim())""")
                self.assertEqual(rows, ["running", "queued", "done solved", "done claimed, wrong",
                                        "failed: no solution", "failed: malformed spawn", "cancelled"])
                tall = self.browser.evaluate("""[...document.querySelectorAll('.forest tbody tr > *')].filter(
                    (cell) => cell.checkVisibility() && cell.offsetHeight > 30).map((cell) => cell.innerText)""")
                self.assertEqual(tall, [], "are broken into lines")
                self.assertLess(self.browser.evaluate("""Math.max(
                    ...[...document.querySelectorAll('.forest tbody tr')].map((row) => row.offsetHeight))"""), 70)
                cut = self.browser.evaluate("""[...document.querySelectorAll('.forest tbody tr > *')].filter(
                    (cell) => cell.scrollWidth > cell.clientWidth + 1).map((cell) => cell.innerText)""")
                self.assertEqual(cut, [], "are cut")
                self.assertEqual(self.browser.evaluate(CUT_CONTROLS), [])
                self.browser.shot(f"rows-{width}")

    def test_long_labels_need_no_sideways_scrolling(self):
        tree = submit(labels={"commit": "x" * 230, "run": "2026-11-27T15:00:00Z-countdown-3-temperature-0.7-seed-12"})
        for width in (1280, 400):
            self.browser.size(width, 800)
            self.open_tree(tree)
            self.browser.wait("document.querySelectorAll('.title .label').length === 2")
            self.assertLessEqual(self.browser.evaluate("document.scrollingElement.scrollWidth"), width)

    def test_an_address_that_leads_nowhere_says_so(self):
        for place in ("/#/trees/01J9ZC3V7R2M8Q5T4W6X0Y1B3D", "/#/nope"):
            self.browser.go(place)
            self.browser.wait("document.querySelector('main h1')?.innerText === 'There is no such page'")
        self.browser.click("main a")
        self.browser.wait("document.querySelector('.forest')")

    def test_what_was_told_of_one_view_is_not_told_in_the_next(self):
        tree = self.submit_many(400)[-1]
        self.open_tree(tree)
        self.browser.click(".title [data-action=pause]")
        self.browser.wait("document.getElementById('news').textContent")
        self.browser.evaluate("location.hash = '#/devices'")
        self.browser.wait("document.querySelector('.pool')")
        self.assertEqual(self.browser.evaluate("document.getElementById('news').textContent"), "")

    def shut_out(self):
        """From here on the daemon wants another token; returns once the page says so."""
        self.browser.evaluate("""
            window.asked = 0;
            window.fetch = async () => (asked++, new Response('{"error": {"message": "no token"}}', { status: 401 }))""")
        self.browser.evaluate("sources.at(-1)?.dispatchEvent(new MessageEvent('tree', { data: '{}' }))")
        self.browser.wait("document.querySelector('.notice a')?.checkVisibility()")

    def whatever_waits_comes_first(self):
        """Timers go off in their order: this one comes behind what the page would do within 5 s."""
        self.browser.evaluate("new Promise((done) => setTimeout(done, 5000))")

    def test_a_page_whose_token_is_another_one_now_asks_no_more(self):
        self.run_in_every_page(FAST_CLOCK + COUNTED_SOURCES)
        for place, ready in (("/#/devices", ".pool"), ("/", ".forest tbody tr")):
            with self.subTest(place=place):
                self.go_to(place, ready)
                self.shut_out()
                before = self.browser.evaluate("[asked, sources.length]")
                self.whatever_waits_comes_first()
                self.assertEqual(self.browser.evaluate("[asked, sources.length]"), before)
        self.browser.shot("shut-out")
        # Neither where its stream is refused …
        self.browser.evaluate("sources.at(-1).refuse()")
        self.whatever_waits_comes_first()
        self.assertEqual(self.browser.evaluate("[asked, sources.length]"), before)
        # … nor where somebody looks at it again.
        for is_hidden in ("true", "false"):
            self.browser.evaluate(f"""
                Object.defineProperty(document, "hidden", {{ value: {is_hidden}, configurable: true }});
                document.dispatchEvent(new Event("visibilitychange"))""")
        self.whatever_waits_comes_first()
        self.assertEqual(self.browser.evaluate("[asked, sources.length]"), before)

    def test_the_page_may_load_nothing_from_elsewhere(self):
        with urllib.request.urlopen(options.url + "/", timeout=PATIENCE_S) as reply:
            self.assertIn("default-src 'self'", reply.headers["Content-Security-Policy"])
        self.go_to("/", ".forest")
        self.assertEqual(self.browser.count("[style], style, script:not([src])"), 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("--shots", type=pathlib.Path)
    options, rest = parser.parse_known_args()
    options.url = options.url.rstrip("/")
    if options.shots:
        options.shots.mkdir(parents=True, exist_ok=True)
    unittest.main(argv=[sys.argv[0], *rest])
