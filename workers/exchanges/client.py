"""HTTP for exchanges: paced, patient with what passes, clear about what does not, not fooled by half an answer."""

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import requests
import structlog

from workers import VERSION
from workers.exchanges import Pause
from workers.exchanges.errors import (
    BadAnswer,
    ExchangeBusy,
    ExchangeError,
    ExchangeFailed,
    ExchangeRefused,
    ExchangeUnreachable,
)

log = structlog.get_logger("worker")

CONNECT_SECONDS, READ_SECONDS = 5.0, 20.0
TRIES = 5
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0
LONGEST_WAIT = 900.0
"""Seconds an exchange may ask for; more than that ends the attempt."""
LARGEST_ANSWER = 30_000_000
_PIECE = 65_536


class Pace:
    """At most so many requests a second, of all threads of this process together."""

    def __init__(self, per_second: float) -> None:
        self._between = 1 / per_second
        self._lock = threading.Lock()
        self._next = 0.0
        self._holds = 0

    def wait(self, pause: Pause) -> None:
        """Wait for a place in line, and for another one when everybody was held meanwhile."""
        held: int | None = None
        while held != self._holds:
            with self._lock:
                held, now = self._holds, time.monotonic()
                mine = max(now, self._next)
                self._next = mine + self._between
            if mine > now:
                pause(mine - now)

    def hold(self, seconds: float) -> None:
        """Nobody goes for so many seconds, nor who has a place in line already."""
        with self._lock:
            self._holds += 1
            self._next = max(self._next, time.monotonic() + seconds)


_paces: dict[str, Pace] = {}
_paces_lock = threading.Lock()


def shared_pace(url: str, per_second: float) -> Pace:
    """The one pace of this process for an address: exchanges count by address, not by job."""
    with _paces_lock:
        return _paces.setdefault(url, Pace(per_second))


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: JSON, headers, and the server's clock (ours, where it has none)."""

    status: int
    body: Any
    headers: Mapping[str, str]
    at: datetime


class Client:
    """Asks one exchange. Redirects are not followed: an API that moves is to be set, not guessed."""

    def __init__(self, name: str, url: str, *, pace: Pace, pause: Pause, first_pause: float | None = None) -> None:
        self.name, self.url = name, url
        self._pace, self._pause = pace, pause
        self._first_pause = FIRST_PAUSE if first_pause is None else first_pause
        self._session = requests.Session()
        self._session.headers.update({"Accept": "application/json", "User-Agent": f"coin-hts/{VERSION}"})

    def get(self, path: str, params: Mapping[str, str | int]) -> Answer:
        """The answer below status 500 (but for 429 and 418, which are waited for). Raises ExchangeError."""
        wait = self._first_pause
        for attempt in range(1, TRIES + 1):
            self._pace.wait(self._pause)
            try:
                return self._once(path, params)
            except (ExchangeUnreachable, ExchangeFailed, BadAnswer) as error:
                if attempt == TRIES:
                    raise
                log.info("asked again", exchange=self.name, attempt=attempt, reason=error.problem)
                self._pause(wait)
                wait = min(2 * wait, LONGEST_PAUSE)
            except _Patience as asked:
                if attempt == TRIES or asked.seconds > LONGEST_WAIT:
                    raise ExchangeBusy(self.name, asked.seconds) from None
                log.info("the exchange asks for patience", exchange=self.name, seconds=asked.seconds)
                self._pace.hold(asked.seconds)
        raise AssertionError("unreachable: the last attempt answers or raises")

    def hold(self, seconds: float) -> None:
        """Ask nothing for so long: what is allowed is nearly used up."""
        self._pace.hold(seconds)

    def close(self) -> None:
        """Give connections back."""
        self._session.close()

    def _once(self, path: str, params: Mapping[str, str | int]) -> Answer:
        try:
            with self._session.get(
                self.url + path,
                params=params,
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                allow_redirects=False,
                stream=True,
            ) as response:
                body = self._body(response)
                return self._answer(response, body)
        except requests.Timeout as error:
            raise ExchangeUnreachable(self.name, "it did not answer in time") from error
        except requests.RequestException as error:
            raise ExchangeUnreachable(self.name, f"it cannot be reached ({type(error).__name__})") from error

    def _body(self, response: requests.Response) -> bytes:
        body = b""
        for piece in response.iter_content(_PIECE):
            body += piece
            if len(body) > LARGEST_ANSWER:
                raise ExchangeRefused(self.name, f"its answer is larger than {LARGEST_ANSWER // 1_000_000} MB")
        return body

    def _answer(self, response: requests.Response, body: bytes) -> Answer:
        status = response.status_code
        if status in (429, 418):
            raise _Patience(patience(response.headers.get("Retry-After"), 60.0 if status == 418 else 1.0))
        if status >= 500:
            raise ExchangeFailed(self.name, f"it answered {status}")
        if 300 <= status < 400:
            raise ExchangeRefused(
                self.name, f"it redirects ({status}) to {response.headers.get('Location', '?')[:100]}"
            )
        if status in (401, 403, 451):
            raise ExchangeRefused(self.name, f"it refuses to answer here ({status})")
        try:
            parsed = json.loads(body)
        except (ValueError, RecursionError) as error:
            if status >= 400:
                raise ExchangeRefused(self.name, f"it answered {status}") from error
            raise BadAnswer(self.name, "its answer is not whole JSON") from error
        return Answer(status, parsed, response.headers, clock(response.headers.get("Date")))


class _Patience(ExchangeError):
    """429 or 418: wait so long."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__("", "")


def patience(header: str | None, otherwise: float) -> float:
    """Seconds that a header Retry-After asks for."""
    try:
        return min(max(float(header or otherwise), 0.0), 1e6)
    except ValueError:
        return otherwise


def clock(header: str | None) -> datetime:
    """The server's time when it is earlier than ours: a bar is closed when both say so."""
    now = datetime.now(UTC)
    try:
        said = parsedate_to_datetime(header or "")
    except ValueError:
        return now
    return min(now, said if said.tzinfo else said.replace(tzinfo=UTC))
