#!/usr/bin/env python3
"""connection_client_test.py BANYAN [TEST…]: addresses, tokens, errors and connections that break."""

import http.server
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import unittest

from client_case import client_case, lists, status, tree
from daemon import PATIENCE


class connection(client_case):
    def silent_port(self):
        """Nobody listens there, and nobody else can while the test runs."""
        held = socket.socket()
        self.addCleanup(held.close)
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]

    def test_where_no_daemon_answers(self):
        url = f"http://127.0.0.1:{self.silent_port()}"
        for words in (["ps"], ["top"], ["tree", "T1"], ["tree", "T1", "--follow"], ["cancel", "T1"], ["export"],
                      ["submit", "--target", 54, 25, 7, 3]):
            with self.subTest(words=words):
                said = self.refused(3, *words, "--url", url, says=url)
                self.assertEqual(said, f"banyan: {url}: no daemon answers there; start one with `banyand`, or name another with --url\n")

    def test_https_where_http_is_spoken(self):
        self.refused(3, "ps", "--url", self.daemon.url.replace("http:", "https:"), says=["speaks no TLS", "use http://"])

    @unittest.skipUnless(shutil.which("openssl"), "needs openssl to make a certificate")
    def test_https_with_a_certificate_that_nobody_trusts(self):
        with tempfile.TemporaryDirectory() as folder:
            key, certificate = f"{folder}/key.pem", f"{folder}/certificate.pem"
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
                            "-keyout", key, "-out", certificate], check=True, capture_output=True)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
            server.socket = context.wrap_socket(server.socket, server_side=True)
            server.handle_error = lambda *_: None
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self.addCleanup(server.server_close)
            self.addCleanup(server.shutdown)
            self.refused(3, "ps", "--url", f"https://127.0.0.1:{server.server_port}", says=["certificate", "trusts"])

    def test_what_is_no_id(self):
        for words in (["tree", ""], ["tree", "../../x?y#z"], ["tree", "a/b", "--follow"], ["cancel", ""]):
            with self.subTest(words=words):
                self.refused(2, *words, says=f"'{words[1]}': it is no tree's id; `banyan ps` lists them")
        for action in ("cancel", "pause", "resume"):
            self.refused(2, action, "T1", "--thread", "", says="--thread: it is empty; give a path")

    def test_a_default_address(self):
        said = self.banyan("ps", env={"BANYAN_URL": ""}).stderr
        self.assertTrue(said == "" or "http://127.0.0.1:8427: " in said, said)

    def test_what_is_no_address(self):
        for url in ("ftp://localhost", "http://", "http://a b"):
            self.refused(2, "ps", "--url", url, says=[url, "http://127.0.0.1:8427"])

    def test_errors_of_the_api(self):
        def error(status, message, field=None):
            self.answers["GET /v1/trees/T1"] = (status, {"error": {"code": "x", "message": message, "field": field}})
        error(404, "T1: there is no such tree; `banyan ps --all` lists them")
        self.refused(2, "tree", "T1", says="T1: there is no such tree; `banyan ps")
        error(400, "it is out of range", "problem.target")
        self.refused(2, "tree", "T1", says="problem.target: it is out of range; ")
        error(409, "T1: it is finished")
        self.refused(2, "tree", "T1", says="T1: it is finished; ")
        error(404, "T1: there is no such tree; look again", "id")
        self.assertIn("banyan: T1: there is", self.refused(2, "tree", "T1", says=""))
        error(401, "the token is missing")
        self.refused(2, "tree", "T1", says="--token-file")
        error(500, "oh")
        self.refused(3, "tree", "T1", says=[self.daemon.url, "oh"])
        error(503, "the daemon: it is about to end; ask another one")
        self.refused(3, "tree", "T1", says="it is about to end")
        error(404, "two\nlines \x1b[2J; of it")
        self.assertNotIn("\x1b", self.refused(2, "tree", "T1", says="lines"))

    def test_answers_that_make_no_sense(self):
        for answer in (b"<html>", (200, b""), (200, b"[1]"), (302, b"", {"Location": "/elsewhere"})):
            self.answers["GET /v1/trees"] = answer
            self.refused(3, "ps", says=self.daemon.url)
        self.answers["GET /v1/trees"] = (502, b"Bad Gateway")
        self.refused(3, "ps", says="502")
        self.answers["GET /v1/trees"] = {"trees": [{"id": 7, "state": [], "usage": 3, "threads": "x"}, "y"]}
        self.works("ps")

    def test_connections_that_break(self):
        self.answers["GET /v1/trees"] = lambda r: None
        self.refused(3, "ps", says=[self.daemon.url, "broke off"])
        halt = threading.Event()
        self.addCleanup(halt.set)
        self.answers["GET /v1/trees"] = lambda r: halt.wait(PATIENCE) and None
        self.refused(3, "ps", "--timeout", 0.2, says=[self.daemon.url, "0.2 seconds", "--timeout"])

    def test_ctrl_c_while_the_daemon_is_silent(self):
        halt = threading.Event()
        self.addCleanup(halt.set)
        arrived = threading.Event()
        self.answers["GET /v1/trees"] = lambda r: arrived.set() or halt.wait(PATIENCE) and None
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            arrived.clear()
            run = self.start("ps")
            self.assertTrue(arrived.wait(PATIENCE))
            run.send_signal(number)
            out, errors = run.communicate(timeout=PATIENCE)
            self.assertEqual((run.returncode, out, errors), (code, "", ""))

    def test_proxies_are_not_for_this_machine(self):
        self.answers["GET /v1/trees"] = lists()
        self.works("ps", env={"http_proxy": "http://127.0.0.1:1", "ALL_PROXY": "http://127.0.0.1:1"})

    def test_which_address_counts(self):
        self.answers["GET /v1/trees"] = lists()
        config = self.folder / "banyan" / "banyan.conf"
        config.parent.mkdir()
        config.write_text(f"url = {self.daemon.url}/\n")
        nowhere = f"http://127.0.0.1:{self.silent_port()}"
        home = {"XDG_CONFIG_HOME": str(self.folder)}
        self.works("ps", env={**home, "BANYAN_URL": ""})
        self.works("ps", "--url", self.daemon.url, env={"BANYAN_URL": nowhere})
        config.write_text(f"url = {nowhere}\n")
        self.works("ps", env=home)

    def test_tokens(self):
        self.answers["GET /v1/trees"] = lists()
        file = self.folder / "token"
        file.write_text("of-the-file\n")

        def sent(*words, **env):
            self.works("ps", *words, env=env)
            return self.daemon.seen[-1].headers.get("Authorization")
        self.assertIsNone(sent())
        self.assertEqual(sent("--token-file", file), "Bearer of-the-file")
        self.assertEqual(sent(BANYAN_TOKEN="of-the-environment"), "Bearer of-the-environment")
        self.assertEqual(sent("--token-file", file, BANYAN_TOKEN="of-the-environment"), "Bearer of-the-file")
        file.write_text("two\nlines\n")
        self.refused(3, "ps", "--token-file", file, says=str(file))
        self.refused(3, "ps", "--token-file", self.folder / "nowhere", says="nowhere")

    def test_a_reader_that_leaves(self):
        self.answers["GET /v1/trees"] = lists(*(tree(f"T{i}") for i in range(3000)))
        for words in (["ps", "--all"], ["ps", "--all", "--json"], ["top", "--interval", 0.05]):
            self.answers["GET /v1/status"] = status()
            run = self.start(*words)
            run.stdout.readline()
            run.stdout.close()
            self.assertEqual(run.wait(PATIENCE), 141)
            self.assertEqual(run.stderr.read(), "")


if __name__ == "__main__":
    unittest.main(verbosity=2)
