"""Where the settings keep bars: a folder of this machine, or S3 beside the results."""

from __future__ import annotations

from storage_core.bar_store import BarStore
from storage_core.settings import Settings


def bar_store_for(settings: Settings) -> BarStore:
    """The bars of these settings. Cheap to ask for again."""
    return BarStore(settings.bars_dir)
