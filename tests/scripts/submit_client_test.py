#!/usr/bin/env python3
"""submit_client_test.py BANYAN [TEST…]: problems are submitted, and waited for."""

import json
import tempfile
import threading
import time
import unittest

from client_case import client_case, daemon_at, tree
from daemon import PATIENCE


class submitting(client_case):
    def setUp(self):
        super().setUp()
        self.bodies = []

        def accept(r):
            self.bodies.append(r.body)
            return 202, {"id": f"T{len(self.bodies)}"}
        self.answers["POST /v1/trees"] = accept

    def test_ids_are_printed(self):
        self.assertEqual(self.works("submit", "--target", 54, 25, 7, 3), "T1\n")
        self.assertEqual(self.bodies, [{"wait": False, "problem": {"numbers": [25, 7, 3], "target": 54}}])
        self.assertEqual(self.works("submit", "--target", 54, 25, 7, 3, "--json"), '{"id":"T2"}\n')

    def test_only_what_was_asked_for_is_sent(self):
        self.works("submit", "--target", 54, 25, 7, 3, "--temperature", 0.7, "--top-k", 5, "--seed", 18446744073709551615, "--max-tokens", 99,
                   "--deadline", 1.5, "--join", "k_of_n:2", "--children", 3, "--labels", "run=a", "user=b c")
        self.assertEqual(self.bodies[0], {
            "sampling": {"temperature": 0.7, "top_k": 5, "seed": 18446744073709551615}, "budget": {"max_tokens": 99, "deadline_s": 1.5},
            "join": "k_of_n:2", "children": 3, "labels": {"run": "a", "user": "b c"}, "wait": False,
            "problem": {"numbers": [25, 7, 3], "target": 54}})

    def test_a_token_budget_is_sent_and_stands_alone(self):
        self.works("submit", "--target", 54, 25, 7, 3, "--token-budget", 512)
        self.assertEqual(self.bodies[0]["token_budget"], 512)
        self.assertNotIn("children", self.bodies[0])
        self.refused(2, "submit", "--target", 54, 25, 7, 3, "--token-budget", 512, "--children", 3,
                     says="--token-budget: --children is given too")
        self.assertEqual(len(self.bodies), 1)

    def problems(self):
        file = self.folder / "p.jsonl"
        file.write_text('{"nums": [25, 7, 3], "target": 54}\n{"nums": [1, 2], "target": 3}\n')
        return file

    def test_waiting_prints_results_in_the_order_of_the_problems(self):
        states = iter(["queued", "running", "running", "done"])
        self.answers["GET /v1/trees/T1"] = lambda r: tree(state=next(states))
        self.answers["GET /v1/trees/T2"] = tree("T2", problem={"numbers": [1, 2], "target": 3})
        out = self.works("submit", "--problems", self.problems(), "--wait", "--quiet")
        self.assertEqual([line.split(": ")[0] for line in out.splitlines()[::2]], ["25, 7, 3 -> 54", "1, 2 -> 3"])
        self.assertIn("(verified)", out)
        self.assertEqual(len(self.bodies), 2)

    def test_what_stays_unsolved_is_told_by_the_exit_code(self):
        self.answers["GET /v1/trees/T1"] = tree()
        self.answers["GET /v1/trees/T2"] = tree("T2", "failed", solved=False, failure="deadline")
        lines = self.works("submit", "--problems", self.problems(), "--wait", "--json", "--quiet", code=1).splitlines()
        self.assertEqual([json.loads(line)["outcome"]["solved"] for line in lines], [True, False])

    def while_it_is_there(self, id):
        """The tree runs until the daemon leaves; set once it was asked for."""
        asked = threading.Event()
        self.here = True
        self.answers[f"GET /v1/trees/{id}"] = lambda r: asked.set() or (tree(id, "running") if self.here else None)
        return asked

    def leave(self):
        """With it go the connections that stand."""
        self.here = False
        self.daemon.close()

    def test_a_daemon_that_begins_anew_is_waited_for(self):
        """The ids are known before it goes away."""
        asked = self.while_it_is_there("T1")
        run = self.start("submit", "--problems", self.problems(), "--wait")
        self.assertEqual([run.stderr.readline() for _ in range(2)], ["banyan: T1: 25, 7, 3 -> 54\n", "banyan: T2: 1, 2 -> 3\n"])
        self.assertTrue(asked.wait(PATIENCE))
        self.leave()
        answers = {"GET /v1/trees/T1": (503, {"error": {"message": "the daemon: it is not ready yet; try again"}}), "GET /v1/trees/T2": tree("T2")}
        second = daemon_at(self.daemon.server.server_address[1], answers)
        self.addCleanup(second.close)
        deadline = time.monotonic() + PATIENCE
        while not second.asked("/v1/trees/T1"):
            self.assertIsNone(run.poll())
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        second.answers["GET /v1/trees/T1"] = tree()
        out, _ = run.communicate(timeout=PATIENCE)
        self.assertEqual((run.returncode, out.count("(verified)")), (0, 2))

    def test_a_daemon_that_is_gone_for_good(self):
        asked = self.while_it_is_there("T1")
        run = self.start("submit", "--target", 54, 25, 7, 3, "--wait", "--timeout", 0.3)
        self.assertTrue(asked.wait(PATIENCE))
        self.leave()
        _, errors = run.communicate(timeout=PATIENCE)
        self.assertEqual(run.returncode, 3)
        self.assertIn("no daemon answers there", errors)

    def test_a_full_queue_is_waited_for(self):
        accept, tries = self.answers["POST /v1/trees"], []

        def busy(r):
            tries.append(time.monotonic())
            if len(tries) < 3:
                return 429, {"error": {"code": "full", "message": "the queue: it is full; try again"}}, {"Retry-After": "0.1"}
            return accept(r)
        self.answers["POST /v1/trees"] = busy
        self.assertEqual(self.works("submit", "--target", 54, 25, 7, 3, "--quiet"), "T1\n")
        self.assertGreater(tries[2] - tries[0], 0.2)

    def test_a_queue_that_stays_full_is_waited_for_as_long_as_for_an_answer(self):
        accept, room = self.answers["POST /v1/trees"], [1]

        def full(r):
            if room:
                room.pop()
                return accept(r)
            return 429, {"error": {"code": "full", "message": "the queue: it is full; try again later"}}, {"Retry-After": "1000"}
        self.answers["POST /v1/trees"] = full
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as problems:
            problems.write('{"nums": [25, 7, 3], "target": 54}\n' * 2)
            problems.flush()
            done = self.banyan("submit", "--problems", problems.name, "--timeout", 0.3)
        self.assertEqual((done.returncode, done.stdout), (2, "T1\n"))
        self.assertEqual(done.stderr.splitlines()[-1], "banyan: the queue: it is full; try again later (tree T1 it has taken before)")

    def test_results_are_waited_for_where_requests_are_rationed(self):
        whole, tries = tree(), []

        def rationed(r):
            tries.append(r)
            if len(tries) % 2 == 1:
                return 429, {"error": {"code": "too_many_requests", "message": "127.0.0.1: too many requests; ask more slowly"}}, {"Retry-After": "0.1"}
            return whole
        self.answers["GET /v1/trees/T1"] = rationed
        self.assertIn("54", self.works("submit", "--target", 54, 25, 7, 3, "--wait", "--quiet"))

    def test_a_problem_that_the_daemon_refuses(self):
        self.answers["POST /v1/trees"] = (400, {"error": {"code": "bad_request", "message": "problem.numbers: the model knows three; give three",
                                                          "field": "problem.numbers"}})
        self.refused(2, "submit", "--target", 10, 1, 2, 3, 4, says="banyan: problem.numbers: the model knows three")
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as problems:
            problems.write('{"nums": [25, 7, 3, 4], "target": 54}\n' * 2)
            problems.flush()
            self.refused(2, "submit", "--problems", problems.name, says=f"banyan: {problems.name}: line 1: problem.numbers: the model knows three")


if __name__ == "__main__":
    unittest.main(verbosity=2)
