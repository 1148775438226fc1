"""What came of a backup, a verify, a prune or a rehearsal, as the outcome of its job: small, plain, for pages.

Commands leave a row too, as if a worker had done it: so the newest success is known wherever it was made.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy.orm import Session

from storage_core import backup_prune, backup_rehearse, backup_verify
from storage_core.backup_manifest import Manifest
from storage_core.models import Job

COMMAND = "command"


def of_backup(manifest: Manifest) -> dict[str, Any]:
    """Of a backup."""
    return {
        "backup": manifest.id,
        "files": manifest.file_count,
        "bytes": manifest.total_bytes,
        "added": manifest.added_count,
        "added_bytes": manifest.added_bytes,
        "problems": len(manifest.problems),
    }


def of_verify(report: backup_verify.Report) -> dict[str, Any]:
    """Of a verify."""
    counts = {"objects": report.objects, "bytes": report.bytes, "damaged": len(report.findings)}
    return {"backups": len(report.backups), "part": report.part, **counts}


def of_prune(report: backup_prune.Report) -> dict[str, Any]:
    """Of a prune."""
    counts = {"kept": len(report.kept), "removed": len(report.removed)}
    return {**counts, "objects": report.objects, "bytes": report.bytes}


def of_rehearsal(report: backup_rehearse.Report) -> dict[str, Any]:
    """Of a rehearsal."""
    counts = {"files": report.files, "bytes": report.bytes, "rows": report.rows, "results": report.results}
    return {"backup": report.backup, **counts, "findings": len(report.findings)}


def record(session: Session, *, kind: str, outcome: Mapping[str, Any], began: datetime, ended: datetime) -> None:
    """Keep what a command has done. Does not commit."""
    times = {"created_at": began, "not_before": began, "started_at": began, "finished_at": ended}
    job = Job(job_id=uuid4(), kind=kind, outcome=dict(outcome), status="completed", attempt=1, progress=1.0, **times)
    job.worker = COMMAND
    session.add(job)
