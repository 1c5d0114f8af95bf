"""What tests of a daemon share."""

import functools
import re
import threading

from daemon import body, daemon, scratch_folder, told, wait_for
from program_case import PROGRAM as BANYAND, program_case


class daemon_case(program_case):
    def start(self, *words, **more):
        """A daemon that ends with the test."""
        started = daemon(BANYAND, self.folder, *words, **more)
        self.addCleanup(started.kill)
        return started

    def refused(self, given, status, code):
        self.assertEqual((given.status, given.error["code"]), (status, code), given)
        self.assertIn("; ", given.error["message"])
        return given

    def says(self, given, status, message):
        self.assertEqual((given.status, given.error["message"]), (status, message), given)

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


@functools.cache
def undisturbed(number):
    """The tree as it grows where nobody interferes."""
    with scratch_folder() as folder, daemon(BANYAND, folder) as one:
        return one.solve(body(number))


def at_first(watched, name, count=1):
    """Reads until so many events of that name have come; the events."""
    seen = []
    for e in watched:
        seen.append(e)
        count -= e.name == name
        if count == 0:
            break
    return seen


def waiting_clients(one, count):
    """Clients that wait for a tree each, once many run; returns what joins them and gives their answers."""
    answers = []
    clients = [threading.Thread(target=lambda i=i: answers.append(
        one.post("/v1/trees", {**body(i), "sampling": {"temperature": 1, "seed": i}}))) for i in range(count)]
    for client in clients:
        client.start()
    wait_for(lambda: one.status()["trees"]["running"] > 10, "the trees do not run", pause=0.005)

    def join():
        for client in clients:
            client.join()
        return answers

    return join


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
