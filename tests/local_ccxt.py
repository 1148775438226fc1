"""Exchanges of the library ccxt that ask a server on this machine: only their addresses and their pace are changed."""

from typing import Any

import pytest

ADDRESSES: dict[str, dict[str, str]] = {
    "kraken": {"public": ""},
    "upbit": {"public": ""},
    "binance": {"public": "/api/v3"},
}


def point_to(url: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `ccxt.<name>` ask `url`, as often as it likes, until the test ends."""
    import ccxt

    real = getattr(ccxt, name)
    changes: dict[str, Any] = {
        "urls": {"api": {kind: url + path for kind, path in ADDRESSES[name].items()}},
        "rateLimit": 1,
        "options": {"fetchMarkets": {"types": ["spot"]}},  # futures of Binance stand at other addresses
    }

    class Local(real):  # type: ignore[misc, valid-type]
        def describe(self) -> Any:
            return self.deep_extend(super().describe(), changes)

    monkeypatch.setattr(ccxt, name, Local)
