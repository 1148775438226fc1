"""Reading the tables of a result from its `result.json`, as `json_results` writes it, in every bit."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from storage_core.errors import ResultDamaged, UnknownSchema
from storage_core.json_results import CURVE, LAST, ROWS_AT_ONCE, SIGNALS, SYMBOLS
from storage_core.schemas import KNOWN_VERSIONS, SCHEMAS

_HEAD, _BETWEEN, _TAIL = "head", "between", "tail"
_NEXT = LAST[:-1] + b",\n"


def read(
    path: Path, name: str, *, sha256: str, columns: Sequence[str] | None = None, symbol: str | None = None
) -> pa.Table:
    """Read the table `name`: `columns` (None: all) of all rows, or of those of `symbol`; `sha256` is that of the file.

    Memory: the table, and some ten thousand rows. Raises FileNotFoundError, ResultDamaged, UnknownSchema.
    """
    schema = SCHEMAS[name]
    names = list(schema.names if columns is None else columns)
    wanted = pa.schema([schema.field(one) for one in dict.fromkeys(["symbol", *names])])
    try:
        table = _read(path, _Table(name, wanted), sha256)
    except (FileNotFoundError, UnknownSchema):
        raise
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError, IndexError) as error:
        raise ResultDamaged(path, (str(error) or repr(error)).splitlines()[0]) from error
    if symbol is not None:
        table = table.filter(pc.equal(table["symbol"], symbol))
    return table.select(names)


@dataclass(slots=True)
class _Table:
    """The table being read, a part after the other."""

    name: str
    schema: pa.Schema
    symbol: str = ""
    parts: list[pa.Table] = field(default_factory=list)

    def add(self, what: str, lines: list[bytes]) -> None:
        """Take what these lines say: of a symbol of its own, or rows."""
        if what == "symbol_summary":
            self.symbol = json.loads(lines[0])["symbol"]
        if what == self.name and lines:
            self.parts.append(self._rows(lines))

    def _rows(self, lines: list[bytes]) -> pa.Table:
        data = b"".join(lines).replace(b",\n", b"\n")  # no text holds a line break as such
        rest = pa.schema([one for one in self.schema if one.name != "symbol"])
        columns = {"symbol": pa.repeat(pa.scalar(self.symbol, pa.string()), len(lines))}
        if rest.names:
            block = pj.ReadOptions(use_threads=False, block_size=len(data) + 1)
            parse = pj.ParseOptions(explicit_schema=rest, unexpected_field_behavior="ignore")
            read = pj.read_json(io.BytesIO(data), read_options=block, parse_options=parse)
            if read.num_rows != len(lines):
                raise ValueError(f"{read.num_rows} rows stand on {len(lines)} lines")
            columns |= {one: read[one] for one in rest.names}
        return pa.table({one: columns[one] for one in self.schema.names}, schema=self.schema)

    def whole(self, exact: dict[str, list[list[int]]]) -> pa.Table:
        """All rows, with the bits of what JSON cannot spell."""
        table = pa.concat_tables([self.schema.empty_table(), *self.parts])
        self.parts.clear()
        for column in table.column_names:
            if odd := exact.get(column):
                index = table.schema.get_field_index(column)
                table = table.set_column(index, table.schema.field(column), _with_bits(table[column], odd))
        return table


def _read(path: Path, table: _Table, sha256: str) -> pa.Table:
    digest, tail = hashlib.sha256(), b""
    with path.open("rb") as file:
        for what, lines in _blocks(file, digest):
            table.add(what, lines)
            tail = b"".join(lines) if what == _TAIL else b""
    if digest.hexdigest() != sha256:
        raise ResultDamaged(path, "its sha256 is not the one that was stored")
    end = json.loads(b'{"symbols":[' + tail)
    version = end["metadata"]["schema_version"]
    if version not in KNOWN_VERSIONS:
        raise UnknownSchema(version, KNOWN_VERSIONS)
    return table.whole(end["exact"].get(table.name, {}))


def _blocks(file: IO[bytes], digest: Any) -> Iterator[tuple[str, list[bytes]]]:
    """What is in the file, in order: each symbol with its summary, then its rows of each table, and the tail."""
    what, lines = _HEAD, []
    for line in file:
        digest.update(line)
        if what == _HEAD:
            what = _BETWEEN if line == SYMBOLS else _HEAD
        elif what == _BETWEEN and line.startswith(b"{"):
            yield "symbol_summary", [line.removesuffix(SIGNALS) + b"}\n"]
            what = "symbol_signals"
        elif what == _BETWEEN and line.startswith(b"]"):
            what, lines = _TAIL, [line]
        elif line == CURVE or (what == "performance_curve" and line in (LAST, _NEXT)):
            yield what, lines
            what, lines = ("performance_curve" if line == CURVE else _BETWEEN), []
        else:
            lines.append(line)
            if len(lines) == ROWS_AT_ONCE and what != _TAIL:
                yield what, lines
                lines = []
    yield what, lines


def _with_bits(column: pa.ChunkedArray, odd: list[list[int]]) -> pa.Array:
    missing = column.is_null().to_numpy().copy()
    if pa.types.is_floating(column.type):
        bits = column.fill_null(0.0).to_numpy().view(np.int64).copy()
    else:
        bits = pc.fill_null(column.cast(pa.int64()), 0).to_numpy().copy()
    rows, values = np.array(odd, dtype=np.int64).T
    bits[rows], missing[rows] = values, False
    whole = bits.view(np.float64) if pa.types.is_floating(column.type) else bits
    return pa.array(whole, mask=missing, from_pandas=False).cast(column.type)
