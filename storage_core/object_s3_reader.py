"""Reading an object as a stream that survives cut connections: it asks for the rest and goes on."""

from __future__ import annotations

import io
from typing import Any

from storage_core.object_errors import ObjectChanged, StoreRefused, TransferBroken
from storage_core.object_retry import retrying
from storage_core.object_s3_client import S3Client


class S3Reader(io.RawIOBase):
    """The bytes of one version of an object, from `start` to its end. Raises ObjectChanged when it is replaced."""

    def __init__(self, client: S3Client, key: str, name: str, *, start: int = 0) -> None:
        super().__init__()
        self._client, self._key, self._name = client, key, name
        self._at = start
        self._end: int | None = None
        self._etag: str | None = None
        self._body: Any = None
        retrying(client.patience, self._ensure_open)

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` as far as one read goes; 0 at the end."""
        data = retrying(self._client.patience, lambda: self._piece(len(buffer)))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        """Give the connection back."""
        self._drop()
        super().close()

    def _piece(self, size: int) -> bytes:
        from storage_core.object_s3_errors import translated

        if self._end is not None and self._at >= self._end:
            return b""
        self._ensure_open()
        try:
            with translated(self._client.where, self._key):
                data: bytes = self._body.read(size)
            if not data:
                raise TransferBroken(self._client.where, self._key, f"it ended after {self._at} of {self._end} bytes")
        except BaseException:
            self._drop()
            raise
        return data

    def _ensure_open(self) -> None:
        if self._body is not None or (self._end is not None and self._at >= self._end):
            return
        from storage_core.object_s3_errors import INVALID_RANGE, code_of

        try:
            part = {"Range": f"bytes={self._at}-"} if self._at else {}
            answer = self._client.once("get_object", self._key, Key=self._name, **part)
        except StoreRefused as error:
            if code_of(error.__cause__) == INVALID_RANGE:  # begins at or after the end
                self._end = self._at
                return
            raise
        self._body = answer["Body"]
        etag, end = answer.get("ETag"), self._at + int(answer["ContentLength"])
        if self._end is not None and (etag, end) != (self._etag, self._end):
            self._drop()
            raise ObjectChanged(self._client.where, self._key)
        self._etag, self._end = etag, end

    def _drop(self) -> None:
        body, self._body = self._body, None
        if body is not None:
            body.close()
