#!/usr/bin/env python3
"""daemon_trees_test.py BANYAND [TEST…]: trees, events and completions of a real daemon with a real model."""

import contextlib
import json
import time
import unittest

from daemon import ENDED, MODEL, body, problem, side_by_side, tree_texts, wait_for
from daemon_case import at_first, shared_case, undisturbed

TREE_ID = r"^[0-9A-HJKMNP-TV-Z]{26}$"


# ---- trees


class trees(shared_case):
    def test_a_client_that_waits_gets_the_tree(self):
        tree = self.daemon.solve({"problem": {"numbers": [3, 5, 7], "target": 22}, "labels": {"run": "waits"}})
        self.assertRegex(tree["id"], TREE_ID)
        self.assertEqual(tree["state"], "done")
        self.assertTrue(tree["outcome"]["solved"])
        self.assertEqual(tree["labels"], {"run": "waits"})
        self.assertEqual(tree["usage"]["generated_tokens"], sum(t["generated_tokens"] for t in tree["threads"]))
        self.assertEqual(self.daemon.tree(tree["id"]), tree)

    def test_a_client_that_does_not_wait_gets_its_name(self):
        given = self.daemon.post("/v1/trees", {**body(1), "wait": False})
        self.assertEqual(given.status, 202)
        name = given.json["id"]
        self.assertEqual(given.headers["Location"], f"/v1/trees/{name}")
        self.same_texts(self.daemon.finished(name), undisturbed(1))

    def test_a_tree_does_not_depend_on_who_else_is_there(self):
        for number, tree in enumerate(side_by_side(self.daemon.solve, map(body, range(8)), 8)):
            if number < 3:
                self.same_texts(tree, undisturbed(number))

    def test_a_tree_grows_from_its_prompt_as_from_its_problem(self):
        first = self.daemon.solve(body(3))
        again = self.daemon.solve({"prompt": first["prompt"], "sampling": body(3)["sampling"]})
        self.same_texts(again, first)

    def test_lists_can_be_searched_and_paged(self):
        names = [self.daemon.solve(body(i, labels={"of": "lists", "parity": "odd" if i % 2 else "even"}))["id"]
                 for i in range(7)]
        listed = self.daemon.all_trees("&label=of=lists")
        self.assertEqual([t["id"] for t in listed], names[::-1])
        self.assertTrue(all("text" not in thread for t in listed for thread in t["threads"]))
        odd = self.daemon.all_trees("&label=of=lists&label=parity=odd")
        self.assertEqual([t["id"] for t in odd], names[1::2][::-1])
        for query, holds in [("state=done", lambda t: t["state"] == "done"),
                             ("state=failed", lambda t: t["state"] == "failed"),
                             ("state=done,failed", lambda t: True),
                             ("state=running,queued,paused", lambda t: False),
                             ("solved=true", lambda t: t["outcome"]["solved"]),
                             ("solved=false", lambda t: not t["outcome"]["solved"])]:
            found = self.daemon.all_trees(f"&label=of=lists&{query}")
            self.assertEqual([t["id"] for t in found], [t["id"] for t in listed if holds(t)], query)
        after, pages = "", []
        while after is not None:
            page = self.daemon.get(f"/v1/trees?label=of=lists&limit=3{after and '&after=' + after}").json
            pages.append([t["id"] for t in page["trees"]])
            after = page["next"]
        self.assertEqual(pages, [names[:3:-1], names[3:0:-1], names[:1]])

    def test_threads_one_by_one(self):
        tree = self.daemon.solve(body(0))
        for thread in tree["threads"][:3]:
            one = self.daemon.get(f"/v1/trees/{tree['id']}/threads?path={thread['path']}").json
            self.assertFalse(one["live"])
            self.assertEqual(one["text"], thread["text"])
        given = self.daemon.get(f"/v1/trees/{tree['id']}/threads?path=/99")
        self.refused(given, 404, "not_found")

    def test_failures_have_their_names(self):
        for more, failure in [({"budget": {"deadline_s": 0.001}}, "deadline"),
                              ({"budget": {"max_tokens": 5}}, "budget_spent"),
                              ({"budget": {"max_tree_tokens": 30}}, "budget_spent")]:
            with self.subTest(more=more):
                tree = self.daemon.solve(body(0, **more))
                self.assertEqual((tree["state"], tree["failure"]), ("failed", failure))
                self.assertFalse(tree["outcome"]["solved"])
        few = self.daemon.solve(body(0, budget={"max_threads": 2}))
        self.assertIn("budget_spent", [t["failure"] for t in few["threads"]])
        self.assertEqual(self.daemon.status()["failures"]["deadline"], 1)

    def test_what_makes_no_sense(self):
        for wish, field in [({"problem": {"numbers": [1, 2], "target": 3}}, "problem"),
                            ({"problem": {"numbers": [1, 2, 3], "target": 5000}}, "problem"),
                            ({"problem": {"numbers": [1, 2, 3]}}, "problem.target"),
                            ({"problem": problem(0), "sampling": {"temperature": -1}}, "sampling.temperature"),
                            ({"problem": problem(0), "join": "some"}, "join"),
                            ({"problem": problem(0), "color": "red"}, "color")]:
            with self.subTest(wish=wish):
                self.assertEqual(self.refused(self.daemon.post("/v1/trees", wish), 400, "bad_request").error["field"], field)
        self.refused(self.daemon.get("/v1/trees/01M84CSKDA0VYPFZ62RVZEM7RT"), 404, "not_found")
        self.refused(self.daemon.post("/v1/trees/none/cancel"), 404, "not_found")

    def test_errors_name_what_was_given(self):
        self.says(self.daemon.get("/v1/trees/none"), 404, "none: there is no such tree; `banyan ps --all` lists them")
        name = self.daemon.solve(body(0))["id"]
        self.says(self.daemon.post(f"/v1/trees/{name}/pause"), 409, f"{name}: it has ended; there is nothing to do")
        self.says(self.daemon.get(f"/v1/trees/{name}/threads?path=/9/9"), 404, "/9/9: the tree has no such thread; look at the tree")
        self.says(self.daemon.get(f"/v1/trees/{name}/threads?path=9"), 400, "9: it is not a thread's path; write it as /0/3")

    def test_nothing_can_be_done_with_a_finished_tree(self):
        name = self.daemon.solve(body(0))["id"]
        for action in ("cancel", "pause", "resume"):
            self.refused(self.daemon.post(f"/v1/trees/{name}/{action}"), 409, "conflict")


