"""The bars that come with the product, so that a first visitor has something to run on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from storage_core.bar_store import BarStore
from storage_core.errors import BarsDamaged
from storage_core.files import sha256_file

SAMPLE_DIR = Path(__file__).parent / "sample"


def provenance() -> list[dict[str, Any]]:
    """Where each sample file comes from: file, rows, first, last, note, sha256."""
    entries: list[dict[str, Any]] = json.loads((SAMPLE_DIR / "PROVENANCE.json").read_text(encoding="utf-8"))
    return entries


def install_sample(bar_store: BarStore, *, source: Path = SAMPLE_DIR) -> list[str]:
    """Copy the sample bars that are not there yet; returns the names of the files copied.

    Never touches bars that are there already. Raises BarsDamaged when a shipped file is not what it was.
    """
    copied = []
    for entry in provenance():
        shipped = source / entry["file"]
        symbol, _, timeframe = shipped.stem.partition("_")
        if bar_store.state(symbol, timeframe) is not None:
            continue
        if not shipped.exists() or sha256_file(shipped) != entry["sha256"]:
            raise BarsDamaged(shipped, "it is not the file that was shipped (its sha256 differs)")
        if bar_store.install(symbol, timeframe, shipped):
            copied.append(shipped.name)
    return copied
