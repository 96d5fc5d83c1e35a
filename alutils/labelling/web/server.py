"""The web server: waitress, with time limits for connections that keep others from theirs.

A connection that says nothing, or says a request byte by byte, costs a place. Here every one gets
its time, by a clock that nobody sets; and where there are too many, who has been silent for longest
makes room for the next. So there is always a place for a person who labels.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import MultiSocketServer, TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher


@dataclass(frozen=True)
class Patience:
    """How long connections are waited for, and how many there may be."""

    idle_s: float = 75.0  # between two requests
    request_s: float = 20.0  # from a request's first byte to the end of its head
    slowest: float = 4096.0  # bytes a second of a body, on the whole, after that time
    stalled_s: float = 60.0  # without a byte of an answer being taken
    most: int = 400  # connections; many systems allow a program 1024 files
    most_of_one: int = 100  # of one address; of this machine's own, where proxies are, all


class Channel(HTTPChannel):
    """A connection that knows since when it has kept others waiting."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.heard = self.moved = time.monotonic()  # when it sent, and took, something last
        self.began: float | None = None  # when the request that is coming in began
        super().__init__(*arguments, **options)

    def received(self, data: bytes) -> bool:
        """Take in what was sent."""
        self.heard = time.monotonic()
        if self.request is None:
            self.began = self.heard
        found = super().received(data)
        if self.request is None:
            self.began = None
        return bool(found)

    def _flush_some(self, do_close: bool = True) -> bool:
        is_moving = super()._flush_some(do_close=do_close)
        if is_moving or not self.total_outbufs_len:
            self.moved = time.monotonic()
        return bool(is_moving)

    @property
    def silent_since(self) -> float | None:
        """Since when nothing whole came from there; None while a request is being answered."""
        if self.requests:
            return None
        return self.heard if self.began is None else self.began

    def is_overdue(self, now: float, patience: Patience) -> bool:
        """Tell whether it has had its time."""
        if self.total_outbufs_len:
            return now - self.moved > patience.stalled_s
        if self.requests:
            self.moved = now  # from when its answer begins
            return False
        if self.began is None:
            return now - max(self.heard, self.moved) > patience.idle_s
        time_s, coming = patience.request_s, self.request
        if coming is not None and coming.headers_finished:
            time_s += coming.body_bytes_received / patience.slowest
        return now - self.began > time_s

    def drop(self) -> None:
        """Close it at the next turn, whatever is still to be sent."""
        self.will_close = True
        with contextlib.suppress(OSError):  # the other end has closed it
            self.socket.shutdown(socket.SHUT_RDWR)


class Server(TcpWSGIServer):
    """Listens on one address, and gives each connection its time."""

    channel_class = Channel
    patience = Patience()
    _looked = 0.0

    def readable(self) -> bool:
        """Accept always; once a second, close what has had its time."""
        now = time.monotonic()
        if now - self._looked >= 1:
            self._looked = now
            for channel in list(self.active_channels.values()):
                if channel.is_overdue(now, self.patience):
                    channel.drop()
        return bool(self.accepting)

    def handle_accept(self) -> None:
        """Accept a connection, and make room if it is one too many."""
        super().handle_accept()
        channels = [c for c in self.active_channels.values() if not c.will_close]
        of = Counter(_who(channel) for channel in channels)
        others = [who for who, n in of.items() if n > self.patience.most_of_one and who]
        if others:
            channels = [channel for channel in channels if _who(channel) in others]
        elif len(channels) <= self.patience.most:
            return
        silent = [c for c in channels if c.silent_since is not None]
        if silent:
            min(silent, key=lambda channel: channel.silent_since or 0.0).drop()


def _who(channel: Channel) -> str:
    """Return whose connection it is; '' for this machine, where proxies speak for many."""
    address = str(channel.addr[0])
    is_own = address.startswith(("127.", "::ffff:127.")) or address == "::1"
    return "" if is_own else address


def create_server(
    application: Callable[..., Any], patience: Patience | None = None, **adjustments: Any
) -> Any:
    """Listen on an address, all that a host's name has: as `waitress.create_server`.

    Parameters
    ----------
    application : for WSGI
    patience : with connections
    adjustments : ``host``, ``port``, ``threads`` and others of waitress
    """
    # Places are not counted there but here; and more than 1024 sockets need poll.
    adjustments |= {"connection_limit": 2**31 - 1, "asyncore_use_poll": True}
    adj = Adjustments(**adjustments)
    dispatcher = ThreadedTaskDispatcher()
    sockets: dict[int, Any] = {}
    dispatcher.set_thread_count(adj.threads)
    servers = [
        Server(application, sockets, dispatcher=dispatcher, adj=adj, sockinfo=place)
        for place in adj.listen
    ]
    for server in servers:
        server.patience = patience or server.patience
    if len(servers) == 1:
        return servers[0]
    listen = [(one.effective_host, one.effective_port) for one in servers]
    return MultiSocketServer(sockets, adj, listen, dispatcher, servers[0].log_info)
