#!/usr/bin/env python3
"""list_page_test.py BANYAND|URL [--shots DIR] [TEST…]: the list of trees."""

import json

from browser import PATIENCE_S
from page_case import COUNTED_SOURCES, FAST_CLOCK, MANY_KINDS, api, main, page_case, submit


class listing(page_case):
    def rows(self):
        return self.browser.wait(
            "[...document.querySelectorAll('.forest tbody tr')].map((row) => row.innerText)")

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


if __name__ == "__main__":
    main()
