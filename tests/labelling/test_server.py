"""Connections that are silent, slow or many keep nobody from working."""

import http.client
import socket
import threading
import time
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace

import flask
import pytest
from label_helpers import until

from alutils.labelling.web.server import Patience, create_server

HEAD = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n"
SHORT = Patience(idle_s=3, request_s=3, slowest=50_000, stalled_s=3, most=40, most_of_one=40)


def application() -> flask.Flask:
    app = flask.Flask(__name__, root_path="/")
    app.add_url_rule("/health", "health", lambda: {"status": "ok"})
    app.add_url_rule("/large", "large", lambda: bytes(64 * 2**20))
    app.add_url_rule(
        "/echo", "echo", lambda: {"n": len(flask.request.get_data())}, methods=["POST"]
    )
    return app


@contextmanager
def serving(patience: Patience, host: str = "127.0.0.1"):
    """Run the server with four threads; gives its port and itself."""
    server = create_server(application(), patience, host=host, port=0, threads=4)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield server.effective_port, server
    finally:
        server.close()
        server.task_dispatcher.shutdown()
        thread.join(60)


def is_healthy(port: int) -> bool:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", "/health")
        return connection.getresponse().read() == b'{"status":"ok"}\n'


def connect(opened: ExitStack, port: int, n: int, said: bytes = b"") -> list[socket.socket]:
    found = []
    for _ in range(n):
        one = opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
        one.sendall(said)
        found.append(one)
    return found


def is_closed(one: socket.socket) -> bool:
    one.settimeout(0.01)
    try:
        return one.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


ATTACKS = {
    "nothing is said": b"",
    "half a line": b"GET /hea",
    "a head without its end": HEAD,
    "a body without its end": HEAD + b"\r\n" + b"x" * 10,
    "an empty line": b"\r\n",
    "chunks without an end": HEAD.replace(b"Content-Length: 100000", b"Transfer-Encoding: chunked")
    + b"\r\n5\r\nhello\r\n",
    "one request and silence": b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a promise of a body": HEAD + b"Expect: 100-continue\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_130_connections_keep_nobody_out_and_are_closed_in_time(attack):
    with serving(replace(SHORT, most=100)) as (port, server), ExitStack() as opened:
        connections = connect(opened, port, 130, ATTACKS[attack])
        assert is_healthy(port)
        until(lambda: len(server.active_channels) <= 100)
        until(lambda: not server.active_channels)  # each has had its time
        for one in connections:
            one.settimeout(60)
            while one.recv(4096):
                pass
        assert is_healthy(port)


@pytest.mark.parametrize("start", [HEAD, HEAD + b"\r\n"])
def test_who_sends_byte_by_byte_has_no_more_time(start):
    with serving(SHORT) as (port, server), ExitStack() as opened:
        (slow,) = connect(opened, port, 1, start)
        until(lambda: server.active_channels)

        def send() -> bool:
            time.sleep(0.2)
            try:
                slow.sendall(b"x")
            except OSError:
                return True
            return is_closed(slow)

        until(send)
        assert is_healthy(port)


def test_half_closed_connections_are_closed():
    with (
        serving(replace(SHORT, idle_s=600, request_s=600)) as (port, server),
        ExitStack() as opened,
    ):
        for said in (b"", b"GET /hea", HEAD + b"\r\nx"):
            (one,) = connect(opened, port, 1, said)
            one.shutdown(socket.SHUT_WR)
        until(lambda: not server.active_channels)
        assert is_healthy(port)


def test_who_takes_no_answer_gives_the_thread_back():
    ask = b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with serving(SHORT) as (port, server), ExitStack() as opened:
        connect(opened, port, 4, ask)  # all threads wait for them to take the answer
        until(lambda: not server.active_channels)
        assert is_healthy(port)


def test_an_upload_at_the_pace_of_a_slow_line_is_taken():
    patience = replace(SHORT, request_s=1, slowest=1_000, idle_s=1)
    with serving(patience) as (port, _), ExitStack() as opened:
        (one,) = connect(opened, port, 1, HEAD + b"\r\n")
        for _ in range(20):
            one.sendall(b"x" * 5_000)  # 25 times the least pace, and three times the time
            time.sleep(0.2)
        assert b'{"n":100000}' in one.recv(4096)


def test_who_was_silent_for_longest_makes_room_and_who_works_stays():
    with serving(replace(SHORT, idle_s=600, most=5)) as (port, server), ExitStack() as opened:
        person = opened.enter_context(
            closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60))
        )
        for _ in range(6):
            person.request("GET", "/health")
            assert person.getresponse().read()
            silent = connect(opened, port, 2)
        place = person.sock
        person.request("GET", "/health")
        assert person.getresponse().read()
        assert person.sock is place  # it is the same connection
        until(lambda: len(server.active_channels) <= 5)
        assert not is_closed(silent[-1])


def test_one_address_cannot_take_the_places_of_others(monkeypatch):
    monkeypatch.setattr(
        "alutils.labelling.web.server._who", lambda channel: f"{channel.addr[1] in others}"
    )
    others: set[int] = set()
    patience = replace(SHORT, idle_s=600, most=60, most_of_one=10)
    with serving(patience) as (port, server), ExitStack() as opened:
        kept = opened.enter_context(socket.socket())
        kept.bind(("127.0.0.1", 0))
        others.add(kept.getsockname()[1])
        kept.connect(("127.0.0.1", int(port)))
        connect(opened, port, 40)
        until(lambda: len(server.active_channels) == 11)
        assert not is_closed(kept)


def test_connections_have_their_time_when_the_clock_is_set(monkeypatch):
    with serving(SHORT) as (port, server), ExitStack() as opened:
        now = time.time
        monkeypatch.setattr(time, "time", lambda: now() - 5 * 3600)
        connect(opened, port, 3)
        until(lambda: not server.active_channels)
        assert is_healthy(port)
