"""Compiled code: everything under this folder is @njit, and nothing elsewhere is.

Machine code is cached in a folder named by the sha256 of all sources here: numba's own cache does not notice a change
in another file, and would run old code after a deploy. The folder is chosen before numba is imported.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

_F = TypeVar("_F", bound=Callable[..., Any])


def sources_digest() -> str:
    """The first 16 hex digits of the sha256 of all kernel sources, names included."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _cache_folder() -> Path:
    given = os.environ.get("NUMBA_CACHE_DIR")
    root = Path(given) if given else Path.home() / ".cache" / "coin-hts"
    if root.name.startswith("kernels-"):  # a child process inherits the folder that its parent chose
        root = root.parent
    return root / f"kernels-{sources_digest()}"


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:  # a service account without a home
        folder = Path(tempfile.gettempdir()) / f"coin-hts-{os.getuid()}" / folder.name
        folder.mkdir(parents=True, exist_ok=True)
    return folder


os.environ["NUMBA_CACHE_DIR"] = str(_made(_cache_folder()))

import numba  # noqa: E402


def njit(function: _F) -> _F:
    """numba.njit as used here, keeping the function's type: cached on disk, without the GIL, IEEE division."""
    return cast("_F", numba.njit(cache=True, nogil=True, error_model="numpy", forceinline=True)(function))
