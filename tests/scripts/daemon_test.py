#!/usr/bin/env python3
"""daemon_test.py BANYAND [TEST…]: a real daemon with a real model, as its users and its service manager meet it."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

from daemon import (ENVIRONMENT, ENDED, MODEL, PATIENCE, body, daemon, problem, scratch_folder, side_by_side, told,
                    tree_texts, wait_for)

BANYAND = sys.argv.pop(1)
TREE_ID = r"^[0-9A-HJKMNP-TV-Z]{26}$"


def banyand(*words):
    """To its end."""
    return subprocess.run([BANYAND, *map(str, words)], capture_output=True, text=True, timeout=PATIENCE,
                          stdin=subprocess.DEVNULL, env=ENVIRONMENT)


class daemon_case(unittest.TestCase):
    def setUp(self):
        scratch = scratch_folder()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)

    def write(self, name, text):
        (self.folder / name).write_text(text)
        return self.folder / name

    def start(self, *words, **more):
        """A daemon that ends with the test."""
        started = daemon(BANYAND, self.folder, *words, **more)
        self.addCleanup(started.kill)
        return started

    def refused(self, given, status, code):
        self.assertEqual((given.status, given.error["code"]), (status, code), given)
        self.assertIn("; ", given.error["message"])
        return given

    def same_texts(self, tree, other):
        self.assertEqual(told(tree), told(other))


class shared_case(daemon_case):
    """All tests of the class ask one daemon."""

    words = ()

    @classmethod
    def setUpClass(cls):
        scratch = scratch_folder()
        cls.addClassCleanup(scratch.cleanup)
        cls.daemon = daemon(BANYAND, scratch.name, *cls.words)
        cls.addClassCleanup(cls.daemon.kill)


undisturbed_trees = {}


def undisturbed(number, **more):
    """The tree as it grows where nobody interferes."""
    key = (number, json.dumps(more, sort_keys=True))
    if key not in undisturbed_trees:
        with scratch_folder() as folder, daemon(BANYAND, folder) as one:
            undisturbed_trees[key] = one.solve(body(number, **more))
    return undisturbed_trees[key]


def at_first(watched, name, count=1):
    """Reads until so many events of that name have come; the events."""
    seen = []
    for e in watched:
        seen.append(e)
        count -= e.name == name
        if count == 0:
            break
    return seen


# ---- begin


class beginning(daemon_case):
    def fails(self, code, *words, names):
        """It ends with `code` and one line that names the input."""
        usual = {"--listen": "127.0.0.1:0", "--data-dir": self.folder / "data", "--model": MODEL, "--log-level": "error"}
        done = banyand(*words, *(word for name in usual if name not in words for word in (name, usual[name])))
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertRegex(done.stderr, r"^banyand: .+: .+; .+")
        self.assertIn(names, done.stderr)
        return done

    def test_it_says_where_it_listens_and_nothing_else(self):
        one = self.start()
        self.assertRegex(one.line, r"^banyand: http://127\.0\.0\.1:\d+\n$")
        self.assertEqual(one.get("/healthz").body, "ok\n")
        self.assertEqual(one.get("/readyz").status, 200)
        self.assertEqual(one.stop(), 0)
        self.assertEqual(one.process.stdout.read(), b"")

    def test_an_interrupt_ends_it_in_order_too(self):
        self.assertEqual(self.start().stop(signal.SIGINT), 0)

    def test_help_and_version(self):
        told_help = banyand("--help")
        self.assertEqual((told_help.returncode, told_help.stderr), (0, ""))
        for word in ("--listen", "--data-dir", "--token-file", "--sync", "Examples:"):
            self.assertIn(word, told_help.stdout)
        self.assertRegex(banyand("--version").stdout, r"^banyand \d+\.\d+\.\d+\n$")

    def test_wrong_options(self):
        for words, names in [
            (["--lisen", "127.0.0.1:0"], "did you mean --listen?"),
            (["--listen", "nowhere:x"], "nowhere:x"),
            (["--listen", "127.0.0.1:65536"], "127.0.0.1:65536"),
            (["--listen", "0.0.0.0:0"], "token"),
            (["--listen", "not-an-address:0"], "not-an-address"),
            (["--concurrency", 0], "--concurrency"),
            (["--max-queue", "many"], "many"),
            (["--device", "tpu"], "tpu"),
            (["--dtype", "int8"], "int8"),
            (["--sync", "never"], "never"),
            (["--drain", -1], "--drain"),
            (["--log-level", "loud"], "loud"),
            (["--log-format", "xml"], "xml"),
            (["--user", "nobody-of-that-name"], "nobody-of-that-name"),
            (["left over"], "left over"),
        ]:
            with self.subTest(words=words):
                self.fails(2, *words, names=names)

    def test_a_wrong_config_file(self):
        for text, names in [("lisen = 127.0.0.1:0\n", "lisen"), ("concurrency = none\n", "none"), ("nonsense\n", "c.conf")]:
            with self.subTest(text=text):
                self.fails(2, "--config", self.write("c.conf", text), names=names)
        self.fails(3, "--config", self.folder / "nowhere.conf", names="nowhere.conf")

    def test_a_token_that_cannot_be_had(self):
        for name, text in [("empty", ""), ("short", "abc\n")]:
            with self.subTest(name=name):
                self.fails(3, "--token-file", self.write(name, text), names=name)
        self.fails(3, "--token-file", self.folder / "nowhere", names="nowhere")
        self.fails(3, "--token-file", self.folder, names=str(self.folder))

    def test_a_model_that_is_missing_or_damaged(self):
        self.fails(3, "--model", self.folder / "nowhere", names="nowhere")
        for name, size in [("model.safetensors", 1000), ("config.json", 20), ("tokenizer.json", 20)]:
            with self.subTest(name=name):
                model = self.folder / "model"
                shutil.copytree(MODEL, model, dirs_exist_ok=True)
                os.truncate(model / name, size)
                self.fails(3, "--model", model, names=name)
                shutil.rmtree(model)

    def test_a_port_in_use(self):
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            self.fails(3, "--listen", f"127.0.0.1:{port}", names=f"127.0.0.1:{port}")

    def test_a_folder_in_use_and_free_again(self):
        first = self.start()
        self.fails(3, names=str(first.data))
        first.kill()
        self.start()

    def test_a_folder_that_cannot_be(self):
        self.write("file", "")
        self.fails(3, "--data-dir", self.folder / "file" / "data", names="data")

    def test_a_store_that_is_damaged(self):
        whole = self.start()
        for _ in range(4):
            whole.solve(body(0))
        self.assertEqual(whole.stop(), 0)
        store = whole.data / "trees.db"
        good = store.read_bytes()
        self.fails_with_store(store, b"This is not a database, but it is long enough to be one.\n" * 100)
        self.fails_with_store(store, good[:30000])
        store.write_bytes(good)
        self.assertEqual(len(self.start().all_trees()), 4)

    def fails_with_store(self, store, content):
        store.write_bytes(content)
        self.fails(3, names="trees.db")

    def test_the_printed_config_says_the_same_once_more(self):
        words = ["--listen", "127.0.0.1:0", "--data-dir", self.folder / "data of mine", "--model", MODEL, "--concurrency",
                 7, "--sync", "normal", "--keep-days", 1.5, "--log-format", "json", "--max-queue", 3, "--device", "cpu",
                 "--requests-per-second", 12.5, "--drain", 0]
        first = banyand("--print-config", *words)
        self.assertEqual((first.returncode, first.stderr), (0, ""))
        self.assertRegex(first.stdout, r"(?m)^concurrency *= *7$")
        file = self.write("banyand.conf", first.stdout)
        self.assertEqual(banyand("--print-config", "--config", file).stdout, first.stdout)
        one = subprocess.Popen([BANYAND, "--config", file], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
        try:
            self.assertRegex(one.stdout.readline(), "^banyand: http://")
            one.terminate()
            said, log = one.communicate(timeout=PATIENCE)
        finally:
            one.kill()
        self.assertEqual((one.returncode, said), (0, ""))
        for line in log.splitlines():
            json.loads(line)
        self.assertTrue((self.folder / "data of mine" / "trees.db").exists())

    def test_the_folder_is_for_its_owner_alone(self):
        one = self.start()
        self.assertEqual(one.data.stat().st_mode & 0o777, 0o700)


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

    def test_a_part_is_paused_and_the_rest_goes_on(self):
        name = self.caught(0, "spawn", self.act("pause", "/0"))
        wait_for(lambda: self.daemon.status()["threads"]["decoding"] == 0, "the others have not ended")
        states = {t["path"]: t["state"] for t in self.daemon.tree(name)["threads"]}
        self.assertEqual((states.pop("/"), states.pop("/0")), ("waiting", "paused"))
        self.assertLessEqual(set(states.values()), set(ENDED))
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

    def test_ids_rise_and_none_is_told_twice(self):
        name = self.daemon.submit(body(0))
        first = self.daemon.stream(f"/v1/trees/{name}/events")
        ids = [e.id for e in at_first(first, "spawn") if e.id]
        first.close()
        ids += [e.id for e in self.daemon.stream(f"/v1/trees/{name}/events", last=first.last) if e.id]
        numbers = [int(i.rsplit("-", 1)[1]) for i in ids]
        self.assertEqual(numbers[:-1], sorted(set(numbers[:-1])))

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
            heard = {e.data["thread"] for e in seen if e.data["tree"] == name and e.name == "thread"}
            self.assertEqual(heard, {t["path"] for t in tree["threads"]})

    def test_pauses_are_told(self):
        name = self.daemon.submit(body(0))
        with contextlib.closing(self.daemon.stream(f"/v1/trees/{name}/events")) as watched:
            seen = at_first(watched, "text", 2)
            if self.daemon.post(f"/v1/trees/{name}/pause").status != 200:
                self.skipTest("the tree was quicker")
            self.daemon.post(f"/v1/trees/{name}/resume")
            seen += watched
        states = [e.data["state"] for e in seen if e.name == "tree"]
        self.assertEqual(states[-2:], ["paused", "running"])
        self.assertEqual(self.texts_of(name)["/"], {t["path"]: t["text"].encode() for t in undisturbed(0)["threads"]}["/"])

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


# ---- what is told to operators


class metrics_page:
    def __init__(self, text):
        self.kinds, self.samples, self.helped = {}, {}, set()
        for line in text.splitlines():
            if line.startswith("# HELP "):
                name = line.split(" ", 3)[2]
                assert name not in self.helped, name
                self.helped.add(name)
            elif line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                assert name not in self.kinds and kind in ("gauge", "counter", "histogram"), line
                self.kinds[name] = kind
            elif line:
                found = re.fullmatch(r"([a-z_]+)(\{.*\})? (\S+)", line)
                assert found, line
                labels = dict(re.findall(r'([a-z_]+)="((?:[^"\\]|\\.)*)"', found[2] or ""))
                key = (found[1], tuple(sorted(labels.items())))
                assert key not in self.samples, line
                self.samples[key] = float(found[3])

    def value(self, name, **labels):
        return self.samples[name, tuple(sorted(labels.items()))]


class looking_inside(daemon_case):
    def test_figures_agree_wherever_they_stand(self):
        one = self.start("--concurrency", 4)
        side_by_side(one.solve, [body(i) for i in range(6)] + [body(0, budget={"max_tokens": 5})])
        one.get("/v1/nothing")
        page = metrics_page(one.get("/metrics").body)
        now = one.status()
        for name, kind in page.kinds.items():
            self.assertIn(name, page.helped)
            self.assertEqual(name.endswith("_total"), kind == "counter", name)
        for name in ("accepted", "finished", "solved", "failed", "cancelled"):
            self.assertEqual(page.value(f"banyan_trees_{name}_total"), now["trees"][name])
        self.assertEqual(now["trees"]["finished"], 7)
        self.assertEqual(page.value("banyan_tree_failures_total", failure="budget_spent"), 1)
        self.assertEqual(page.value("banyan_generated_tokens_total"), now["tokens"]["generated"])
        self.assertEqual(page.value("banyan_store_trees", state="finished"), now["store"]["finished"])
        for name in ("queued", "decoding", "waiting", "paused"):
            self.assertEqual(page.value("banyan_threads", state=name), now["threads"][name])
        pool = now["pools"][0]
        for name in ("steps", "generated_tokens", "prompt_tokens", "cached_tokens"):
            self.assertEqual(page.value(f"banyan_pool_{name}_total", pool=pool["name"]), pool[name])
        self.assertEqual(page.value("banyan_http_requests_total", method="POST", path="/v1/trees", status="200"), 7)
        self.assertEqual(page.value("banyan_http_requests_total", method="GET", path="other", status="404"), 1)
        for name in (n for n, kind in page.kinds.items() if kind == "histogram"):
            self.whole_histogram(page, name)

    def whole_histogram(self, page, name):
        rows = {}
        for (sample, labels), value in page.samples.items():
            if sample == f"{name}_bucket":
                rest = tuple(pair for pair in labels if pair[0] != "le")
                rows.setdefault(rest, []).append((float(dict(labels)["le"]), value))
        self.assertTrue(rows, name)
        for labels, buckets in rows.items():
            values = [value for _, value in sorted(buckets)]
            self.assertEqual(values, sorted(values))
            self.assertEqual(sorted(buckets)[-1][0], float("inf"))
            self.assertEqual(page.samples[f"{name}_count", labels], values[-1])

    def test_it_uses_no_processor_when_there_is_nothing_to_do(self):
        one = self.start()
        side_by_side(one.solve, map(body, range(4)))
        time.sleep(0.5)
        watched = one.stream("/v1/events")
        before, began = one.cpu_s(), time.monotonic()
        time.sleep(3)
        share = (one.cpu_s() - before) / (time.monotonic() - began)
        watched.close()
        self.assertLess(share, 0.03)

    def test_log_lines_are_json_and_name_their_tree(self):
        one = self.start("--log-format", "json", "--log-level", "debug")
        name = one.solve(body(0))["id"]
        one.post(f"/v1/trees/{name}/cancel")
        self.assertEqual(one.stop(), 0)
        lines = [json.loads(line) for line in one.log().splitlines()]
        for line in lines:
            self.assertRegex(line["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
            self.assertIn(line["level"], ("error", "warning", "info", "debug"))
        about = [line["message"] for line in lines if line.get("tree") == name]
        self.assertTrue(any(m.startswith("POST /v1/trees 200") for m in about), about)
        self.assertTrue(any(m.startswith(f"POST /v1/trees/{name}/cancel 409") for m in about), about)

    def test_logs_are_as_loud_as_asked_for(self):
        one = self.start("--log-level", "error")
        one.get("/v1/nothing")
        one.stop()
        self.assertEqual(one.log(), "")


# ---- options that change


class changing(daemon_case):
    def read_again(self, one):
        known = one.log().count("the config")
        one.process.send_signal(signal.SIGHUP)
        wait_for(lambda: one.log().count("the config") > known, "the config was not read")

    def test_a_new_token_takes_the_place_of_the_old_one(self):
        old, new = "an-old-token-of-some-length", "a-new-token-of-some-length"
        file = self.write("token", old + "\n")
        one = self.start("--token-file", file)
        self.assertEqual(one.get("/healthz").status, 200)
        self.assertEqual(one.get("/v1/status").status, 401)
        one.token = old
        self.assertEqual(one.get("/v1/status").status, 200)
        file.write_text(new + "\n")
        self.assertEqual(one.get("/v1/status").status, 200)
        self.read_again(one)
        self.refused(one.get("/v1/status"), 401, "unauthorized")
        one.token = new
        self.assertEqual(one.get("/v1/status").status, 200)

    def test_a_file_without_a_token_changes_nothing(self):
        file = self.write("token", "a-token-of-some-length\n")
        one = self.start("--token-file", file)
        one.token = "a-token-of-some-length"
        file.write_text("")
        self.read_again(one)
        self.assertIn("stays as it was", one.log())
        self.assertEqual(one.get("/v1/status").status, 200)
        one.token = None
        self.assertEqual(one.get("/v1/status").status, 401)

    def test_the_log_becomes_as_loud_as_the_config_says(self):
        config = self.write("banyand.conf", "log-level = info\n")
        one = self.start("--config", config)
        one.get("/v1/status")
        self.assertNotIn("/v1/status", one.log())
        config.write_text("log-level = debug\n")
        self.read_again(one)
        one.get("/v1/status")
        self.assertIn("GET /v1/status 200", one.log())
        config.write_text("log-level = quiet\n")
        self.read_again(one)
        self.assertIn("stays as it was", one.log())
        one.get("/v1/pools")
        self.assertIn("GET /v1/pools 200", one.log())

    def test_rates_and_retention_change_too(self):
        config = self.write("banyand.conf", "")
        one = self.start("--config", config)
        self.assertTrue(all(one.get("/v1/models").status == 200 for _ in range(20)))
        config.write_text("requests-per-second = 1\n")
        self.read_again(one)
        given = [one.get("/v1/models") for _ in range(20)]
        self.assertIn(429, [g.status for g in given])
        limited = next(g for g in given if g.status == 429)
        self.refused(limited, 429, "too_many_requests")
        self.assertRegex(limited.headers["Retry-After"], r"^\d+$")


# ---- end


class ending(daemon_case):
    def test_what_was_cut_off_goes_on_after_a_restart(self):
        numbers = range(8)
        one = self.start("--drain", 0, "--concurrency", 5)
        names = [one.submit(body(i)) for i in numbers]
        with contextlib.closing(one.stream(f"/v1/trees/{names[0]}/events")) as watched:
            at_first(watched, "spawn")
        self.assertEqual(one.stop(), 0)
        self.assertIn("kept for the next start", one.log())
        again = self.start()
        for number, name in zip(numbers, names):
            self.same_texts(again.finished(name), undisturbed(number))
        self.assertEqual(sorted(t["id"] for t in again.all_trees()), sorted(names))

    def test_it_waits_for_trees_as_long_as_it_was_told(self):
        one = self.start("--drain", 60)
        names = [one.submit(body(i)) for i in range(3)]
        self.assertEqual(one.stop(), 0)
        self.assertNotIn("kept for the next start", one.log())
        again = self.start()
        self.assertEqual({again.tree(n)["state"] for n in names} - {*ENDED}, set())

    def test_clients_that_wait_are_told_that_it_ends(self):
        one = self.start("--drain", 0, "--concurrency", 2)
        given = []
        clients = [threading.Thread(target=lambda i=i: given.append(one.post("/v1/trees", body(i)))) for i in range(12)]
        for client in clients:
            client.start()
        wait_for(lambda: one.status()["trees"]["accepted"] == 12, "not all are there")
        watched = one.stream("/v1/events")
        self.assertEqual(one.stop(), 0)
        list(watched)  # the stream has an end
        for client in clients:
            client.join()
        statuses = [g.status for g in given]
        self.assertEqual(len(statuses), 12)
        self.assertLessEqual(set(statuses), {200, 503})
        self.assertGreater(statuses.count(503), 5)
        for g in given:
            if g.status == 503:
                self.refused(g, 503, "unavailable")
                self.assertRegex(g.headers["Retry-After"], r"^\d+$")

    def test_a_paused_tree_does_not_hold_it_up_and_is_paused_after_a_restart(self):
        one = self.start("--drain", 60)
        name = one.submit(body(0))
        self.assertEqual(one.post(f"/v1/trees/{name}/pause").status, 200)
        began = time.monotonic()
        self.assertEqual(one.stop(), 0)
        self.assertLess(time.monotonic() - began, 30)
        again = self.start()
        self.assertEqual(again.tree(name)["state"], "paused")
        self.assertEqual(again.post(f"/v1/trees/{name}/resume").status, 200)
        self.same_texts(again.finished(name), undisturbed(0))

    def test_a_second_signal_ends_the_waiting(self):
        one = self.start("--drain", 600, "--concurrency", 1)
        for i in range(200):
            one.submit(body(i))
        one.process.send_signal(signal.SIGTERM)
        wait_for(lambda: "no more work is taken" in one.log(), "it does not end")
        self.refused(one.post("/v1/trees", {**body(0), "wait": False}), 503, "unavailable")
        self.assertEqual(one.stop(), 0)
        self.assertIn("kept for the next start", one.log())


# ---- the service manager


class manager(daemon_case):
    def listen(self, name):
        told_here = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(told_here.close)
        told_here.settimeout(PATIENCE)
        told_here.bind(name)
        return told_here

    def heard(self, told_here, word):
        """What is said from now on until that word."""
        said = []
        while not any(line == word or line.startswith(word + "=") for line in said):
            said += told_here.recv(4096).decode().splitlines()
        return said

    def test_the_manager_hears_of_begin_life_and_end(self):
        path = str(self.folder / "notify")
        told_here = self.listen(path)
        one = self.start(environment={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "200000"})
        begin = self.heard(told_here, "READY")
        self.assertIn("READY=1", begin)
        self.assertIn(f"STATUS=serving {one.url}", begin)
        began = time.monotonic()
        for _ in range(3):
            self.heard(told_here, "WATCHDOG")
        self.assertLess(time.monotonic() - began, 10)
        one.process.send_signal(signal.SIGHUP)
        self.heard(told_here, "RELOADING")
        self.heard(told_here, "READY")
        one.process.send_signal(signal.SIGTERM)
        self.heard(told_here, "STOPPING")
        self.assertEqual(one.wait(), 0)

    def test_an_abstract_socket_does_as_well(self):
        name = f"banyand-test-{os.getpid()}"
        told_here = self.listen("\0" + name)
        self.start(environment={"NOTIFY_SOCKET": "@" + name})
        self.assertIn("READY=1", self.heard(told_here, "READY"))

    def test_a_manager_that_is_not_there_is_no_trouble(self):
        one = self.start(environment={"NOTIFY_SOCKET": str(self.folder / "nobody"), "WATCHDOG_USEC": "1"})
        self.assertEqual(one.get("/healthz").status, 200)
        self.assertEqual(one.stop(), 0)


if __name__ == "__main__":
    unittest.main()
