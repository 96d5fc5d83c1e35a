"""Strangers' pictures are read in processes that can be killed: one file keeps nobody waiting."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from label_helpers import BAD, DECODERS, encoded, heavy, letter, png, until
from PIL import Image

from alutils.labelling.store.records import LabellingError
from alutils.labelling.web import pictures
from alutils.labelling.web.decoders import BusyError, Decoders, Limits
from alutils.labelling.web.pictures import PictureError

LONG_S = 300.0


def processes(of: int | None = None) -> list[psutil.Process]:
    """Return the processes that decode pictures for a process."""
    found = []
    for child in psutil.Process(of).children():
        try:
            if any("decoder_work" in part for part in child.cmdline()):
                found.append(child)
        except psutil.Error:  # it has just ended
            continue
    return found


@pytest.fixture
def one():
    """Return decoders with one process that has started, and the process."""
    before = {process.pid for process in processes()}
    with closing(Decoders(1, Limits(wall_s=15))) as decoders:
        decoders.decode(png(), "a.png")
        (process,) = (each for each in processes() if each.pid not in before)
        yield decoders, process


def test_a_picture_is_what_decoding_here_gives():
    for image, kind in ((letter(1), "PNG"), (Image.new("RGBA", (9, 5), (1, 2, 3, 4)), "WEBP")):
        data = encoded(image, kind)
        assert DECODERS.decode(data, "a b.png") == pictures.decode(data, "a b.png")


@pytest.mark.parametrize("name", ["html", "png cut in its pixels", "animated gif", "text"])
def test_a_refusal_is_what_decoding_here_gives(name):
    data = BAD[name][0]()
    with pytest.raises(PictureError) as here:
        pictures.decode(data, name)
    with pytest.raises(PictureError) as there:
        DECODERS.decode(data, name)
    assert str(there.value) == str(here.value)


def test_files_come_in_their_order_with_refusals_between(tmp_path):
    kinds = [(k, BAD["text"][0]() if k % 7 == 3 else png(k)) for k in range(60)]
    paths = [tmp_path / f"{k}.png" for k, _ in kinds]
    for path, (_, data) in zip(paths, kinds, strict=True):
        path.write_bytes(data)
    for (k, data), found in zip(kinds, DECODERS.read_all(paths), strict=True):
        if k % 7 == 3:
            assert isinstance(found, PictureError)
        else:
            assert found == pictures.decode(data, f"{k}.png")


@pytest.mark.parametrize("name", ["a\nb.png", "ü" * 80 + ".png", "a\udcffb.png", '"\\x.png'])
def test_names_may_be_odd(tmp_path, name):
    path = Path(os.fsdecode(os.fsencode(tmp_path / name)))
    path.write_bytes(png())
    others = [path] * 30
    assert {found.sha256 for found in DECODERS.read_all(others)} == {pictures.read(path).sha256}
    assert DECODERS.decode(png(), name).name == pictures.decode(png(), name).name


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(PictureError, match="not there any more"):
        DECODERS.read(tmp_path / "none.png")
    assert DECODERS.decoded_hash(tmp_path / "none.png") == ""


def test_what_takes_too_long_is_refused_and_the_others_are_read(tmp_path):
    paths = [tmp_path / f"{k}.png" for k in range(6)]
    for k, path in enumerate(paths):
        path.write_bytes(heavy(7000) if k in (1, 4) else png(k))
    with closing(Decoders(1, Limits(cpu_s=0.5))) as decoders:
        found = list(decoders.read_all(paths))
        for k, each in enumerate(found):
            if k in (1, 4):
                assert "would take too much time or memory" in str(each)
            else:
                assert each.sha256 == pictures.read(paths[k]).sha256


def test_what_needs_too_much_memory_is_refused(tmp_path):
    large = encoded(Image.new("RGBA", (6000, 6000), (1, 2, 3, 100)), "PNG")
    with closing(Decoders(1, Limits(memory=150 * 2**20))) as decoders:
        for data in (large, heavy(), encoded(Image.new("RGB", (9000, 5000)), "TIFF")):
            with pytest.raises(PictureError):
                decoders.decode(data[:30_000_000], "large.png")
        assert decoders.decode(png(), "a.png").width == 28


def test_a_process_that_stands_still_is_ended(one):
    decoders, process = one
    process.suspend()
    with pytest.raises(PictureError, match="too much time"):
        decoders.decode(png(1), "b.png")
    assert decoders.decode(png(1), "b.png").width == 28


def test_a_process_that_is_killed_is_started_again(one, tmp_path):
    decoders, process = one
    process.kill()
    assert decoders.decode(png(1), "b.png").width == 28  # it was at nothing
    (tmp_path / "a.png").write_bytes(png())
    with closing(decoders.read_all([tmp_path / "a.png"] * 40)) as found:
        next(found)
        processes()[-1].kill()
        rest = list(found)
    assert len(rest) == 39 and sum(isinstance(each, PictureError) for each in rest) <= 1


def test_who_stops_in_between_leaves_no_answer_for_the_next(tmp_path):
    for k in range(20):
        (tmp_path / f"{k}.png").write_bytes(png(k))
    with closing(Decoders(1)) as decoders:
        with closing(decoders.read_all(tmp_path / f"{k}.png" for k in range(20))) as found:
            next(found)
        assert decoders.decode(png(99), "x.png") == pictures.decode(png(99), "x.png")


def test_a_long_line_is_refused_for_now_and_nobody_else_is_held(one):
    _, process = one
    with closing(Decoders(1, most_waiting=2)) as decoders:
        decoders.decode(png(), "a.png")
        (mine,) = (p for p in processes() if p.create_time() > process.create_time())
        mine.suspend()
        pictures_read, refused = [], []

        def bring() -> None:
            try:
                pictures_read.append(decoders.decode(png(1), "b.png"))
            except BusyError as error:
                refused.append(error)

        threads = [threading.Thread(target=bring) for _ in range(3)]
        for thread in threads:
            thread.start()
        until(lambda: refused)
        mine.resume()
        for thread in threads:
            thread.join(LONG_S)
        assert (len(pictures_read), len(refused)) == (2, 1)
        assert isinstance(refused[0], LabellingError) and refused[0].status == 503


def test_a_small_picture_is_made_from_a_large_one_and_a_broken_one_is_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(png(0, (600, 300)))
    (tmp_path / "b.png").write_bytes(png(0, (600, 300))[:1000])
    (tmp_path / "c.png").write_bytes(b"no picture")
    small = pictures.decode(DECODERS.small(tmp_path / "a.png", 256), "a.png")
    assert (small.width, small.height) == (256, 128)
    for name in ("b.png", "c.png", "none.png"):
        with pytest.raises(PictureError, match="damaged"):
            DECODERS.small(tmp_path / name, 256)


@pytest.mark.parametrize("how", ["kill", "exit"])
def test_no_process_outlives_the_program(how):
    code = (
        "import sys, os, time\n"
        "sys.path.insert(0, 'tests')\n"
        "from label_helpers import DECODERS, png\n"
        "DECODERS.decode(png(), 'a.png')\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()\n"
    )
    program = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert program.stdout.readline() == "ready\n"
    workers = processes(program.pid)
    assert workers
    if how == "kill":
        os.kill(program.pid, signal.SIGKILL)
    program.communicate("")
    _, alive = psutil.wait_procs(workers, timeout=LONG_S)
    assert not alive
