"""A client for the API of coin-hts in one file; it needs nothing but Python 3.11.

client = Client("http://127.0.0.1:8000", token="chts_...")
result = client.run(strategy="sma_cross", symbols=["USD-BTC"], timeframe="1h",
                    start_date="2018-03-01", end_date="2018-12-31")
print(result["sharpe"], [trade["pnl"] for trade in client.trades(result["task_id"])])
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

Json = dict[str, Any]
ENDED = ("completed", "failed", "cancelled")
AGAIN = {429, 503}


class ApiError(Exception):
    """The API refused: `status`, a stable `code`, a sentence, and what is wrong with which field."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.code = str(problem.get("code", ""))
        self.detail = str(problem.get("detail", ""))
        self.errors: list[Json] = list(problem.get("errors") or [])
        super().__init__(f"{status} {self.code}: {self.detail}")


class Client:
    """Calls the API with a token. What was lost on the way is sent again, and done once all the same."""

    def __init__(self, url: str, token: str, *, timeout: float = 90, tries: int = 4) -> None:
        self.url, self.token, self.timeout, self.tries = url.rstrip("/"), token, timeout, tries

    def run(self, *, wait: float = 600, reuse: bool = False, **spec: Any) -> Json:
        """Run a backtest and return it when it has ended; its `status` says how. TimeoutError after `wait` seconds."""
        query = {"wait": min(wait, 60), "reuse": _flag(reuse)}
        answer = self._json("POST", "/backtests", query=query, body=spec)
        return answer if answer["status"] in ENDED else self.wait(answer["task_id"], seconds=wait)

    def submit(self, *, reuse: bool = False, **spec: Any) -> str:
        """Queue a backtest; returns its id."""
        answer = self._json("POST", "/backtests/async", query={"reuse": _flag(reuse)}, body=spec)
        return str(answer["task_id"])

    def wait(self, task_id: str, *, seconds: float = 600) -> Json:
        """The backtest, once it has ended."""
        deadline, pause = time.monotonic() + seconds, 0.1
        while self.status(task_id)["status"] not in ENDED:
            if time.monotonic() > deadline:
                raise TimeoutError(f"backtest {task_id} did not end within {seconds:g} seconds")
            time.sleep(pause)
            pause = min(pause * 1.5, 2)
        return self.get(task_id)

    def status(self, task_id: str) -> Json:
        """How far it is."""
        return self._json("GET", f"/backtests/async/{task_id}/status")

    def get(self, task_id: str) -> Json:
        """The backtest with its spec and all metrics."""
        return self._json("GET", f"/backtests/{task_id}")

    def find(self, **filters: Any) -> Iterator[Json]:
        """All backtests that pass the filters, page after page: status, symbol, sharpe_min, sort, ..."""
        page = self._json("GET", "/backtests", query=filters)
        yield from page["backtests"]
        while page["older"]:
            page = self._json("GET", "/backtests", query={**filters, "after": page["older"]})
            yield from page["backtests"]

    def trades(self, task_id: str, *, symbol: str | None = None) -> Iterator[Json]:
        """All trades in the order of their entries."""
        after: int | None = 0
        while after is not None:
            query = {"symbol": symbol, "after": after, "size": 1000}
            page = self._json("GET", f"/backtests/{task_id}/trades", query=query)
            yield from page["trades"]
            after = page["next"]

    def equity(self, task_id: str, *, symbol: str | None = None, points: int = 2000) -> Json:
        """The equity curve in columns, in at most so many points."""
        return self._json("GET", f"/backtests/{task_id}/equity", query={"symbol": symbol, "points": points})

    def export(self, task_id: str, target: Path, *, form: str = "zip", table: str = "symbol_signals") -> Path:
        """Write the result to a file: json, zip, or one table as csv or parquet."""
        query = {"format": form, "table": table}
        with self._send("GET", f"/backtests/{task_id}/export", query=query) as answer, target.open("xb") as file:
            while part := answer.read(1 << 16):
                file.write(part)
        return target

    def cancel(self, task_id: str) -> Json:
        """Stop it; ApiError with the code not_cancellable when it has ended."""
        return self._json("POST", f"/backtests/{task_id}/cancel")

    def verify(self, task_id: str) -> str:
        """Run it again to compare; returns the id of the backtest whose metadata will say what was found."""
        return str(self._json("POST", f"/backtests/{task_id}/verify")["task_id"])

    def change(self, task_id: str, **changes: Any) -> Json:
        """Change note, tags or pinned."""
        return self._json("PATCH", f"/backtests/{task_id}", body=changes)

    def delete(self, task_id: str) -> Json:
        """Delete it; for a week `restore` brings it back."""
        return self._json("DELETE", f"/backtests/{task_id}")

    def restore(self, task_id: str) -> Json:
        """Take a deletion back."""
        return self._json("POST", f"/backtests/{task_id}/restore")

    def strategies(self) -> list[Json]:
        """Every strategy with its params and their schema."""
        return list(self._json("GET", "/strategies")["strategies"])

    def data(self) -> list[Json]:
        """Stored symbols and timeframes with their ranges."""
        return list(self._json("GET", "/data")["data"])

    def _json(self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: Any = None) -> Json:
        with self._send(method, path, query=query, body=body) as answer:
            found: Json = json.load(answer)
        return found

    def _send(self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: Any = None) -> Any:
        given = {name: value for name, value in (query or {}).items() if value is not None}
        address = f"{self.url}/api/v1{path}" + (f"?{urlencode(given, doseq=True)}" if given else "")
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json"}
        if method == "POST":
            headers["Idempotency-Key"] = uuid.uuid4().hex
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(address, data, headers, method=method)  # noqa: S310
        for left in reversed(range(self.tries)):
            try:
                return urllib.request.urlopen(request, timeout=self.timeout)  # noqa: S310
            except urllib.error.HTTPError as error:
                with error:
                    problem = _problem(error)
                running = problem.get("code") == "idempotency_running"
                if not left or not (error.code in AGAIN or running):
                    raise ApiError(error.code, problem) from error
                time.sleep(float(error.headers.get("Retry-After") or 1))
            except (urllib.error.URLError, TimeoutError, ConnectionError):
                if not left:
                    raise
                time.sleep(0.5)
        raise AssertionError("unreachable: the last try returns or raises")


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _problem(error: urllib.error.HTTPError) -> Json:
    try:
        found = json.load(error)
    except ValueError:
        return {"detail": f"{error.reason}"}
    return found if isinstance(found, dict) else {}
