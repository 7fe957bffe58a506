"""A page in headless Chromium, driven over a pipe by the DevTools protocol; nothing to install."""

import json
import os
import shutil
import subprocess
import time
from contextlib import contextmanager

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--remote-debugging-pipe",
    "--no-first-run",
    "--hide-scrollbars",
)
KEYS = {"Enter": ("\r", 13), "Space": (" ", 32), "Tab": ("", 9)}  # what they type, their numbers


def find_browser():
    return next(filter(None, map(shutil.which, NAMES)), None)


class Page:
    """An open page.

    Attributes:
        complaints: Warnings and errors of its scripts, exceptions, and errors of the browser.
        requests: The addresses that it has asked for.
    """

    def __init__(self, commands, answers):
        self._commands, self._answers = commands, answers
        self._number, self._rest, self._session = 0, b"", None
        self.complaints, self.requests = [], []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method, **params):
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer["error"]
                return answer["result"]

    def resize(self, width, height=900, *, dark=False):
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, path, *, scripts=True):
        """Loads a file; returns the milliseconds until it was loaded."""
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.call("Page.navigate", url=path.resolve().as_uri())
        if not scripts:
            time.sleep(1)
            return None
        self.wait_for("document.readyState == 'complete' && location.protocol == 'file:'")
        return self.value("performance.getEntriesByType('navigation')[0].loadEventEnd")

    def value(self, expression):
        found = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait_for(self, expression, seconds=60):
        until = time.monotonic() + seconds
        while not self.value(expression):
            assert time.monotonic() < until, f"never {expression}"
            time.sleep(0.1)

    def move(self, x, y):
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def press(self, key):
        text, number = KEYS.get(key, ("", 0))
        for kind in ("keyDown", "keyUp"):
            known = {"text": text} if text and kind == "keyDown" else {}
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=text or key,
                code=key,
                windowsVirtualKeyCode=number,
                **known,
            )

    def screenshot(self, *, whole=False):
        options = {"captureBeyondViewport": True} if whole else {}
        if whole:
            size = self.call("Page.getLayoutMetrics")["cssContentSize"]
            options["clip"] = {**size, "scale": 1}
        return self.call("Page.captureScreenshot", format="png", **options)["data"]

    def _read(self):
        while b"\0" not in self._rest:
            more = os.read(self._answers, 2**20)
            assert more, "the browser has gone"
            self._rest += more
        message, _, self._rest = self._rest.partition(b"\0")
        event = json.loads(message)
        method, params = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.complaints.append(params["exceptionDetails"])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.complaints.append(params["args"])
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.complaints.append(params["entry"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        return event


@contextmanager
def browsing(profile):
    """A page of a browser that keeps what it writes in the directory `profile`."""
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()

    def connect():
        os.dup2(theirs_in, 3)
        os.dup2(theirs_out, 4)

    browser = subprocess.Popen(
        [find_browser(), *FLAGS, f"--user-data-dir={profile}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(3, 4),
        preexec_fn=connect,
    )
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        yield Page(ours_out, ours_in)
    finally:
        browser.terminate()
        browser.wait(20)
        os.close(ours_out)
        os.close(ours_in)
