"""Static files: each address carries a hash of the content, so browsers keep a file for good.

They are compressed once a process and answered from memory: a file's stream would be compressed for every visitor.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from functools import lru_cache
from pathlib import Path
from typing import Final

from flask import Flask, Response, abort, request, url_for
from werkzeug.security import safe_join

FOREVER: Final = "public, max-age=31536000, immutable"
TYPES: Final = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
LONGEST_NAME: Final = 200  # a system refuses names over 255 bytes with an error of its own


def init_app(app: Flask, folder: Path) -> None:
    """Serve `folder` under /static and offer `asset('css/app.css')` to the templates."""

    @app.template_global()
    def asset(name: str) -> str:
        return url_for("static", filename=name, v=version(folder / name))

    def static(filename: str) -> Response:
        found = safe_join(str(folder), filename) if len(filename) <= LONGEST_NAME else None
        if found is None or not Path(found).is_file():
            abort(404)
        return _answer(Path(found))

    app.add_url_rule("/static/<path:filename>", "static", static)


def version(path: Path) -> str:
    """The first 12 hex digits of the sha256 of the file at `path`."""
    return _digest(path, *_state(path))


def _answer(path: Path) -> Response:
    current = version(path)
    response = Response(content_type=TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0])
    response.headers["Cache-Control"] = FOREVER if request.args.get("v") == current else "no-cache"
    response.set_etag(current)
    response.vary.add("Accept-Encoding")
    if request.accept_encodings["gzip"] > 0:
        response.headers["Content-Encoding"] = "gzip"
        response.set_data(_compressed(path, *_state(path)))
    else:
        response.set_data(path.read_bytes())
    return response.make_conditional(request)


def _state(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size


@lru_cache(maxsize=64)
def _digest(path: Path, mtime_ns: int, size: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


@lru_cache(maxsize=64)
def _compressed(path: Path, mtime_ns: int, size: int) -> bytes:
    return gzip.compress(path.read_bytes(), 9, mtime=0)
