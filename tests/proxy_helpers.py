"""A reverse proxy as Jupyter has one: what lies under a path goes to the tool, without it."""

import http.client
import http.cookiejar
import re
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from alutils.labelling.web.server import create_server

PREFIX = "/user/ann/proxy/8000"


@contextmanager
def proxied(app, *, prefix: str = PREFIX, strips: bool = True) -> Iterator[str]:
    """Serve an application behind a proxy; gives the address to visit.

    ``strips``: whether the proxy takes the prefix from the paths. Whatever is asked for beside the
    prefix is a page of the hub's: 404.
    """
    behind = create_server(app, host="127.0.0.1", port=0, threads=8)
    port = int(behind.effective_port)
    asked: list[str] = []

    class Hub(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            n = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(n)
            if not self.path.startswith(f"{prefix}/"):
                asked.append(self.path)
                self.send_error(404, "the hub has no such page")
                return
            path = self.path.removeprefix(prefix) if strips else self.path
            headers = dict(self.headers) | {
                "X-Forwarded-Prefix": prefix, "X-Forwarded-Host": self.headers["Host"],
                "Connection": "close",
            }  # fmt: skip
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=120)) as tool:
                tool.request(self.command, path, body, headers)
                answer = tool.getresponse()
                content = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                    self.send_header(name, value)
            if answer.status != 304:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_HEAD = forward

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    hub = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    for run in (behind.run, hub.serve_forever):
        threading.Thread(target=run, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{hub.server_address[1]}{prefix}"
    finally:
        hub.shutdown()
        hub.server_close()
        behind.close()
        behind.task_dispatcher.shutdown()
    # A browser asks for one by itself.
    assert [path for path in asked if path != "/favicon.ico"] == []


class Visitor:
    """A browser without scripts: keeps cookies by their paths, follows redirects."""

    def __init__(self, url: str) -> None:
        self.url, self.cookies = url, http.cookiejar.CookieJar()
        handler = urllib.request.HTTPCookieProcessor(self.cookies)
        self._opener = urllib.request.build_opener(handler)
        self.token = ""

    def get(self, path: str, **headers: str) -> tuple[int, str, str]:
        """Return the status, where one is then, and the text."""
        return self._open(urllib.request.Request(self.url + path, headers=headers))

    def post(self, path: str, **form: str) -> tuple[int, str, str]:
        """Send a form with the token of the last page."""
        data = urllib.parse.urlencode({**form, "csrf_token": self.token}).encode()
        return self._open(urllib.request.Request(self.url + path, data))

    def ask(self, action: str, body: bytes) -> tuple[int, str, str]:
        """Ask for an action."""
        headers = {"Content-Type": "application/json", "X-CSRFToken": self.token}
        return self._open(urllib.request.Request(f"{self.url}/api/{action}", body, headers))

    def _open(self, request: urllib.request.Request) -> tuple[int, str, str]:
        try:
            with self._opener.open(request, timeout=120) as answer:
                status, where, data = answer.status, answer.url, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                status, where, data = error.code, error.url, error.read()
        text = data.decode(errors="replace")
        if found := re.search(r'name="csrf-token" content="([^"]+)"', text):
            self.token = found[1]
        return status, where.removeprefix(self.url), text
