"""The process that decodes strangers' pictures; `alutils.labelling.web.decoders` starts it.

A job comes in on standard input, its answer goes out on standard output, one after another: a
length, a JSON object, and the bytes that belong to it, whose number the object says. The process
gives itself limits of time and memory; what is above them ends it, or is told as a refusal.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import signal
import struct
import sys
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image

from alutils.data.bad_picture import damaged
from alutils.labelling.web import pictures
from alutils.labelling.web.pictures import Picture, PictureError

_LENGTH = struct.Struct(">I")
_MEMORY = ("would need too much memory", "save it smaller")


def send(file: BinaryIO, about: dict[str, Any], content: bytes = b"") -> None:
    """Write a job or an answer."""
    head = json.dumps({**about, "n": len(content)}).encode()
    file.write(_LENGTH.pack(len(head)) + head + content)
    file.flush()


def receive(file: BinaryIO) -> tuple[dict[str, Any], bytes]:
    """Read a job or an answer; EOFError where the other end is gone."""
    (length,) = _LENGTH.unpack(_exactly(file, _LENGTH.size))
    about = json.loads(_exactly(file, length))
    return about, _exactly(file, about["n"])


def _exactly(file: BinaryIO, n: int) -> bytes:
    data = file.read(n)
    if len(data) < n:
        raise EOFError("the other end is gone")
    return data


def answer(about: dict[str, Any], content: bytes) -> tuple[dict[str, Any], bytes]:
    """Do a job: decode bytes, read a file, or make a picture's file smaller.

    Parameters
    ----------
    about : ``do`` is ``decode``, ``read`` or ``small``; ``name`` of the picture or ``path`` of its
        file, and ``side`` in pixels for ``small``
    content : the picture's bytes, for ``decode``
    """
    try:
        try:
            if about["do"] == "small":
                return {}, _smaller(Path(about["path"]), about["side"])
            if about["do"] == "read":
                picture = pictures.read(Path(about["path"]))
            else:
                picture = pictures.decode(content, about["name"])
        except MemoryError:
            name = about.get("name") or Path(about["path"]).name
            raise PictureError(name, *_MEMORY) from None
    except PictureError as error:
        return {"name": error.name, "problem": error.problem, "hint": error.hint}, b""
    return {name: part for name, part in picture._asdict().items() if name != "png"}, picture.png


def as_picture(about: dict[str, Any], content: bytes) -> Picture:
    """Read an answer; PictureError where it is a refusal."""
    if "problem" in about:
        raise PictureError(about["name"], about["problem"], about["hint"])
    if hashlib.sha256(content).hexdigest() != about["sha256"]:
        raise PictureError(about["name"], "could not be decoded", "get it again")
    return Picture(
        content, about["sha256"], about["name"], about["width"], about["height"],
        tuple(about["notes"]), about["file_sha256"],
    )  # fmt: skip


def _smaller(path: Path, side: int) -> bytes:
    try:
        with Image.open(path, formats=("PNG",)) as image:
            image.thumbnail((side, side))
            file = io.BytesIO()
            image.save(file, "PNG")
    except MemoryError:
        raise
    except Exception as error:  # OSError, SyntaxError, ValueError, zlib.error ...: all damage
        bad = damaged(str(error))
        raise PictureError(path.name, bad.problem, bad.hint) from error
    return file.getvalue()


def _limit_memory(most: int) -> None:
    """Allow so many bytes more than are used now, where the system can."""
    try:
        import resource
    except ImportError:  # Windows: there the limit of time must do
        return
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except OSError:  # macOS, which does not keep to this limit either
        return
    limit = pages * os.sysconf("SC_PAGE_SIZE") + most
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _limit_time(seconds: float) -> None:
    """End this process after so much time of the processor, counted from now."""
    try:
        import resource
    except ImportError:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = int(used.ru_utime + used.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (most, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def main() -> None:
    """Do jobs until there is nobody who sends any: ``SECONDS BYTES`` are the limits."""
    seconds, memory = float(sys.argv[1]), int(sys.argv[2])
    jobs, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no answer
    logging.basicConfig(format="%(message)s")
    if os.name != "nt":
        os.nice(5)  # people's requests go first
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    _limit_memory(memory)
    while True:
        try:
            about, content = receive(jobs)
        except EOFError:
            return
        _limit_time(seconds)
        send(answers, *answer(about, content))


if __name__ == "__main__":
    main()
