"""What htmx needs from an answer: fragments for its requests, redirects and retargets as headers."""

from __future__ import annotations

from flask import Response, make_response, redirect, request


def is_htmx() -> bool:
    """Whether htmx asks for a fragment (and not to restore a page from its history)."""
    return "HX-Request" in request.headers and "HX-History-Restore-Request" not in request.headers


def go_to(address: str) -> Response:
    """Send the person to `address`: a 303 for browsers, HX-Redirect for htmx, which cannot see a 303."""
    if not is_htmx():
        return make_response(redirect(address, 303))
    return Response(status=204, headers={"HX-Redirect": address})


def replacing(html: str, selector: str) -> Response:
    """An answer that takes the place of `selector` instead of the element that asked."""
    response = make_response(html)
    response.headers["HX-Retarget"] = selector
    response.headers["HX-Reswap"] = "outerHTML"
    return response


def wants_login(response: Response) -> Response:
    """Let the page, which stays as it is, ask for the log-in or for the token of a newer one (login.js)."""
    response.headers["X-Login"] = "again"
    return response


def after_the_queue_moved(response: Response) -> Response:
    """Let the figures in the header ask anew at once, instead of telling of what has just ended."""
    response.headers["HX-Trigger"] = "queue-moved"
    return response


def vary(response: Response) -> Response:
    """Keep caches from mixing up a page and its fragment, which share an address."""
    response.vary.add("HX-Request")
    return response
