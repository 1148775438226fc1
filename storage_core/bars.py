"""Where the settings keep bars: a folder of this machine, or S3 beside the results."""

from __future__ import annotations

from functools import lru_cache

from storage_core.bar_store import BarStore
from storage_core.settings import Settings


def bar_store_for(settings: Settings) -> BarStore:
    """The bars of these settings. Cheap to ask for again."""
    if settings.results_bucket is None:
        return BarStore(settings.bars_dir)
    return _in_s3(settings)


@lru_cache(maxsize=8)
def _in_s3(settings: Settings) -> BarStore:
    from storage_core.bar_objects import S3BarStore
    from storage_core.object_store import provider_for

    return S3BarStore(settings, provider_for(str(settings.results_bucket), settings))
