"""The recorded answers of tests/data/exchanges: status line, headers, an empty line, the body to the last byte."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "data" / "exchanges"


@dataclass(frozen=True)
class Recording:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body; numbers with a point as the text that stands there."""
        return json.loads(self.body, parse_float=str)


def recording(name: str) -> Recording:
    head, _, body = (FOLDER / name).read_bytes().partition(b"\n\n")
    status, *lines = head.decode("ascii").splitlines()
    headers = dict(line.split(": ", 1) for line in lines)
    return Recording(int(status.split(" ")[1]), headers, body)
