"""A server that answers like Upbit and Binance, from made-up candles, and misbehaves when told to."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from tests.exchange_recordings import Recording, recording

START = datetime(2024, 1, 1, tzinfo=UTC)

Behaviour = Callable[["Handler"], bool]
"""Answers in its own way and says True, or leaves it to the usual one."""


NOT_REPLAYED = {"content-length", "content-encoding", "transfer-encoding", "connection"}


class Handler(BaseHTTPRequestHandler):
    """One request. `market` has the hours from START that have a candle."""

    def do_GET(self) -> None:
        server: ExchangeServer = self.server  # type: ignore[assignment]
        self.parts = urlsplit(self.path)
        self.query = {name: values[0] for name, values in parse_qs(self.parts.query).items()}
        with server.lock:
            server.requests.append(self.path)
            behaviour = server.behaviours.pop(0) if server.behaviours else None
        server.asked.set()
        if behaviour is None or not behaviour(self):
            self.usual(server)

    def usual(self, server: "ExchangeServer") -> None:
        recorded = server.recorded.get(self.parts.path)
        if recorded is not None:
            self.replay(recorded)
        elif self.parts.path == "/v1/candles/months":
            self.send(200, [{**upbit(START, 0), "first_day_of_period": f"{START:%Y-%m-%d}"}])
        elif self.parts.path.startswith("/v1/candles/"):
            to = datetime.fromisoformat(self.query["to"])
            step = 24 if self.parts.path.endswith("days") else 1
            hours = [hour for hour in server.hours if START + timedelta(hours=hour) < to and hour % step == 0]
            self.send(200, [upbit(START + timedelta(hours=hour), hour) for hour in reversed(hours[-200:])])
        elif self.parts.path == "/api/v3/klines":
            low, high = int(self.query["startTime"]), int(self.query.get("endTime", 10**14))
            rows = [binance(hour) for hour in server.hours]
            self.send(200, [row for row in rows if low <= row[0] <= high][: int(self.query["limit"])])
        else:
            self.send(404, {"error": {"name": 404, "message": "Code not found"}})

    def send(self, status: int, body: object, **headers: str) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(raw)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(raw)

    def replay(self, recorded: Recording) -> None:
        """The same status, headers and body; the length is that of the body, which may be a part of what was sent."""
        self.send_response_only(recorded.status)
        for name, value in recorded.headers.items():
            if name.lower() not in NOT_REPLAYED:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(recorded.body)))
        self.end_headers()
        self.wfile.write(recorded.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Quiet."""


class ExchangeServer(ThreadingHTTPServer):
    """`behaviours` are used up one a request; then it answers as it should."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.asked = threading.Event()
        self.requests: list[str] = []
        self.behaviours: list[Behaviour | None] = []
        self.recorded: dict[str, Recording] = {}
        self.hours: list[int] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def record(self, path: str, name: str, **headers: str) -> None:
        """Answer that path with a file of tests/data/exchanges, and with these headers beside the recorded ones."""
        found = recording(name)
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        self.recorded[path] = replace(found, headers={**found.headers, **more})


@contextmanager
def exchange_server() -> Iterator[ExchangeServer]:
    """Runs until the block ends."""
    server = ExchangeServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def price(hour: int) -> float:
    return 1000.0 + hour % 50


def upbit(at: datetime, hour: int) -> dict[str, object]:
    return {
        "market": "KRW-BTC", "candle_date_time_utc": f"{at:%Y-%m-%dT%H:%M:%S}", "opening_price": price(hour),
        "high_price": price(hour) + 5, "low_price": price(hour) - 5, "trade_price": price(hour) + 1,
        "candle_acc_trade_volume": 1.5, "unit": 60,
    }  # fmt: skip


def binance(hour: int) -> list[object]:
    at = int(START.timestamp() * 1000) + hour * 3_600_000
    text = [f"{value:.8f}" for value in (price(hour), price(hour) + 5, price(hour) - 5, price(hour) + 1, 1.5)]
    return [at, *text, at + 3_599_999, "1.0", 5, "1.0", "1.0", "0"]


def answer(status: int, body: object = b"", **headers: str) -> Behaviour:
    def behave(handler: Handler) -> bool:
        handler.send(status, body, **headers)
        return True

    return behave


def replayed(name: str, **headers: str) -> Behaviour:
    """A recorded answer, once, with these headers beside the recorded ones."""
    found = recording(name)
    more = {name.replace("_", "-"): value for name, value in headers.items()}

    def behave(handler: Handler) -> bool:
        handler.replay(replace(found, headers={**found.headers, **more}))
        return True

    return behave


def hang_up(handler: Handler) -> bool:
    """Closes the connection without a word."""
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)
    return True


def truncate(handler: Handler) -> bool:
    """Promises more than it sends."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'[{"market": "KRW')
    handler.close_connection = True
    return True


def say_nothing(handler: Handler) -> bool:
    """Takes the request and never answers; ends when the other side hangs up."""
    handler.connection.settimeout(10)
    handler.connection.recv(1)
    handler.close_connection = True
    return True
