#!/usr/bin/env python3
"""looks_page_test.py BANYAND|URL [--shots DIR] [TEST…]: colours and room."""

from page_case import MANY_KINDS, main, page_case, submit

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


class looks(page_case):
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


if __name__ == "__main__":
    main()
