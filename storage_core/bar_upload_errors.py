"""Why a file that somebody sent cannot become bars."""

from __future__ import annotations

from storage_core.errors import StorageError


class BadUpload(StorageError):
    """The file, or what was said about it, cannot work. `field` is the part of the form that it concerns."""

    permanent = True

    def __init__(self, problem: str, *, field: str = "file") -> None:
        self.problem, self.field = problem, field
        super().__init__(problem)


class UploadGone(StorageError):
    """The file was saved, given up, or lay about for too long."""

    permanent = True

    def __init__(self, upload_id: str) -> None:
        self.upload_id = upload_id
        super().__init__("this upload is gone: it was saved or given up, or is older than a day; send the file again")