# ---- pause and cancel


class steering(shared_case):
    def caught(self, number, event_name, act, **more):
        """A tree on which `act` succeeded right after its first event of that name. A tree that was quicker does not
        count."""
        for _ in range(20):
            name = self.daemon.submit(body(number, **more))
            with contextlib.closing(self.daemon.stream(f"/v1/trees/{name}/events")) as watched:
                at_first(watched, event_name, 2 if event_name == "text" else 1)
                given = act(name)
            if given.status == 200:
                return name
            self.refused(given, 409, "conflict")
        self.fail("every tree was over before anything could be done")

    def act(self, action, thread="/"):
        return lambda name: self.daemon.post(f"/v1/trees/{name}/{action}", {"thread": thread})

    def at_rest(self):
        """Nobody decodes; tokens sampled until then."""
        wait_for(lambda: self.daemon.status()["threads"]["decoding"] == 0, "somebody decodes")
        return self.daemon.status()["pools"][0]["generated_tokens"]

    def test_a_paused_tree_stands_still_and_goes_on_as_if_nothing_had_been(self):
        for number, moment in [(0, "text"), (1, "spawn"), (2, "thread")]:
            with self.subTest(moment=moment):
                name = self.caught(number, moment, self.act("pause"))
                tokens = self.at_rest()
                time.sleep(0.2)
                self.assertEqual(self.at_rest(), tokens)
                paused = self.daemon.tree(name)
                self.assertEqual(paused["state"], "paused")
                self.assertGreater(paused["usage"]["wall_ms"], 0)
                self.assertEqual({t["state"] for t in paused["threads"]} - {*ENDED}, {"paused"})
                self.assertEqual([t["id"] for t in self.daemon.all_trees("&state=paused")], [name])
                self.assertEqual(self.daemon.post(f"/v1/trees/{name}/resume").json["state"], "running")
                self.same_texts(self.daemon.finished(name), undisturbed(number))

    def test_pause_and_resume_can_be_asked_for_twice(self):
        name = self.caught(0, "text", self.act("pause"))
        for action, state in [("pause", "paused"), ("resume", "running")]:
            self.assertEqual(self.daemon.post(f"/v1/trees/{name}/{action}").json["state"], state)
        self.daemon.post(f"/v1/trees/{name}/resume")
        self.same_texts(self.daemon.finished(name), undisturbed(0))

    def test_pauses_are_told(self):
        name = self.caught(0, "text", self.act("pause"))
        watched = iter(self.daemon.stream(f"/v1/trees/{name}/events"))
        seen = at_first(watched, "text")
        self.daemon.post(f"/v1/trees/{name}/resume")
        seen += watched
        states = [e.data["state"] for e in seen if e.name == "tree"]
        self.assertEqual(states, ["paused", "running"])
        texts = tree_texts().read(seen).texts
        self.assertEqual(texts, {t["path"]: t["text"].encode() for t in self.daemon.finished(name)["threads"]})

    def test_a_part_is_paused_and_the_rest_goes_on(self):
        name = self.caught(0, "spawn", self.act("pause", "/0"))
        wait_for(lambda: self.daemon.status()["threads"]["decoding"] == 0, "the others have not ended")
        states = {t["path"]: t["state"] for t in self.daemon.tree(name)["threads"]}
        self.assertEqual((states.pop("/"), states.pop("/0")), ("waiting", "paused"))
        self.assertLessEqual(set(states.values()), set(ENDED))
        ended, *_ = states
        self.says(self.daemon.post(f"/v1/trees/{name}/cancel", {"thread": ended}), 409, f"{ended}: it has ended; there is nothing to do")
        self.says(self.daemon.post(f"/v1/trees/{name}/cancel", {"thread": "/99"}), 404,
                  "/99: the tree has no such thread; `banyan tree ID` lists its threads")
        self.assertEqual(self.daemon.post(f"/v1/trees/{name}/resume", {"thread": "/0"}).status, 200)
        self.same_texts(self.daemon.finished(name), undisturbed(0))

    def test_a_cancelled_tree_ends_with_what_it_has(self):
        name = self.caught(0, "spawn", self.act("cancel"))
        tree = self.daemon.finished(name)
        self.assertEqual((tree["state"], tree["failure"]), ("cancelled", "cancelled"))
        self.assertGreater(tree["usage"]["generated_tokens"], 0)
        whole = {t["path"]: t["text"] for t in undisturbed(0)["threads"]}
        for thread in tree["threads"]:
            if thread["path"] != "/":
                self.assertTrue(whole[thread["path"]].startswith(thread["text"]))

    def test_a_cancelled_part_is_lost_and_the_rest_goes_on(self):
        name = self.caught(0, "spawn", self.act("cancel", "/0"))
        tree = self.daemon.finished(name)
        cut, *_ = (t for t in tree["threads"] if t["path"] == "/0")
        self.assertEqual((cut["state"], cut["failure"]), ("cancelled", "cancelled"))
        self.assertNotEqual(tree["state"], "cancelled")
        whole = {t["path"]: told_thread(t) for t in undisturbed(0)["threads"]}
        for thread in tree["threads"]:
            if thread["path"] not in ("/", "/0"):
                self.assertEqual(told_thread(thread), whole[thread["path"]])

    def test_a_paused_tree_can_be_cancelled(self):
        name = self.caught(0, "text", self.act("pause"))
        self.assertEqual(self.daemon.post(f"/v1/trees/{name}/cancel").status, 200)
        self.assertEqual(self.daemon.finished(name)["state"], "cancelled")


