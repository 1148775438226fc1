"""What the settings say about object stores: where something is kept, and how to reach S3."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from storage_core.errors import SettingsError

S3 = "s3://"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ALLOWED_URI = "a folder, or s3://bucket/prefix"
_ALLOWED_ENDPOINT = "https://host or http://host:port"


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Access:
    """How to reach S3. What is None is left to boto3: profiles, container and instance roles, Amazon's own address."""

    endpoint_url: str | None = None
    region: str | None = None
    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if bool(self.access_key_id) != bool(self.secret_access_key):
            given, other = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"
            if self.secret_access_key:
                given, other = other, given
            raise SettingsError(given, f"given without {other}", "both of them, or neither")


def storage_uri(name: str, value: str) -> str:
    """The place that the variable `name` says, in one spelling: an absolute path, or s3://bucket[/prefix].

    Raises SettingsError.
    """
    if value.startswith(S3):
        bucket, _, prefix = value.removeprefix(S3).partition("/")
        segments = prefix.rstrip("/").split("/") if prefix.rstrip("/") else []
        if not _BUCKET.fullmatch(bucket):
            raise SettingsError(name, f"{value!r}: {bucket!r} is not the name of a bucket", _ALLOWED_URI)
        if any(not segment.isprintable() or segment in ("", ".", "..") for segment in segments):
            raise SettingsError(name, f"{value!r}: its prefix is not plain", _ALLOWED_URI)
        return S3 + "/".join([bucket, *segments])
    if value.startswith("file://"):
        value = unquote(urlsplit(value).path)
    if not value or "://" in value or not value.isprintable():
        raise SettingsError(name, repr(value), _ALLOWED_URI)
    return str(Path(value).expanduser().absolute())


def endpoint_url(value: str) -> str | None:
    """The address of the S3 server, None for Amazon's own. Raises SettingsError."""
    if not value:
        return None
    try:
        address = urlsplit(value)
        plain = address.scheme in ("http", "https") and bool(address.hostname) and (address.port or 1) > 0
    except ValueError:
        plain = False
    if not plain or address.path not in ("", "/") or address.query or address.fragment or address.username:
        raise SettingsError("S3_ENDPOINT_URL", repr(value), _ALLOWED_ENDPOINT)
    return value.rstrip("/")
