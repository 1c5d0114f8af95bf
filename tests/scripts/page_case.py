"""What tests of the daemon's page share."""

import argparse
import json
import pathlib
import sys
import time
import unittest
import urllib.error
import urllib.request

from browser import PATIENCE_S, SHORT_S, browser, options
from daemon import MODEL, daemon, scratch_folder


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


class page_case(unittest.TestCase):
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

    def finished(self):
        """A finished tree with children, solved where there is one."""
        trees = [tree for tree in api("/v1/trees?state=done,failed&limit=100")["trees"]
                 if len(tree["threads"]) > 1]
        self.assertTrue(trees, "the daemon has no finished tree with children")
        return max(trees, key=lambda tree: tree["outcome"]["solved"])

    def open_tree(self, tree_id, rest=""):
        self.browser.go(f"/#/tree/{tree_id}{rest}")
        self.browser.wait("document.querySelector('.panel h2').innerText")

    def wait_for_state(self, pattern, patience_s=SHORT_S):
        state = "document.querySelector('.tree-state').innerText"
        self.browser.wait(f"/{pattern}/.test({state})", patience_s)

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


def problems(count):
    with open(MODEL / "heldout.jsonl", encoding="utf-8") as lines:
        for _, line in zip(range(count), lines):
            found = json.loads(line)
            yield {"numbers": found.get("numbers") or found["nums"], "target": found["target"]}


def main():
    """The tests of the script, on a daemon of their own or on one that runs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("daemon", help="the program, or the URL of one with finished trees that have children")
    parser.add_argument("--shots", type=pathlib.Path)
    _, rest = parser.parse_known_args(namespace=options)
    if options.shots:
        options.shots.mkdir(parents=True, exist_ok=True)
    words = [sys.argv[0], *rest]
    if options.daemon.startswith("http"):
        options.url = options.daemon.rstrip("/")
        unittest.main(argv=words)
    with scratch_folder() as folder, daemon(options.daemon, folder, "--concurrency", 1) as d:
        for one in problems(5):
            d.solve({"problem": one})
        options.url = d.url
        unittest.main(argv=words)
