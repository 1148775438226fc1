"""Addresses of this site that come in from outside: ways back, and where a form stood."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import request, url_for


def local_path(target: str | None) -> str:
    """`target` when it is a path on this site, else the home page: no open redirects."""
    home = url_for("home.page")
    if not target or not target.startswith("/") or target.startswith(("//", "/\\")) or "\\" in target:
        return home
    if any(ord(character) < 0x20 for character in target):
        return home
    parts = urlsplit(target)
    return home if parts.scheme or parts.netloc else target


def page_before() -> str:
    """The page of this site on which the link or the form of this request stood, as far as the browser tells."""
    shown = urlsplit(request.headers.get("Referer", ""))
    if shown.netloc.lower() != request.host.lower():
        return local_path(None)
    return local_path(f"{shown.path}?{shown.query}" if shown.query else shown.path)


def from_our_page() -> bool:
    """Whether a page of this site sent the request, as the browser says: no other site can make it say so."""
    return urlsplit(request.headers.get("Origin", "")).netloc.lower() == request.host.lower()
