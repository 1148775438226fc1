"""One bucket, asked through boto3: connections, time-outs and retries are decided here."""

from __future__ import annotations

import io
import os
import threading
from typing import Any

from storage_core.object_retry import Patience, retrying
from storage_core.object_settings import S3Access

CONNECTIONS = 10


class S3Client:
    """Calls of one bucket. boto3 is loaded by the first call; a forked process gets connections of its own."""

    def __init__(self, bucket: str, where: str, *, access: S3Access, patience: Patience) -> None:
        self.bucket, self.where, self.patience = bucket, where, patience
        self._access = access
        self._lock = threading.Lock()
        self._boto: Any = None
        self._process = 0

    def call(self, operation: str, key: str | None, **arguments: Any) -> Any:
        """The answer to `operation`, asked again when that may help; `key` is the one that errors name."""
        return retrying(self.patience, lambda: self.once(operation, key, **arguments))

    def once(self, operation: str, key: str | None, **arguments: Any) -> Any:
        """The answer to `operation`, asked once."""
        from storage_core.object_s3_errors import translated

        if "Body" in arguments:  # as a file it is sent in pieces; as bytes, two more copies of it would be made
            arguments["Body"] = io.BytesIO(arguments["Body"])
        with translated(self.where, key):
            return getattr(self._connected(), operation)(Bucket=self.bucket, **arguments)

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        with self._lock:
            client, self._boto = self._boto, None
        if client is not None:
            client.close()

    def _connected(self) -> Any:
        with self._lock:
            if self._boto is None or self._process != os.getpid():
                self._boto, self._process = self._made(), os.getpid()
            return self._boto

    def _made(self) -> Any:
        import boto3
        from botocore.config import Config

        access = self._access
        session = boto3.session.Session(
            aws_access_key_id=access.access_key_id,
            aws_secret_access_key=access.secret_access_key,
            aws_session_token=access.session_token,
            region_name=access.region,
        )
        config = Config(
            connect_timeout=self.patience.connect_seconds,
            read_timeout=self.patience.read_seconds,
            retries={"total_max_attempts": 1},  # ours: `permanent` decides, see object_retry
            max_pool_connections=CONNECTIONS,
            s3={"addressing_style": "path"} if access.endpoint_url else {},
            # Content-MD5 says the same to servers that do not know the newer checksums
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        return session.client("s3", endpoint_url=access.endpoint_url, config=config)
