"""Headless Chromium, told what to do over a pipe (its DevTools protocol)."""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest


def chromium() -> str:
    """Path of the browser; the test is skipped where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("chromium is not installed (Debian: apt-get install chromium)")
    return found


class Browser:
    """One page of a headless Chromium. `trouble` collects errors of the console and exceptions."""

    def __init__(self, profile: Path, size: tuple[int, int] = (1400, 1000)) -> None:
        command = [
            chromium(),
            *["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--mute-audio"],
            *["--disable-background-networking", "--disable-component-update", "--disable-sync"],
            *["--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe"],
            f"--user-data-dir={profile}",
            "--window-size={},{}".format(*size),
            "about:blank",
        ]
        (there, self._out), (self._in, back) = os.pipe(), os.pipe()
        # out of the way of 3 and 4, where Chromium reads and writes
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 20) for end in (there, back)]

        def place() -> None:
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)

        self.process = subprocess.Popen(
            command,
            preexec_fn=place,
            pass_fds=(3, 4),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in (there, back, *ends):
            os.close(end)
        self._buffer, self._number, self.trouble = b"", 0, list[str]()
        self._session: str | None = None
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(target for target in targets if target["type"] == "page")
        attach = {"targetId": page["targetId"], "flatten": True}
        self._session = self.call("Target.attachToTarget", attach)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def close(self) -> None:
        """End the browser and all of its processes."""
        self._session = None
        self.call("Browser.close")
        self.process.wait(20)
        os.close(self._in)
        os.close(self._out)

    def call(self, method: str, parameters: dict[str, Any] | None = None) -> Any:
        """One command; its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters or {}}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            found = self._next(60.0)
            if found.get("id") == self._number:
                assert "error" not in found, f"{method}: {found['error']}"
                return found["result"]

    def _next(self, seconds: float) -> dict[str, Any]:
        end = time.monotonic() + seconds
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(0.0, end - time.monotonic()))
            assert ready, "the browser does not answer"
            self._buffer += os.read(self._in, 1 << 20)
        line, _, self._buffer = self._buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(line)
        self._note(found)
        return found

    def _note(self, found: dict[str, Any]) -> None:
        told = found.get("params", {})
        if found.get("method") == "Log.entryAdded" and told["entry"]["level"] == "error":
            self.trouble.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")
        elif found.get("method") == "Runtime.exceptionThrown":
            details = told["exceptionDetails"]
            self.trouble.append(details.get("exception", details).get("description", str(details)))
        elif found.get("method") == "Runtime.consoleAPICalled" and told["type"] == "error":
            self.trouble.append(json.dumps(told["args"])[:500])

    def open(self, address: str) -> None:
        """Go to an address."""
        self.call("Page.navigate", {"url": address})

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression; promises are awaited."""
        found = self.call(
            "Runtime.evaluate",
            {"expression": expression, "returnByValue": True, "awaitPromise": True},
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def until(self, expression: str, seconds: float = 60.0) -> Any:
        """Wait until an expression is true; its value."""
        end = time.monotonic() + seconds
        while True:
            value = self.ask(expression)
            if value or time.monotonic() > end:
                assert value, f"{expression} stayed {value!r}; console: {self.trouble}"
                return value
            time.sleep(0.1)

    def press(self, key: str) -> None:
        """Press a key, as a user would."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", {"type": kind, "key": key, "code": key})

    def screenshot(self, path: Path) -> None:
        """The window as PNG."""
        path.write_bytes(b64decode(self.call("Page.captureScreenshot")["data"]))
