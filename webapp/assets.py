"""Static files: each address carries a hash of the content, so browsers keep a file for good."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Final

from flask import Flask, Response, request, url_for

FOREVER: Final = "public, max-age=31536000, immutable"


def init_app(app: Flask) -> None:
    """Offer `asset('css/app.css')` to the templates and mark versioned answers as immutable."""
    folder = Path(app.static_folder or "")

    @app.template_global()
    def asset(name: str) -> str:
        return url_for("static", filename=name, v=version(folder / name))

    @app.after_request
    def cache(response: Response) -> Response:
        if request.endpoint == "static" and response.status_code in (200, 304):
            name = str((request.view_args or {})["filename"])
            current = request.args.get("v") == version(folder / name)
            response.headers["Cache-Control"] = FOREVER if current else "no-cache"
        return response


def version(path: Path) -> str:
    """The first 12 hex digits of the sha256 of the file at `path`."""
    stat = path.stat()
    return _digest(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=256)
def _digest(path: Path, mtime_ns: int, size: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]
