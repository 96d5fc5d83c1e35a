"""What keeps strangers out of the labelling tool, and their pages away from it.

On loopback the tool answers this machine's own names only, so that a page elsewhere cannot reach it
through a name that it makes point here (DNS rebinding). Bound wider, it also wants the token that
is printed at start, once for each browser.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from flask import Flask, abort, request, session
from flask.sessions import SecureCookieSessionInterface
from itsdangerous import URLSafeTimedSerializer
from werkzeug import Response

from alutils.base.errors import ParameterError
from alutils.base.files import atomic_file
from alutils.labelling.web.addresses import go_to

LOOPBACK = ("localhost", "127.0.0.1", "::1")
# And the beginning of the project's id: browsers send a cookie to all ports of a machine, so with
# one name for all each project would sign out the one before.
COOKIE = "alutils_labelling"
PROJECT_HEADER = "X-Labelling-Project"  # which project a page's request is meant for
_SECRET = "secret"  # file in the project's folder
_SECRET_BYTES = 32

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob:; object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


@dataclass(frozen=True)
class Access:
    """Who may come in."""

    hosts: tuple[str, ...]  # names that the tool answers to, in small letters, without port
    any_address: bool  # to any numerical address too: a name cannot be made to look like one
    token: str | None  # what a browser must show once; None on loopback
    secret: bytes  # signs cookies


def access(host: str, secret: bytes, names: tuple[str, ...] = ()) -> Access:
    """Decide who may come in by the address that is listened on.

    Parameters
    ----------
    host : to listen on; ``0.0.0.0`` and ``::`` mean every address of the machine
    secret : as `project_secret` gives it
    names : more names that the tool is reached by, behind a proxy for example

    Raises
    ------
    ParameterError
        If the host's name cannot be found.
    """
    names = tuple(name.lower() for name in names)
    if is_loopback(host):
        return Access((*LOOPBACK, *names), False, None, secret)
    own = (socket.gethostname().lower(), socket.getfqdn().lower(), host.lower())
    token = secrets.token_urlsafe(_SECRET_BYTES)
    return Access(tuple(dict.fromkeys((*LOOPBACK, *own, *names))), True, token, secret)


class _Timeless(URLSafeTimedSerializer):
    """Signs as Flask does, and looks at no clock when it reads."""

    def loads(self, s: str | bytes, *arguments: Any, **_: Any) -> Any:
        """Read what was signed, whenever that was."""
        return super().loads(s)


class _Sessions(SecureCookieSessionInterface):
    """Sessions as Flask's, which would end for everybody when the system's clock is set back.

    A cookie ends with the project's secret; the browser forgets it after a month.
    """

    _signs: _Timeless | None = None

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        """Return what signs cookies, in the form that Flask's own has."""
        if self._signs is None:
            how = {"key_derivation": self.key_derivation, "digest_method": self.digest_method}
            assert app.secret_key is not None  # `protect` has set it
            self._signs = _Timeless(
                app.secret_key, salt=self.salt, serializer=self.serializer, signer_kwargs=how
            )
        return self._signs


def is_loopback(host: str) -> bool:
    """Tell whether nobody but this machine can reach what listens there."""
    try:
        found = socket.getaddrinfo(host, None)
    except OSError as error:
        raise ParameterError(
            "--host", host, f"no such address ({error.strerror})", "127.0.0.1 is the default"
        ) from error
    return all(ipaddress.ip_address(str(where[4][0]).split("%")[0]).is_loopback for where in found)


def project_secret(folder: Path) -> bytes:
    """Return the key that signs a project's cookies, made at random at the first call.

    It lies in the project's folder, readable by its owner alone, so that people stay signed
    in when the tool is started again. A damaged one is replaced.
    """
    path = folder / _SECRET
    if path.is_file() and len(secret := path.read_bytes()) == _SECRET_BYTES:
        path.chmod(0o600)
        return secret
    secret = secrets.token_bytes(_SECRET_BYTES)
    with atomic_file(path, permissions=0o600) as file:
        file.write(secret)
    return secret


def protect(app: Flask, who: Access, project: str) -> None:
    """Check Host and token before anything else, and put the security headers on every answer."""
    app.secret_key = who.secret
    app.session_interface = _Sessions()
    app.config.update(
        SESSION_COOKIE_NAME=f"{COOKIE}_{project[:12]}",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Strict",
        SESSION_REFRESH_EACH_REQUEST=False,  # it would be signed anew with every label
    )

    # A function of the app's own, put first: the check of CSRF tokens comes after it.
    @app.before_request
    def check() -> Response | None:
        if not _host_is_ours(request.host, who):
            abort(421, f"Host {request.host[:100]!r}: expected one of {', '.join(who.hosts)}")
        if who.token is None or request.endpoint == "health":
            return None
        mark = hashlib.sha256(who.token.encode()).hexdigest()  # an older token's mark is void
        if hmac.compare_digest(session.get("admitted", ""), mark):
            return None
        shown = request.args.get("token", "")
        if not hmac.compare_digest(shown.encode(), who.token.encode()):
            abort(401, "this browser is not known; open the link that was printed at the start")
        session["admitted"] = mark
        session.permanent = True
        # the token goes from the address bar and the history
        rest = {k: v for k, v in request.args.items() if k != "token"}
        return go_to(request.path + (f"?{urlencode(rest)}" if rest else ""))

    @app.after_request
    def add_headers(response: Response) -> Response:
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("Cache-Control", "no-store")
        return response


def _host_is_ours(host: str, who: Access) -> bool:
    try:
        name = (urlsplit(f"//{host.strip()}").hostname or "").rstrip(".")
        if name not in who.hosts and who.any_address:
            ipaddress.ip_address(name)  # ValueError where it is none
            return True
    except ValueError:
        return False
    return name in who.hosts
