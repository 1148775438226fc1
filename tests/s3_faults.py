"""A proxy in front of an S3 server that does what networks and servers do on a bad day."""

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

ERROR = "<?xml version='1.0'?><Error><Code>{code}</Code><Message>a bad day</Message></Error>"
ANSWERS = {"InternalError": 500, "SlowDown": 503, "ServiceUnavailable": 503, "AccessDenied": 403, "BadDigest": 400}
FAULTS = (*ANSWERS, "garbage", "hang", "cut request", "cut answer", "lost answer", "damage")


@dataclass
class Proxy:
    """Passes requests on, except those that were told to go wrong."""

    url: str
    faults: list[tuple[str, str, str]] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    connections: list[socket.socket] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def will(self, fault: str, method: str, *, having: str = "", times: int = 1) -> None:
        """Let the next `times` requests of that method, with `having` in their address, go wrong."""
        assert fault in FAULTS
        self.faults += [(fault, method, having)] * times

    def forget(self) -> None:
        """Nothing goes wrong any more, and whoever hangs is let go."""
        self.faults.clear()
        self.over.set()
        self.over = threading.Event()

    def fault_of(self, method: str, path: str) -> str:
        """What goes wrong with this request; empty: nothing."""
        with self.lock:
            self.seen.append(f"{method} {path}")
            for planned in self.faults:
                if planned[1] == method and planned[2] in path:
                    self.faults.remove(planned)
                    return planned[0]
        return ""


@contextmanager
def misbehaving(upstream: str) -> Iterator[Proxy]:
    """A proxy in front of the server at `upstream`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = False
    proxy = Proxy(f"http://127.0.0.1:{server.server_port}")
    server.proxy, server.upstream = proxy, urlsplit(upstream)  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield proxy
    finally:
        proxy.over.set()
        server.shutdown()
        for connection in proxy.connections:
            with suppress(OSError):  # closed by the other side
                connection.shutdown(socket.SHUT_RDWR)
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10

    def setup(self) -> None:
        super().setup()
        self.server.proxy.connections.append(self.connection)

    def log_message(self, *_: object) -> None:
        pass

    def handle(self) -> None:
        try:
            super().handle()
        except ConnectionError:
            self.close_connection = True

    def _pass_on(self) -> None:
        proxy: Proxy = self.server.proxy
        fault = proxy.fault_of(self.command, self.path)
        length = int(self.headers.get("Content-Length", 0))
        if fault == "cut request":
            self.rfile.read(length // 2)
            self.close_connection = True
            return
        body = self.rfile.read(length)
        if fault == "hang":
            proxy.over.wait(timeout=10)
            self.close_connection = True
        elif fault in ANSWERS:
            self._answer(ANSWERS[fault], [], ERROR.format(code=fault).encode())
        elif fault == "garbage":
            self._answer(200, [("Content-Type", "application/xml")], b"<html>not what you expect")
        else:
            status, headers, answer = self._ask(body)
            self._give(fault, status, headers, answer)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass_on  # noqa: N815

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        upstream = self.server.upstream
        connection = http.client.HTTPConnection(upstream.hostname, upstream.port)
        try:
            headers = {name: value for name, value in self.headers.items() if name != "Expect"}
            connection.request(self.command, self.path, body=body, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def _give(self, fault: str, status: int, headers: list[tuple[str, str]], answer: bytes) -> None:
        if fault == "lost answer":
            self.close_connection = True
            return
        if fault == "damage":
            answer = answer[:-1] + bytes([answer[-1] ^ 1])
        self._answer(status, headers, answer, cut=fault == "cut answer")

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes, *, cut: bool = False) -> None:
        self.send_response_only(status)
        kept = [(name, value) for name, value in headers if name.lower() not in ("transfer-encoding", "connection")]
        if not any(name.lower() == "content-length" for name, _ in kept):
            kept.append(("Content-Length", str(len(body))))
        for name, value in kept:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self.close_connection = True
