"""A page in a headless Chromium, used as a person does. Needs nothing but Python and Debian's chromium; BANYAN_CHROMIUM names another one."""

import argparse
import base64
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import urllib.request

CHROMIUM = os.environ.get("BANYAN_CHROMIUM", "chromium")
PATIENCE_S = 60
SHORT_S = 15
options = argparse.Namespace(url="", shots=None)


class web_socket:
    """As much of RFC 6455 as the DevTools protocol needs."""

    def __init__(self, url):
        place = re.fullmatch(r"ws://([^:/]+):(\d+)(/.*)", url)
        self.socket = socket.create_connection((place[1], int(place[2])), timeout=PATIENCE_S)
        self.file = self.socket.makefile("rb")
        key = base64.b64encode(os.urandom(16)).decode()
        head = [f"GET {place[3]} HTTP/1.1", f"Host: {place[1]}:{place[2]}", "Upgrade: websocket",
                "Connection: Upgrade", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
        self.socket.sendall(("\r\n".join(head) + "\r\n\r\n").encode())
        while self.file.readline() not in (b"\r\n", b""):
            pass

    def send(self, text, kind=1):
        data = text if isinstance(text, bytes) else text.encode()
        size = len(data)
        head = bytes([0x80 | kind])
        if size < 126:
            head += bytes([0x80 | size])
        elif size < 65536:
            head += struct.pack("!BH", 0x80 | 126, size)
        else:
            head += struct.pack("!BQ", 0x80 | 127, size)
        mask = os.urandom(4)
        body = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
        self.socket.sendall(head + mask + body)

    def frame(self):
        first, second = self.file.read(2)
        size = second & 127
        if size == 126:
            (size,) = struct.unpack("!H", self.file.read(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", self.file.read(8))
        return first & 0x80, first & 15, self.file.read(size)

    def receive(self):
        message = b""
        while True:
            last, kind, data = self.frame()
            if kind == 9:
                self.send(data, 10)
            elif kind == 8:
                raise ConnectionError("the browser closed the connection")
            elif kind in (0, 1, 2):
                message += data
                if last:
                    return message.decode()

    def close(self):
        self.file.close()
        self.socket.close()


class browser:
    """One page of a headless Chromium of our own."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="banyan-page-")
        self.process = subprocess.Popen(
            [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--no-first-run", "--disable-background-networking", "--disable-component-update",
             "--disable-extensions", "--remote-debugging-port=0",
             f"--user-data-dir={self.folder}", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            start_new_session=True)
        try:
            self.socket = web_socket(self.page_url())
        except BaseException:
            self.close()
            raise
        self.calls = 0
        self.requests, self.errors = [], []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.size(1280, 800)

    def page_url(self):
        for line in self.process.stderr:
            found = re.search(r"DevTools listening on ws://([^/]+)/", line)
            if found:
                with urllib.request.urlopen(f"http://{found[1]}/json/list", timeout=PATIENCE_S) as reply:
                    pages = [target for target in json.load(reply) if target["type"] == "page"]
                return pages[0]["webSocketDebuggerUrl"]
        raise ConnectionError("chromium ended before it listened")

    def close(self):
        if hasattr(self, "socket"):
            self.socket.close()
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stderr.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def call(self, method, **params):
        self.calls += 1
        mine = self.calls
        self.socket.send(json.dumps({"id": mine, "method": method, "params": params}))
        while True:
            said = json.loads(self.socket.receive())
            if said.get("id") == mine:
                if "error" in said:
                    raise RuntimeError(f"{method}: {said['error']['message']}")
                return said["result"]
            if "method" in said:
                self.hear(said["method"], said["params"])

    def hear(self, method, params):
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.errors.append(str(params["args"]))

    def evaluate(self, script):
        said = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in said:
            details = said["exceptionDetails"]
            raise AssertionError(details.get("exception", {}).get("description", script))
        return said["result"].get("value")

    def wait(self, condition, patience_s=SHORT_S):
        """Waits until a JavaScript expression holds; returns its value."""
        value = self.evaluate(f"""new Promise((resolve) => {{
            const end = performance.now() + {1000 * patience_s};
            const look = () => {{
              let value = null;
              try {{ value = {condition}; }} catch {{}}
              if (value || performance.now() > end) resolve(value instanceof Node || value);
              else setTimeout(look, 15);
            }};
            look();
          }})""")
        if not value:
            said = self.text("body")[:600]
            raise AssertionError(f"in vain waited for {condition}; the page says:\n{said}")
        return value

    def text(self, selector):
        return self.evaluate(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")

    def count(self, selector):
        return self.evaluate(f"document.querySelectorAll({json.dumps(selector)}).length")

    def go(self, place):
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=options.url + place)
        self.wait("document.querySelector('main h1')")

    def press(self, key):
        codes = {"Tab": 9, "Enter": 13, "Escape": 27, "End": 35, "Home": 36,
                 "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
        facts = {"key": key, "code": key, "windowsVirtualKeyCode": codes[key]}
        text = {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **facts, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **facts)

    def type_key(self, letter):
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=letter)

    def write(self, text):
        self.call("Input.insertText", text=text)

    def tab_to(self, condition, most=40):
        """Presses Tab until the expression holds for the focused element `at`."""
        for _ in range(most):
            self.press("Tab")
            if self.evaluate(f"((at) => Boolean({condition}))(document.activeElement)"):
                return
        raise AssertionError(f"Tab does not lead to {condition}")

    def click(self, selector):
        place = self.wait(f"""(() => {{
            const node = document.querySelector({json.dumps(selector)});
            node.scrollIntoView({{ block: "nearest" }});
            const box = node.getBoundingClientRect();
            return box.width && {{ x: box.x + box.width / 2, y: box.y + box.height / 2 }};
          }})()""")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **place)

    def size(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=False)

    def scheme(self, name):
        self.call("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": name},
                            {"name": "prefers-reduced-motion", "value": "reduce"}])

    def offline(self, is_offline):
        self.call("Network.emulateNetworkConditions", offline=is_offline, latency=0,
                  downloadThroughput=-1, uploadThroughput=-1)

    def shot(self, name):
        if not options.shots:
            return
        data = self.call("Page.captureScreenshot", format="png")["data"]
        (options.shots / f"{name}.png").write_bytes(base64.b64decode(data))
