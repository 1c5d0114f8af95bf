#!/usr/bin/env python3
"""frame_page_test.py BANYAND|URL [--shots DIR] [TEST…]: what all views share: addresses, news, tokens, a daemon that is gone; and the view of the devices."""

import urllib.request

from browser import PATIENCE_S, options
from page_case import COUNTED_SOURCES, FAST_CLOCK, api, main, page_case


class frame(page_case):
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
        # What it asks for now is answered before the next test begins.
        self.browser.wait("document.querySelector('main h1').innerText !== 'The daemon does not answer'")

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
    main()
