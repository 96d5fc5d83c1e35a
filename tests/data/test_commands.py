"""``data`` on the command line: pictures prepared once, and errors that name its own remedies."""

import ast
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import alutils.data
from alutils.__main__ import main
from alutils.base import surfaces
from alutils.base.errors import BadInput
from alutils.data import folders, pixels
from alutils.data.loading import load


def picture(path, size=(8, 8), mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(str(path)))
    shape = (*size, 3) if mode == "RGB" else size
    Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(path)


@pytest.fixture
def pictures(tmp_path):
    """Make a good folder: two classes of three pictures, of 8 by 8 grey pixels."""
    for name in ("cat", "dog"):
        for number in range(3):
            picture(tmp_path / "in" / name / f"{number}.png")
    return tmp_path / "in"


SPOILT = {
    "damaged": lambda folder: (folder / "cat" / "9.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing"),
    "empty": lambda folder: (folder / "cat" / "9.png").write_bytes(b""),
    "no picture": lambda folder: (folder / "cat" / "9.png").write_bytes(b"%PDF-1.4"),
    "other size": lambda folder: picture(folder / "cat" / "9.png", (9, 12)),
    "other colour": lambda folder: picture(folder / "cat" / "9.png", mode="RGB"),
    "outside": lambda folder: picture(folder / "9.png"),
    "nested": lambda folder: picture(folder / "cat" / "more" / "9.png"),
    "one of a class": lambda folder: picture(folder / "bird" / "9.png"),
    "none of a class": lambda folder: (folder / "bird").mkdir(),
}


@pytest.fixture(params=SPOILT)
def spoilt(request, pictures):
    SPOILT[request.param](pictures)
    return pictures


def test_what_the_command_advises_is_an_option_that_it_has_and_that_helps(spoilt, tmp_path, capsys):
    command = ["data", "folder", str(spoilt), str(tmp_path / "out.npz")]
    assert main(command) == 2
    error = capsys.readouterr().err
    assert not re.search(r"\b(on_bad|colour|size|at_least)\s*=", error), error
    advised = re.findall(r"(--[\w-]+) (\w+)", error)
    assert advised
    for flag, value in advised:
        again = [*command[:3], str(tmp_path / f"{flag}.npz"), flag, value]
        assert main(again) == 0
        assert len(load(tmp_path / f"{flag}.npz")) >= 6


@pytest.mark.parametrize("parameters", [["on_bad", "seed"], ["seed"]], ids=["with", "without"])
def test_a_run_and_a_notebook_advise_their_own_parameters_only(spoilt, parameters):
    with pytest.raises(BadInput) as caught:
        load(spoilt)
    for surface, form in ((surfaces.run, r"-p (\w+)="), (surfaces.notebook, r"(\w+) = ")):
        with surfaces.speaking(surface(parameters)):
            text = str(caught.value)
        outside = re.sub(r"`python -m alutils data folder IN OUT.npz [^`]*`", "", text)
        assert outside != text or "on_bad" in parameters
        assert set(re.findall(form, outside)) <= set(parameters)
        assert not re.search(r"\b\w+=(?!skip)", outside), text
        assert "--" not in outside


def test_python_advises_keywords_that_it_takes_and_that_help(spoilt):
    with pytest.raises(BadInput) as caught:
        folders.read_folder(spoilt)
    advised = re.findall(r"with (\w+)=('\w+'|\d+|\(\d+, \d+\))", str(caught.value))
    assert advised
    for keyword, value in advised:
        assert len(folders.read_folder(spoilt, **{keyword: ast.literal_eval(value)})) >= 6


def test_pictures_that_a_network_cannot_take_are_advised_to_be_resized():
    several = [np.zeros((40, 40), np.uint8), np.zeros((50, 60), np.uint8)]
    for images in (np.zeros((2, 8, 8), np.uint8), several):
        with pytest.raises(BadInput, match=r"resize them with size=\(\d+, \d+\)"):
            pixels.survey(pixels.checked_images(images, None), None)


def test_no_error_in_this_room_names_an_option_by_itself():
    """It would be wrong on every surface but one: a `Remedy` is written for each."""
    option = re.compile(r"\b(on_bad|colour|size|at_least|classes|provenance)=['(\d]|--[a-z]")
    for path in Path(alutils.data.__file__).parent.glob("*.py"):
        if path.name == "commands.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Raise):
                for text in ast.walk(node):
                    if isinstance(text, ast.Constant) and isinstance(text.value, str):
                        assert not option.search(text.value), f"{path.name}: {text.value}"


def test_pictures_of_several_sizes_become_one_data_set(pictures, tmp_path, capsys):
    picture(pictures / "cat" / "9.png", (20, 11), "RGB")
    out = tmp_path / "all.npz"
    command = ["data", "folder", str(pictures), str(out), "--size", "16x12", "--colour", "rgb"]
    assert main(command) == 0
    assert capsys.readouterr().out.splitlines()[-2].split() == ["all", "7"]
    made = load(out)
    assert made.images.shape == (7, 16, 12, 3)
    assert (made.classes, made.class_counts()) == (("cat", "dog"), {"cat": 4, "dog": 3})
    expected = folders.read_folder(pictures, size=(16, 12), colour="rgb")
    np.testing.assert_array_equal(made.images, expected.images)


def test_a_table_of_letters_becomes_an_npz(tmp_path):
    rows = [f"{label}," + ",".join([str(label)] * 784) for label in (0, 1, 25)]
    (tmp_path / "letters.csv").write_text("\n".join([*rows, "1,2"]) + "\n")
    command = ["data", "folder", str(tmp_path / "letters.csv"), str(tmp_path / "l.npz")]
    assert main(command) == 2
    assert main([*command, "--on-bad", "skip"]) == 0
    assert load(tmp_path / "l.npz").labels.tolist() == [0, 1, 25]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["folder"],
            "expected a folder of class folders, a CSV or an idx file, and the file to write",
        ),
        (["folder", "in"], "python -m alutils data folder IN OUT.npz"),
        (["folder", "in", "out.png"], "python -m alutils data folder IN OUT.npz"),
        (["folder", "nowhere", "o.npz"], "IN=nowhere: there is no such file or folder"),
        (["folder", "a.txt", "o.npz"], "put pictures into a folder for each class"),
        (["folder", "in", "o.npz", "--size", "0"], "--size=0: expected height x width"),
        (["folder", "in", "o.npz", "--size", "8 x 8"], "such as --size 28x28"),
        (["folder", "a", "b", "o.npz"], "folder does not take so many paths"),
        (["rendered", "a.npz", "b.npz"], "rendered does not take so many paths"),
        (["mnist", "--size", "8"], "--size=8: expected only with folder"),
        (["az", "--colour", "rgb"], "--colour=rgb: expected only with folder"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line_and_nothing_is_written(
    pictures, tmp_path, monkeypatch, capsys, arguments, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("text")
    assert main(["data", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not list(tmp_path.rglob("*.npz"))
