#!/usr/bin/env python3
"""begin_daemon_test.py BANYAND [TEST…]: a real daemon's begin: options, tokens, models, folders."""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import unittest

from daemon import ENVIRONMENT, MODEL, PATIENCE, body
from daemon_case import BANYAND, daemon_case


def banyand(*words):
    """To its end."""
    return subprocess.run([BANYAND, *map(str, words)], capture_output=True, text=True, timeout=PATIENCE,
                          stdin=subprocess.DEVNULL, env=ENVIRONMENT)


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
        for word in ("--listen", "--data-dir", "--token-file", "16 characters", "--sync", "Examples:"):
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
            (["--threads", 100000], "--threads"),
            (["--device", "tpu"], "tpu"),
            (["--dtype", "int8"], "int8"),
            (["--sync", "never"], "never"),
            (["--drain", -1], "--drain"),
            (["--keep-megabytes", 18446744073710], "18446744073710"),
            (["--log-level", "loud"], "loud"),
            (["--log-format", "xml"], "xml"),
            (["--user", "nobody-of-that-name"], "nobody-of-that-name"),
            (["left over"], "left over"),
        ]:
            with self.subTest(words=words):
                self.fails(2, *words, names=names)

    def test_a_wrong_config_file(self):
        for text, names in [("lisen = 127.0.0.1:0\n", "lisen"), ("concurrency = none\n", "none"), ("nonsense\n", "c.conf"),
                            ("drain = 1\ndrain = 2\n", "drain"), ("print-config = true\n", "print-config"), ("config = x\n", "config")]:
            with self.subTest(text=text):
                self.fails(2, "--config", self.write("c.conf", text), names=names)
        self.fails(3, "--config", self.folder / "nowhere.conf", names="nowhere.conf")

    def test_a_token_that_cannot_be_had(self):
        for name, text in [("empty", ""), ("short", "x" * 15 + "\n"), ("words", "a-token-that-is-long and more\n"),
                           ("bell", "a-token-that-is-long\a\n"), ("lines", "a-token-that-is-long\nand-another-one\n")]:
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

    def test_the_printed_config_names_what_is_not_set(self):
        given = banyand("--print-config", "--data-dir", self.folder)
        for name in ("model", "device", "token-file", "user"):
            self.assertRegex(given.stdout, f"(?m)^# {name} =")
        again = banyand("--print-config", "--config", self.write("banyand.conf", given.stdout))
        self.assertEqual((again.returncode, again.stdout), (0, given.stdout))

    def test_the_config_is_printed_without_a_token(self):
        given = banyand("--print-config", "--data-dir", self.folder, "--token-file", self.folder / "nowhere")
        self.assertEqual((given.returncode, given.stderr), (0, ""))
        self.assertRegex(given.stdout, "(?m)^token-file *= *.*nowhere$")

    def test_the_folder_is_for_its_owner_alone(self):
        one = self.start()
        self.assertEqual(one.data.stat().st_mode & 0o777, 0o700)

    def test_its_files_are_for_their_owner_alone_in_any_folder(self):
        data = self.folder / "data"
        data.mkdir()
        data.chmod(0o755)
        (data / "of others").touch()
        before = os.umask(0o022)
        self.addCleanup(os.umask, before)
        one = self.start()
        one.solve(body(0))
        made = {f.name: f.stat().st_mode & 0o777 for f in data.iterdir() if f.name != "of others"}
        self.assertLessEqual({"lock", "trees.db"}, made.keys())
        self.assertEqual(set(made.values()), {0o600}, made)
        status = (pathlib.Path("/proc") / str(one.pid) / "status").read_text()
        self.assertIn("Umask:\t0077\n", status)

    @unittest.skipUnless(os.geteuid() == 0, "only root can become another user")
    def test_what_a_lock_leads_to_does_not_become_the_users(self):
        data, secret = self.folder / "data", self.write("secret", "of root")
        secret.chmod(0o600)
        self.folder.chmod(0o755)
        data.mkdir()
        shutil.chown(data, "nobody")
        (data / "lock").symlink_to(secret)
        self.fails(3, "--user", "nobody", names=str(data / "lock"))
        self.assertEqual((secret.stat().st_uid, secret.stat().st_mode & 0o777), (0, 0o600))

    @unittest.skipUnless(os.geteuid() == 0, "only root can become another user")
    def test_root_makes_a_folder_for_the_user_it_becomes(self):
        self.folder.chmod(0o755)
        model = self.folder / "model"
        shutil.copytree(MODEL, model)
        one = self.start("--user", "nobody", model=model)
        one.solve(body(0))
        owners = {f.name: f.owner() for f in [one.data, *one.data.iterdir()]}
        self.assertEqual(set(owners.values()), {"nobody"}, owners)
        self.assertEqual(one.data.stat().st_mode & 0o777, 0o700)

    def test_a_folder_that_others_use_stays_theirs(self):
        shared = self.folder / "data"
        shared.mkdir()
        shared.chmod(0o755)
        (shared / "of others").touch()
        one = self.start()
        self.assertEqual(one.data, shared)
        self.assertEqual(shared.stat().st_mode & 0o777, 0o755)


if __name__ == "__main__":
    unittest.main()
