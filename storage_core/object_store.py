"""The door to object stores: a provider for any root, in a local folder or in S3, with the same behaviour in both.

`object_provider` says what a provider does, `object_errors` what can go wrong.
"""

from __future__ import annotations

from pathlib import Path

from storage_core.object_provider import ObjectInfo, StorageProvider, Transferred
from storage_core.object_settings import S3
from storage_core.settings import Settings

__all__ = ["ObjectInfo", "StorageProvider", "Transferred", "provider_for"]


def provider_for(uri: str, settings: Settings) -> StorageProvider:
    """The provider of a root as the settings spell it: an absolute path, or s3://bucket[/prefix].

    One bucket and account have one provider in a process, so that its connections are used again.
    """
    if uri.startswith(S3):
        from storage_core.object_s3 import shared_provider

        return shared_provider(uri, settings.s3)
    from storage_core.object_local import LocalStorageProvider

    return LocalStorageProvider(Path(uri))