def told_thread(thread):
    return thread["state"], thread["failure"], thread["text"]


class waiting_line(shared_case):
    words = ("--concurrency", 1, "--max-queue", 8)

    def fill(self):
        """So many trees that the last one waits for a while."""
        return [self.daemon.submit(body(i)) for i in range(4)]

    def tearDown(self):
        wait_for(self.daemon.idle, "trees are still there", pause=0.05)

    def labelled(self, label):
        found = self.daemon.all_trees(f"&label=client={label}")
        return found[0] if found else None

    def leave(self, label, **more):
        """A client that waits for its tree and goes away."""
        connection = self.daemon.connect()
        connection.request("POST", "/v1/trees", json.dumps(body(5, labels={"client": label}, **more)))
        wait_for(lambda: self.labelled(label), "the tree is not there")
        connection.close()

    def test_the_tree_of_a_client_that_leaves_is_cancelled(self):
        self.fill()
        self.leave("leaves")
        tree = wait_for(lambda: self.daemon.ended(self.labelled("leaves")), "the tree lives on")
        self.assertEqual(tree["state"], "cancelled")

    def test_the_tree_of_a_client_that_asked_for_it_stays(self):
        self.fill()
        self.leave("stays", stay=True)
        tree = wait_for(lambda: self.daemon.ended(self.labelled("stays")), "the tree is not finished")
        self.same_texts(self.daemon.tree(tree["id"]), undisturbed(5))

    def test_a_full_queue_says_when_to_come_back(self):
        given = None
        for i in range(100):
            given = self.daemon.post("/v1/trees", {**body(i % 8), "wait": i % 2 == 1 and self.crowded()})
            if given.status == 429:
                break
        self.refused(given, 429, "full")
        self.assertRegex(given.headers["Retry-After"], r"^\d+$")

    def crowded(self):
        return self.daemon.status()["trees"]["queued"] >= 8

    def test_what_waits_can_be_paused_resumed_and_cancelled(self):
        *_, paused, cancelled = self.fill()
        self.assertEqual(self.daemon.post(f"/v1/trees/{cancelled}/cancel").json["state"], "cancelled")
        self.assertEqual(self.daemon.post(f"/v1/trees/{paused}/pause").json["state"], "paused")
        self.assertEqual(self.daemon.finished(cancelled)["state"], "cancelled")
        wait_for(lambda: self.daemon.status()["trees"]["running"] == 0, "a paused tree runs")
        self.assertEqual(self.daemon.tree(paused)["state"], "paused")
        now = self.daemon.status()["trees"]
        self.assertEqual((now["queued"], now["running"], now["paused"]), (0, 0, 1))
        self.daemon.post(f"/v1/trees/{paused}/resume")
        self.same_texts(self.daemon.finished(paused), undisturbed(2))


