#!/usr/bin/env python3
"""completions_daemon_test.py BANYAND [TEST…]: completions of a real model."""

import json
import time
import unittest

from daemon import MODEL, wait_for
from daemon_case import shared_case


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

    def tokens_at_rest(self):
        """The pool tells of its tokens a little later than it answers."""
        before, now = None, self.daemon.status()["pools"][0]["generated_tokens"]
        while before != now:
            time.sleep(0.1)
            before, now = now, self.daemon.status()["pools"][0]["generated_tokens"]
        return now

    def test_nothing_is_decoded_where_nothing_is_wanted(self):
        before = self.tokens_at_rest()
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
