#!/usr/bin/env python3
"""tree_page_test.py BANYAND|URL [--shots DIR] [TEST…]: the view of a tree."""

import re

from browser import PATIENCE_S
from page_case import COUNTED_SOURCES, FAST_CLOCK, api, json_response, main, page_case, submit, told


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


class one_tree(page_case):
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


if __name__ == "__main__":
    main()
