"""Addresses of this tool's own pages, always relative to the page that they are written on.

Behind a proxy the tool may be reached as ``http://hub/user/ann/proxy/8000/``, and need not know:
whatever stands before the path of a page stands before the paths of all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import unquote, urlsplit

import flask
from flask import request
from werkzeug import Response

from alutils.base.errors import ParameterError

_PREFIX = re.compile(r"(/[\w.~@%+-]+)+", re.ASCII)
_HOST = re.compile(r"[\w.:-]+", re.ASCII)
_Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def relative(path: str) -> str:
    """Return a path within the tool, ``/one/3?tries=2``, as it is written on the present page."""
    return ("../" * (request.path.count("/") - 1) or "./") + path.lstrip("/")


def address(endpoint: str, **values: Any) -> str:
    """Return the address of a page, as `flask.url_for`, relative to the present page."""
    return relative(flask.url_for(endpoint, **values).removeprefix(request.script_root))


def go_to(path: str) -> Response:
    """Send the browser on to a path within the tool."""
    return flask.redirect(relative(path))


def checked_prefix(prefix: str) -> str:
    """Return a prefix without the slash at its end.

    Raises
    ------
    ParameterError
        If it is no path of plain characters.
    """
    prefix = prefix.rstrip("/")
    steps = set(unquote(prefix).split("/"))  # a browser takes %2e for a dot
    if prefix and (not _PREFIX.fullmatch(prefix) or {".", ".."} & steps):
        raise ParameterError(
            "--prefix", prefix, "expected the path that a proxy puts before the tool's own",
            "/user/ann/proxy/8000, say",
        )  # fmt: skip
    return prefix


def checked_host(name: str) -> str:
    """Return a host's name as browsers send it.

    Raises
    ------
    ParameterError
        If no request can have it: the tool would answer nobody under it.
    """
    shown = f"[{name}]" if name.count(":") > 1 else name
    try:
        is_name = name.isascii() and urlsplit(f"//{shown}").hostname == name.lower()
    except ValueError:
        is_name = False
    if not is_name or not _HOST.fullmatch(name) or name.endswith("."):
        raise ParameterError(
            "--name", name, "expected a host's name alone, without http:// and port",
            "hub.example.org, say; one with other letters in its form with xn--",
        )  # fmt: skip
    return name.lower()


class Prefixed:
    """Takes the prefix from the paths of requests, where the proxy has left it there."""

    def __init__(self, application: _Wsgi, prefix: str) -> None:
        self._application, self._prefix = application, prefix

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer a request."""
        path = environ.get("PATH_INFO", "")
        if path == self._prefix or path.startswith(f"{self._prefix}/"):
            environ["PATH_INFO"] = path[len(self._prefix) :] or "/"
        environ["SCRIPT_NAME"] = self._prefix  # the path that cookies are for
        return self._application(environ, start_response)
