#!/usr/bin/env python3
"""work_page_test.py BANYAND|URL [--shots DIR] [TEST…]: problems are submitted, trees are steered."""

from browser import PATIENCE_S
from page_case import api, main, page_case


class work(page_case):
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


if __name__ == "__main__":
    main()
