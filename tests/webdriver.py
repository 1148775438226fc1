"""Firefox and WebKit as a system ships them, driven by the commands of WebDriver.

Firefox hears them on its own Marionette port, WebKitGTK by WebKitWebDriver: nothing has to be installed beside the
browsers. Chromium is driven by Playwright, which knows no other browser than those that it brings along.
"""

import itertools
import json
import os
import shutil
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.services import free_port, wait_for

FIREFOX = ("firefox-esr", "firefox")
FLAGS = ("--headless", "--no-remote", "--marionette", "--remote-allow-system-access")  # the last: to read the console
WEBKIT = ("WebKitWebDriver", "Xvfb")  # its windows need a screen, if only one in memory
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key of a reference to an element, by the standard
REQUESTS = {
    "Navigate": ("POST", "/url"),
    "Back": ("POST", "/back"),
    "Refresh": ("POST", "/refresh"),
    "GetCurrentURL": ("GET", "/url"),
    "SetWindowRect": ("POST", "/window/rect"),
    "ExecuteScript": ("POST", "/execute/sync"),
    "ElementClick": ("POST", "/element/{id}/click"),
    "ElementClear": ("POST", "/element/{id}/clear"),
    "ElementSendKeys": ("POST", "/element/{id}/value"),
}
SEEN = """const [css, text] = arguments;
return [...document.querySelectorAll(css)].find(
  (one) => (one.getClientRects().length || one.localName === "option") && one.textContent.includes(text)) || null"""
ERRORS = """return Services.console.getMessageArray().filter((one) => one instanceof Ci.nsIScriptError
  && !(one.flags & Ci.nsIScriptError.warningFlag) && one.sourceName.startsWith(arguments[0])).map(String)"""
AT_REST = """return document.readyState === "complete"
  && !document.querySelector(".htmx-request, .htmx-swapping, .htmx-settling, .htmx-added")"""


class WebDriverError(Exception):
    """The browser refused a command."""


class Tab(ABC):
    """The one tab of a browser."""

    @abstractmethod
    def command(self, name: str, **params: Any) -> Any:
        """The answer of the browser to one command of WebDriver."""

    def run(self, script: str, *arguments: Any) -> Any:
        return self.command("ExecuteScript", script=script, args=list(arguments))

    def open(self, address: str) -> None:
        self.command("Navigate", url=address)

    @property
    def address(self) -> str:
        return self.command("GetCurrentURL")

    def find(self, css: str, text: str = "", *, seconds: float = 20) -> Any:
        """The first visible element like this, waited for."""
        return wait_for(lambda: self.run(SEEN, css, text), seconds=seconds, what=f"{css} with {text!r}")

    def click(self, css: str, text: str = "") -> None:
        wait_for(lambda: self._done("ElementClick", css, text), what=f"a click on {css} {text}")

    def fill(self, css: str, text: str) -> None:
        """Type over what stands in a field."""
        wait_for(lambda: self._done("ElementClear", css), what=f"the emptying of {css}")
        self.command("ElementSendKeys", id=self.find(css)[ELEMENT], text=text)

    def _done(self, name: str, css: str, text: str = "") -> bool:
        """Whether it could be done: a fragment may take the place of the element between the two commands."""
        try:
            self.command(name, id=self.find(css, text)[ELEMENT])
        except WebDriverError:
            return False
        return True

    def settle(self) -> None:
        """Come back when every fragment that was asked for stands in the page."""
        wait_for(lambda: self.run(AT_REST), what="the end of the requests")


class Firefox(Tab):
    """A line to Marionette: `length:[0, number, command, params]` goes, `length:[1, number, error, answer]` comes."""

    def __init__(self, port: int) -> None:
        self.line = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.file = self.line.makefile("rb")
        self.numbers = itertools.count()
        self._read()  # it says who it is
        self.command("NewSession")

    def command(self, name: str, **params: Any) -> Any:
        return self._send(f"WebDriver:{name}", params)

    def complaints(self, site: str) -> list[str]:
        """The errors in its console that come from pages of `site`."""
        self._send("Marionette:SetContext", {"value": "chrome"})
        found = self.run(ERRORS, site)
        self._send("Marionette:SetContext", {"value": "content"})
        return found

    def _send(self, name: str, params: dict[str, Any]) -> Any:
        sent = json.dumps([0, next(self.numbers), name, params]).encode()
        self.line.sendall(b"%d:%b" % (len(sent), sent))
        _kind, _number, error, answer = self._read()
        if error:
            raise WebDriverError(error["message"])
        return answer.get("value") if isinstance(answer, dict) else answer

    def _read(self) -> Any:
        length = b"".join(iter(lambda: self.file.read(1), b":"))
        return json.loads(self.file.read(int(length)))

    def close(self) -> None:
        self.file.close()
        self.line.close()


class WebKit(Tab):
    """A session of WebKitWebDriver."""

    def __init__(self, port: int) -> None:
        self.base = f"http://127.0.0.1:{port}/session"
        self.base += "/" + self._ask("POST", "", {"capabilities": {}})["sessionId"]

    def command(self, name: str, **params: Any) -> Any:
        method, path = REQUESTS[name]
        return self._ask(method, path.format(**params), params if method == "POST" else None)

    def _ask(self, method: str, path: str, body: Any) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            with error:
                raise WebDriverError(error.read().decode()) from error

    def close(self) -> None:
        self._ask("DELETE", "", None)


@contextmanager
def firefox() -> Iterator[Tab]:
    """Firefox with a profile of its own and without a window."""
    with ExitStack() as stack:
        profile = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="firefox-", ignore_cleanup_errors=True)))
        profile.joinpath("user.js").write_text('user_pref("marionette.port", 0);\n')
        path = next(filter(None, map(shutil.which, FIREFOX)))
        home = {**os.environ, "HOME": str(profile)}  # it refuses to run in one of somebody else
        stack.enter_context(_process(path, *FLAGS, "--profile", str(profile), env=home))
        said = profile / "MarionetteActivePort"
        tab = Firefox(int(wait_for(lambda: said.is_file() and said.read_text(), seconds=60, what="Firefox")))
        stack.callback(tab.close)
        yield tab


@contextmanager
def webkit() -> Iterator[Tab]:
    """WebKitGTK's own small browser on a screen in memory."""
    with ExitStack() as stack:
        read_end, write_end = os.pipe()
        screen = ("Xvfb", "-displayfd", str(write_end), "-screen", "0", "1600x1200x24", "-nolisten", "tcp")
        stack.enter_context(_process(*screen, pass_fds=[write_end]))
        os.close(write_end)
        with os.fdopen(read_end) as says:
            display = says.readline().strip()
        port = free_port()
        stack.enter_context(_process("WebKitWebDriver", f"--port={port}", env={**os.environ, "DISPLAY": f":{display}"}))
        wait_for(lambda: _listens(port), what="WebKitWebDriver")
        tab = WebKit(port)
        stack.callback(tab.close)
        tab.command("SetWindowRect", width=1400, height=1000)
        yield tab


@contextmanager
def _process(*command: str, **how: Any) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **how)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