# ---- events


class events(shared_case):
    def texts_of(self, name):
        return {t["path"]: t["text"].encode() for t in self.daemon.finished(name)["threads"]}

    def test_events_put_together_are_the_final_texts(self):
        names = [self.daemon.submit(body(i)) for i in range(6)]
        watched = side_by_side(lambda n: tree_texts().read(self.daemon.stream(f"/v1/trees/{n}/events")), names, 6)
        for name, seen in zip(names, watched):
            self.assertEqual(seen.texts, self.texts_of(name))
            tree = self.daemon.tree(name)
            self.assertEqual((seen.done["state"], seen.done["failure"]), (tree["state"], tree["failure"]))
            self.assertEqual(seen.done["outcome"], tree["outcome"])
            self.assertEqual(seen.states, {t["path"]: t["state"] for t in tree["threads"]})

    def test_one_who_comes_late_knows_as_much(self):
        for number in range(6):
            name = self.daemon.submit(body(number))
            time.sleep(0.04 * number)  # whatever the tree does then
            seen = tree_texts().read(self.daemon.stream(f"/v1/trees/{name}/events"))
            self.assertEqual(seen.texts, self.texts_of(name))

    def test_a_finished_tree_is_told_at_once(self):
        name = self.daemon.solve(body(0))["id"]
        seen = tree_texts().read(self.daemon.stream(f"/v1/trees/{name}/events"))
        self.assertEqual(seen.texts, self.texts_of(name))

    def test_a_stream_goes_on_where_it_was_broken_off(self):
        for number, until in [(0, 1), (0, 4), (1, 12), (2, 25)]:
            name = self.daemon.submit(body(number))
            seen, last = tree_texts(), None
            while not seen.done:
                watched = self.daemon.stream(f"/v1/trees/{name}/events", last=last)
                count = 0
                for e in watched:
                    seen.take(e)
                    count += bool(e.id)
                    if count >= until:
                        break
                last = watched.last
                watched.close()
            self.assertEqual(seen.texts, self.texts_of(name))

    def test_a_finished_tree_is_told_with_all_kinds_of_events(self):
        tree = self.daemon.solve(body(0))
        told_here = list(self.daemon.stream(f"/v1/trees/{tree['id']}/events"))
        self.assertEqual({e.name for e in told_here}, {"tree", "thread", "spawn", "text", "join", "done"})
        self.assertEqual(tree_texts().read(told_here).texts, self.texts_of(tree["id"]))
        known = set()
        for e in told_here[1:-1]:
            self.assertTrue(e.data["parent"] is None or e.data["parent"] in known, e)
            known.add(e.data["thread"])
        self.assertEqual(known, {t["path"] for t in tree["threads"]})
        self.assertEqual(len({e.id for e in told_here}), len(told_here))
        for seen in (0, 1, len(told_here) // 2, len(told_here) - 1):
            rest = self.daemon.stream(f"/v1/trees/{tree['id']}/events", last=told_here[seen].id)
            self.assertEqual([(e.name, e.id, e.data) for e in rest], [(e.name, e.id, e.data) for e in told_here[seen + 1:]])

    def test_who_comes_back_hears_the_same_events_and_none_twice(self):
        for number in range(3):
            name = self.daemon.submit(body(number))
            whole = self.daemon.stream(f"/v1/trees/{name}/events")
            parts, last, over = [], None, False
            while not over:
                part = self.daemon.stream(f"/v1/trees/{name}/events", last=last)
                for e in at_first(part, "text", 7):
                    parts.append(e)
                    over = e.name == "done"
                last = part.last
                part.close()
            self.assertNotIn(None, [e.id for e in parts])
            ids = [e.id for e in parts]
            self.assertEqual(len(ids), len(set(ids)))
            live = [e for e in parts if "." not in e.id]
            numbers = [int(e.id.rsplit("-", 1)[1]) for e in live]
            self.assertEqual(numbers, sorted(numbers))
            heard = {e.id: (e.name, e.data) for e in whole}
            self.assertEqual({e.id: (e.name, e.data) for e in live}, {e.id: heard[e.id] for e in live})
            self.assertEqual(tree_texts().read(parts).texts, self.texts_of(name))

    def test_all_trees_are_told_of_without_texts(self):
        watched = self.daemon.stream("/v1/events")
        names = {self.daemon.submit(body(i)) for i in range(4)}
        missing, seen = set(names), []
        for e in watched:
            seen.append(e)
            if e.name == "done":
                missing.discard(e.data["tree"])
            if not missing:
                break
        watched.close()
        self.assertEqual({e.name for e in seen}, {"tree", "thread", "spawn", "join", "done"})
        for name in names:
            states = [e.data["state"] for e in seen if e.name == "tree" and e.data["tree"] == name]
            self.assertEqual(states, ["queued", "running"])
            tree = self.daemon.tree(name)
            heard = {}
            for e in seen:
                if e.data["tree"] == name and e.name == "thread":
                    heard.setdefault(e.data["thread"], []).append({"state": e.data["state"], "at": e.data["at"]})
            self.assertEqual(heard, {t["path"]: t["history"] for t in tree["threads"]})
            done = next(e for e in seen if e.name == "done" and e.data["tree"] == name)
            self.assertEqual(done.data["at"], tree["finished"])

    def test_there_are_no_events_of_no_tree(self):
        self.refused(self.daemon.get("/v1/trees/none/events"), 404, "not_found")


# ---- completions


class completions(shared_case):
    prompt = "Moving to Node #0\nCurrent State: 22:[3, 5, 7], Operations: []\n"

    def whole(self, **more):
        given = self.daemon.post("/v1/completions", {"prompt": self.prompt, "seed": 5, **more})
        self.assertEqual(given.status, 200, given)
        return given.json

    def streamed(self, **more):
        watched = self.daemon.stream("/v1/completions", {"prompt": self.prompt, "seed": 5, "stream": True, **more})
        chunks = [e.data for e in watched]
        self.assertEqual(chunks.pop(), "[DONE]")
        return chunks

    def test_what_is_streamed_is_what_is_sent_at_once(self):
        for more in [{"max_tokens": 300}, {"max_tokens": 300, "temperature": 0}, {"max_tokens": 1},
                     {"max_tokens": 300, "stop": ["Generated", "\nExp"]}, {"max_tokens": 200, "n": 3},
                     {"max_tokens": 200, "stop": "Resulting Numbers: [8"}]:
            with self.subTest(more=more):
                whole, chunks = self.whole(**more), self.streamed(**more)
                for choice in whole["choices"]:
                    parts = [c for chunk in chunks for c in chunk["choices"] if c["index"] == choice["index"]]
                    self.assertEqual("".join(p["text"] for p in parts), choice["text"])
                    self.assertEqual(parts[-1]["finish_reason"], choice["finish_reason"])
                    self.assertEqual(parts[-1]["matched_stop"], choice["matched_stop"])
                    if choice["finish_reason"] == "stop" and "stop" not in more:  # as SGLang: the token's id
                        self.assertIsInstance(choice["matched_stop"], int)
                    self.assertTrue(all(p["finish_reason"] is None for p in parts[:-1]))

    def test_logprobs_and_usage(self):
        whole = self.whole(max_tokens=40, logprobs=1)
        chunks = self.streamed(max_tokens=40, logprobs=1, stream_options={"include_usage": True})
        told_at_once = whole["choices"][0]["logprobs"]
        parts = [c["logprobs"] for chunk in chunks for c in chunk["choices"]]
        for name in ("tokens", "token_logprobs", "text_offset"):
            self.assertEqual([value for p in parts for value in p[name]], told_at_once[name])
        self.assertEqual(len(told_at_once["tokens"]), whole["usage"]["completion_tokens"])
        self.assertEqual(chunks[-1]["usage"]["completion_tokens"], whole["usage"]["completion_tokens"])

    def scored_again(self, text):
        """What was sampled is as likely as a prompt as it was when it was sampled; the likeliest are likelier."""
        again = self.whole(prompt=text["text"], max_tokens=0, echo=True, logprobs=5)["choices"][0]["logprobs"]
        self.assertEqual(again["tokens"], text["logprobs"]["tokens"])
        for mine, its, top in zip(again["token_logprobs"][1:], text["logprobs"]["token_logprobs"][1:],
                                  again["top_logprobs"][1:]):
            self.assertAlmostEqual(mine, its, delta=1e-3)
            self.assertIn(len(top), (5, 6))
            self.assertTrue(list(top.values())[:5] == sorted(top.values(), reverse=True)[:5])
            self.assertTrue(len(top) == 5 or mine == min(top.values()))

    def test_tokens_are_as_good_as_their_text(self):
        answer = self.whole(max_tokens=20, temperature=0, echo=True, logprobs=1)
        text = answer["choices"][0]
        self.assertTrue(text["text"].startswith(self.prompt))
        given = answer["usage"]["prompt_tokens"]
        self.assertEqual([i for i, p in enumerate(text["logprobs"]["token_logprobs"]) if p is None], [0])
        self.assertEqual("".join(text["logprobs"]["tokens"]), text["text"])
        vocabulary = json.loads((MODEL / "tokenizer.json").read_text())["model"]["vocab"]
        ids = [vocabulary[token] for token in text["logprobs"]["tokens"][:given]]
        again = self.whole(prompt=ids, max_tokens=20, temperature=0, echo=True, logprobs=1)["choices"][0]
        self.assertEqual(again, text)
        chunks = self.streamed(prompt=[ids], max_tokens=20, temperature=0, echo=True)
        self.assertEqual("".join(c["text"] for chunk in chunks for c in chunk["choices"]), text["text"])
        self.scored_again(text)
        for wrong in ([len(vocabulary)], [[0], [1, 99999]]):
            given = self.daemon.post("/v1/completions", {"prompt": wrong})
            self.assertEqual((given.status, given.error["field"]), (400, "prompt"), given)

    def test_nothing_is_decoded_where_nothing_is_wanted(self):
        before = self.daemon.status()["pools"][0]["generated_tokens"]
        for echo in (False, True):
            whole = self.whole(max_tokens=0, echo=echo)
            choice = whole["choices"][0]
            self.assertEqual((choice["text"], choice["finish_reason"]), (self.prompt if echo else "", "length"))
            self.assertEqual(whole["usage"]["completion_tokens"], 0)
            self.assertGreater(whole["usage"]["prompt_tokens"], 0)
        self.assertEqual(self.daemon.status()["pools"][0]["generated_tokens"], before)
        self.assertEqual(self.whole(max_tokens=2**40, temperature=0)["choices"][0]["finish_reason"], "stop")

    def test_a_stop_ends_it_and_is_named(self):
        choice = self.whole(max_tokens=300, temperature=0, stop=["Resulting"])["choices"][0]
        self.assertEqual((choice["finish_reason"], choice["matched_stop"]), ("stop", "Resulting"))
        self.assertNotIn("Resulting", choice["text"])

    def test_one_who_leaves_ends_it(self):
        before = self.daemon.status()["pools"][0]
        watched = self.daemon.stream("/v1/completions", {"prompt": self.prompt, "max_tokens": 2000, "temperature": 2,
                                                         "stream": True, "n": 8})
        next(iter(watched))
        watched.close()
        wait_for(lambda: self.daemon.status()["pools"][0]["running"] == 0, "it is still decoded")
        tokens = self.daemon.status()["pools"][0]["generated_tokens"] - before["generated_tokens"]
        self.assertLess(tokens, 8 * 1900)

    def test_a_prompt_that_is_too_long_or_cannot_be_written(self):
        for prompt in (self.prompt * 300, "日本語"):
            given = self.daemon.post("/v1/completions", {"prompt": prompt, "max_tokens": 10})
            self.assertEqual((given.status, given.error["field"]), (400, "prompt"), given)

    def test_the_model_is_there(self):
        model, = self.daemon.get("/v1/models").json["data"]
        self.assertEqual((model["id"], model["root"]), (MODEL.name, str(MODEL)))


if __name__ == "__main__":
    unittest.main()
