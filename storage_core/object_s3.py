"""Objects in S3, or in a server that speaks its protocol.

Every request carries the MD5 of what it sends, so a server does not take what was damaged on the way. Nothing relies
on conditional writes, on the order of a listing, or on the ETag of an object that was sent in parts.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from storage_core.object_errors import ObjectNotFound, StoreRefused
from storage_core.object_keys import check_key, check_prefix, key_problem
from storage_core.object_provider import ObjectInfo, StorageProvider, Transferred
from storage_core.object_retry import Patience
from storage_core.object_s3_client import S3Client
from storage_core.object_s3_reader import S3Reader
from storage_core.object_s3_upload import Upload
from storage_core.object_settings import S3, S3Access
from storage_core.object_streams import opened

_MD5 = re.compile(r"[0-9a-f]{32}")


class S3StorageProvider(StorageProvider):
    """Objects of one bucket whose names begin with `prefix`. Neither the bucket nor boto3 is touched before a call."""

    def __init__(self, bucket: str, prefix: str = "", *, access: S3Access, patience: Patience | None = None) -> None:
        self.where = "/".join(filter(None, (S3 + bucket, prefix)))
        self._prefix = f"{prefix}/" if prefix else ""
        self._client = S3Client(bucket, self.where, access=access, patience=patience or Patience())

    def upload(self, key: str, source: Path | BinaryIO, *, sha256: str | None = None) -> Transferred:
        """Store a file or a stream, in one request or, when it is large, in parts."""
        with opened(source) as stream:
            return Upload(self._client, key, self._name(key), sha256).send(stream, then_verify=self.verify)

    def open(self, key: str, *, start: int = 0) -> io.RawIOBase:
        """A stream that goes on where it was when the connection is cut."""
        return S3Reader(self._client, key, self._name(key), start=start)

    def delete(self, key: str) -> None:
        """Remove the object."""
        self._client.call("delete_object", key, Key=self._name(key))

    def list(self, prefix: str = "", *, page_size: int = 1000) -> Iterator[ObjectInfo]:
        """The objects of all pages; names that no key of ours can have are passed over."""
        check_prefix(self.where, prefix)
        return self._pages(prefix, page_size)

    def metadata(self, key: str) -> ObjectInfo:
        """What a HEAD request says; raises NoSuchBucket rather than ObjectNotFound when that is why."""
        try:
            answer = self._client.call("head_object", key, Key=self._name(key))
        except ObjectNotFound:
            self._client.call("head_bucket", None)  # a HEAD has no body that could tell one from the other
            raise
        etag = answer.get("ETag", "").strip('"')
        encrypted = answer.get("ServerSideEncryption", "AES256") != "AES256" or "SSECustomerAlgorithm" in answer
        md5 = etag if _MD5.fullmatch(etag) and not encrypted else None
        return ObjectInfo(key, answer["ContentLength"], _utc(answer["LastModified"]), etag or None, md5)

    def remove_unfinished(self, *, before: datetime, dry_run: bool = False) -> Sequence[str]:
        """Abort uploads in parts that were left behind: they are not listed, and cost money."""
        removed = []
        for upload in self._unfinished():
            if upload["Initiated"] < before and upload["Key"].startswith(self._prefix):
                removed.append(upload["Key"].removeprefix(self._prefix))
                if not dry_run:
                    named = {"Key": upload["Key"], "UploadId": upload["UploadId"]}
                    self._client.call("abort_multipart_upload", removed[-1], **named)
        return removed

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _name(self, key: str) -> str:
        return self._prefix + check_key(self.where, key)

    def _pages(self, prefix: str, page_size: int) -> Iterator[ObjectInfo]:
        wanted: dict[str, Any] = {"Prefix": self._prefix + prefix, "MaxKeys": page_size}
        while True:
            page = self._client.call("list_objects_v2", None, **wanted)
            for found in page.get("Contents", ()):
                key = found["Key"].removeprefix(self._prefix)
                if not key_problem(key):
                    etag = found.get("ETag", "").strip('"') or None
                    yield ObjectInfo(key, found["Size"], _utc(found["LastModified"]), etag)
            if not page.get("IsTruncated"):
                return
            wanted["ContinuationToken"] = page["NextContinuationToken"]

    def _unfinished(self) -> Iterator[dict[str, Any]]:
        wanted: dict[str, Any] = {"Prefix": self._prefix}
        while True:
            page = self._unfinished_page(wanted)
            yield from page.get("Uploads", ())
            if not page.get("IsTruncated"):
                return
            wanted |= {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}

    def _unfinished_page(self, wanted: dict[str, Any]) -> Any:
        from storage_core.object_s3_errors import NO_SUCH_UPLOAD, code_of

        try:
            return self._client.call("list_multipart_uploads", None, **wanted)
        except StoreRefused as error:
            if code_of(error.__cause__) == NO_SUCH_UPLOAD:  # so rclone says that there are none
                return {}
            raise


@lru_cache(maxsize=8)
def shared_provider(uri: str, access: S3Access) -> S3StorageProvider:
    """The one provider of s3://bucket[/prefix] with that account in this process."""
    bucket, _, prefix = uri.removeprefix(S3).partition("/")
    return S3StorageProvider(bucket, prefix, access=access)


def _utc(time: datetime) -> datetime:
    return time.astimezone(UTC)
