"""Headers of every answer, cookies that are secure where the connection is, and who may knock at all."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from flask import Flask, Response, request
from flask.sessions import SecureCookieSessionInterface
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import IntegerConverter

from storage_core.access import is_loopback
from webapp.extensions import settings

# lightweight-charts puts one style element beside its attribution logo; this is the hash of its text.
CHART_LOGO_STYLE: Final = "'sha256-3pRED1tOXas1FXFoPb9TGCjmYe9XQsmO9OV23khV2nY='"

CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        f"style-src 'self' {CHART_LOGO_STYLE}",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)

HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
STRICT_TRANSPORT: Final = "max-age=31536000"
"""Only over HTTPS, only this host: its neighbours under the same name are not ours to promise for."""
FORWARDED: Final = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via")
OWN_DEFAULT: Final = "private, no-cache"


class SessionCookies(SecureCookieSessionInterface):
    """Cookies carry Secure exactly when the request came over HTTPS, so that plain localhost works too."""

    def get_cookie_secure(self, app: Flask) -> bool:
        """Whether the answer's cookie may travel over HTTPS only."""
        return request.is_secure


class Number(IntegerConverter):
    """A number in an address: one that a database can look for, so that a longer one is just not found."""

    regex = r"[0-9]{1,9}"


def init_app(app: Flask) -> None:
    """Set the headers on every answer, errors included; believe as many proxies as the settings say."""
    app.session_interface = SessionCookies()
    app.url_map.converters["int"] = Number
    here = app.extensions["settings"]
    if here.trusted_proxies:
        hops = here.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    if here.auth == "none":
        app.before_request(only_this_machine)

    @app.after_request
    def add_headers(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if request.is_secure:
            response.headers.setdefault("Strict-Transport-Security", STRICT_TRANSPORT)
        if "Cache-Control" not in response.headers:
            response.headers["Cache-Control"] = OWN_DEFAULT
        return response


def only_this_machine() -> Response | None:
    """Without log-in: refuse what comes from elsewhere, through a proxy, or under a name that is not this machine's.

    The last is what a web site does whose name suddenly leads to 127.0.0.1 (DNS rebinding): the browser sends its
    requests here, with the site's name in the header Host.
    """
    from_here = is_loopback(request.remote_addr or "")
    if from_here and is_loopback(_host_name()) and not any(name in request.headers for name in FORWARDED):
        return None
    where = f"http://127.0.0.1:{settings().port}"
    said = f"Without log-in (AUTH=none) only this machine is served, at {where}, and not through a proxy.\n"
    return Response(said, 403, mimetype="text/plain")  # not a page: it would show who is in


def _host_name() -> str:
    try:
        return urlsplit(f"//{request.headers.get('Host', '')}").hostname or ""
    except ValueError:
        return ""
