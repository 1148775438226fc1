"""Sending an object: in one request, or in parts that become an object only when all of them are there.

One part is in memory at a time, so it can be sent again when it must be, whatever the source is.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import stat
from collections.abc import Callable
from typing import Any, BinaryIO

from storage_core.errors import StorageError
from storage_core.object_errors import ObjectDamaged, ObjectTooLarge, StoreRefused
from storage_core.object_provider import Transferred
from storage_core.object_s3_client import S3Client
from storage_core.object_streams import read_full

PART = 8 * 1024 * 1024  # what is larger is sent in parts; S3 asks for at least 5 MiB
PARTS = 10_000  # S3's limit


class Upload:
    """One object on its way. Anything that goes wrong leaves the bucket as it was."""

    def __init__(self, client: S3Client, key: str, name: str, sha256: str | None) -> None:
        self._client, self._key, self._name, self._expected = client, key, name, sha256
        self._digest = hashlib.sha256()
        self._size = 0
        self._part = b""

    def send(self, stream: BinaryIO, *, then_verify: Callable[..., None]) -> Transferred:
        """Send all of `stream`; `then_verify` is asked when the server's last word was lost on the way."""
        part_size = _part_size(stream)
        self._read(stream, part_size)
        if len(self._part) < part_size:
            self._check()
            self._call("put_object", Key=self._name, Body=self._part, ContentMD5=_md5(self._part))
        else:
            self._in_parts(stream, part_size, then_verify)
        return Transferred(self._size, self._digest.hexdigest())

    def _in_parts(self, stream: BinaryIO, part_size: int, then_verify: Callable[..., None]) -> None:
        upload = {"Key": self._name, "UploadId": self._call("create_multipart_upload", Key=self._name)["UploadId"]}
        try:
            parts: list[dict[str, Any]] = []
            while self._part:
                if len(parts) == PARTS:
                    raise ObjectTooLarge(self._client.where, self._key, PARTS * part_size)
                part = {"PartNumber": len(parts) + 1}
                answer = self._call("upload_part", **upload, **part, Body=self._part, ContentMD5=_md5(self._part))
                parts.append({**part, "ETag": answer["ETag"]})
                self._read(stream, part_size)
            self._check()
            self._complete(upload, parts, then_verify)
        except BaseException as error:
            self._abort(upload, error)
            raise

    def _complete(self, upload: dict[str, Any], parts: list[dict[str, Any]], then_verify: Callable[..., None]) -> None:
        from storage_core.object_s3_errors import NO_SUCH_UPLOAD, code_of

        try:
            self._call("complete_multipart_upload", **upload, MultipartUpload={"Parts": parts})
        except StoreRefused as error:
            if code_of(error.__cause__) != NO_SUCH_UPLOAD:
                raise
            # An earlier try may have been carried out and only its answer lost. The object itself knows.
            then_verify(self._key, sha256=self._digest.hexdigest())

    def _abort(self, upload: dict[str, Any], error: BaseException) -> None:
        try:
            self._client.once("abort_multipart_upload", self._key, **upload)
        except StorageError as second:
            error.add_note(f"its parts are left behind until remove_unfinished or the bucket's own rule: {second}")

    def _call(self, operation: str, **arguments: Any) -> Any:
        return self._client.call(operation, self._key, **arguments)

    def _read(self, stream: BinaryIO, size: int) -> None:
        self._part = b""  # its memory is free before the next part is read
        self._part = read_full(stream, size)
        self._digest.update(self._part)
        self._size += len(self._part)

    def _check(self) -> None:
        was = self._digest.hexdigest()
        if self._expected is not None and was != self._expected.lower():
            raise ObjectDamaged(self._client.where, self._key, kind="sha256", expected=self._expected, was=was)


def _part_size(stream: BinaryIO) -> int:
    """Equal parts, as some servers want them, and never more than 10,000 where the size is known beforehand."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, AttributeError, io.UnsupportedOperation):
        return PART
    size = status.st_size if stat.S_ISREG(status.st_mode) else 0
    return max(PART, -(-size // (PARTS - 1)))


def _md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
