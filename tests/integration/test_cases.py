"""Inputs that failed once, of people's public reports: each must be right, or said in a line.

They lie beside the repository, in ``../shared/cases``, a folder each with a README; without them
these tests are skipped. A table of what happened before and what happens now::

    python tests/integration/test_cases.py [CASE ...]

A new case is a function in the part it belongs to, called ``case_NAME``: it takes a copy of the
case's folder, checks what is right by ``assert``, and returns in a few words what happens.
"""

from __future__ import annotations

import inspect
import io
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from alutils.base import surfaces
from alutils.base.errors import BadInput, ParameterError
from alutils.data import load
from alutils.data.class_names import write_names

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests"))  # where this runs as a script
CASES = ROOT.parent / "shared" / "cases"


@contextmanager
def said():
    """Collect what is logged, to be read by ``.getvalue()``."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    log = logging.getLogger("alutils")
    log.addHandler(handler)
    try:
        yield text
    finally:
        log.removeHandler(handler)


def refused(call: Callable, *parts: str) -> str:
    """Return the one line of an error that holds these parts."""
    with pytest.raises((BadInput, ParameterError)) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text and all(part in text for part in parts), text
    return text


def python(code: str, folder: Path, **environment: str) -> str:
    """Run code in a process of its own; return what it says, and fail as it fails."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=env, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-2000:]
    return ran.stdout


# --- loading data ---------------------------------------------------------------------------------


def case_advice_out_of_reach(folder: Path) -> str:
    assert len(load(folder / "blank.csv")) == 4
    parameters = ("data", "on_bad", "colour", "size")
    with surfaces.speaking(surfaces.run(parameters)):
        text = refused(lambda: load(folder / "thumbs"), "-p on_bad=skip", "Thumbs.db")
    return f"blank.csv is read; {text.rsplit(', or ', 1)[1]}"


def case_bad_exif_crash(folder: Path) -> str:
    with said() as text:
        assert len(load(folder / "pets", on_bad="skip")) == 5
    assert "not turned: its EXIF data cannot be read" in text.getvalue()
    return "read, not turned, and said so"


def case_class_folder_names(folder: Path) -> str:
    from alutils.base.names import folder_name

    folders: dict[str, str] = {}
    for name in (folder / "symbols.txt").read_text().split():
        folders[folder_name(name, folders)] = name
    pictures = sorted((folder / "pics").glob("*.png"))
    for place, each in enumerate(folders):
        target = folder / "classes" / each
        target.mkdir(parents=True)
        for k in (0, 1):
            shutil.copy(pictures[(place + k) % len(pictures)], target / f"{k}.png")
    write_names(folder / "classes", folders)
    assert set(load(folder / "classes").classes) == set(folders.values())
    return "folders " + " ".join(folders) + " are read as " + " ".join(folders.values())


def case_csv_forms(folder: Path) -> str:
    read = [load(path) for path in sorted(folder.glob("*.csv"))]
    assert all(data.labels.tolist() == [0, 1] for data in read)
    assert len({data.images.tobytes() for data in read}) == 1
    return "all are read, and alike: " + ", ".join(data.name for data in read)


def case_dangling_link_and_pipe(folder: Path) -> str:
    for name in ("links", "pipe"):  # copies of the folder do not hold them
        (folder / name / "cat" / "9.png").unlink(missing_ok=True)
    (folder / "links" / "cat" / "9.png").symlink_to("/nowhere/9.png")
    os.mkfifo(folder / "pipe" / "cat" / "9.png")
    found = []
    for name, reason in (("links", "missing"), ("pipe", "not a file")):
        with said() as text:
            assert len(load(folder / name, on_bad="skip")) == 4
        assert f"1 of 5 files skipped, the first of each: 1 {reason}" in text.getvalue()
        found.append(f"{name}: 1 {reason}")
        refused(lambda name=name: load(folder / name), "9.png", "on_bad='skip'")
    return "skipped and counted; " + ", ".join(found)


def case_frame_and_sparse(folder: Path) -> str:
    import pandas as pd
    import scipy.sparse

    from alutils import Estimator, Perfect, PoolState, by_strategy, pool_based

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 4)).astype(np.float32), rng.integers(0, 3, 60)
    asked = []
    for features in (x, pd.DataFrame(x), scipy.sparse.csr_matrix(x)):
        query = by_strategy("margin", np.random.default_rng(1))
        state = PoolState.start(60)
        rounds = list(pool_based(features, Perfect(y), Estimator(3), query, state, batch=10,
                                 budget=30))  # fmt: skip
        asked.append(np.concatenate([each.items for each in rounds]).tolist())
    assert asked[0] == asked[1] == asked[2]
    return "a table and a sparse matrix give the rounds of the array"


def case_huge_label_npz(folder: Path) -> str:
    return refused(lambda: load(folder / "minus_one.npz"), "4294967295 at position", "is it -1")


def case_hwc1_and_dtype_hints(folder: Path) -> str:
    assert load(folder / "hwc1.npz").images.shape[1:] == (28, 28)
    assert load(folder / "int64.npz").images.dtype == np.uint8
    text = refused(lambda: load(folder / "uint16.npz"), "divide them by 257")
    return f"hwc1 and int64 are read; {text.partition('; ')[2]}"


def case_label_column_last(folder: Path) -> str:
    data = load(folder / "last.csv")
    assert data.labels.tolist() == [0, 0, 1, 1, 2, 2] and not data.images[:, :, 0].any()
    bare = (folder / "last.csv").read_bytes().split(b"\n", 1)[1]
    (folder / "bare.csv").write_bytes(bare)
    refused(lambda: load(folder / "bare.csv"), "is the label the last column?")
    return "the header is believed; without one: is the label the last column?"


def case_labels_1_to_26(folder: Path) -> str:
    for on_bad in ("error", "skip"):
        text = refused(
            lambda bad=on_bad: load(folder / "one_to_26.csv", on_bad=bad), "count from 1"
        )
        assert "skip" not in text
    for name in ("one_to_25.csv", "one_to_25.npz"):
        with said() as note:
            load(folder / name)
        assert "if they count from 1" in note.getvalue()
    return f"{text.partition(': ')[2]}; 1 to 25 are read with a line that says so"


def case_same_picture_two_classes(folder: Path) -> str:
    with said() as text:
        load(folder / "pets")
    assert "1 picture has more than one label (cat/" in text.getvalue()
    return text.getvalue().splitlines()[0].partition(": ")[2]


def case_savetxt_csv(folder: Path) -> str:
    data = load(folder / "savetxt.csv")
    assert data.labels.tolist() == [0] and data.images.max() > 200
    return "read"


def case_zero_one_pixels(folder: Path) -> str:
    from alutils.models.embeddings import features

    for name in ("01.csv", "01.npz"):
        text = refused(lambda name=name: load(folder / name), "is 1, expected levels from 0 to 255")
    images = np.load(folder / "01.npz")["images"]
    refused(lambda: features(images, backbone="pixels@28", cache=False), "multiply them by 255")
    return text.partition(": ")[2]


# --- models and figures ---------------------------------------------------------------------------


def case_inverted_letters(folder: Path) -> str:
    from PIL import Image

    from alutils.models import load_model
    from alutils.models.heads import Head
    from alutils.models.picture_models import FeatureModel
    from alutils.models.prediction.run import Options, label_pictures
    from alutils.models.seen import Seen

    # White letters on black, as the case's are once they are inverted.
    black = [
        np.asarray(Image.open(p).convert("L")) for p in sorted((folder / "pics").glob("*.png"))
    ]
    white = np.stack([255 - image for image in black])
    head = Head((np.zeros((28 * 28, 2), np.float32), np.zeros(2, np.float32)))
    FeatureModel("pixels@28", head, "AB", seen=Seen.of(white)).save(folder / "model")
    model = load_model(folder / "model")
    with said() as text:
        model.predict_proba(np.stack(black))
    assert "are light on dark; these are dark on light" in text.getvalue()
    return refused(
        lambda: label_pictures(folder / "pics", model, folder / "t.csv", Options(progress=False)),
        "the model has not seen such pictures", "invert them with convert='invert'",
    ).partition(": ")[2]  # fmt: skip


def case_keras_settings(folder: Path) -> str:
    code = """
import numpy as np
from alutils.models.convnet import ConvNet
x = np.random.default_rng(0).integers(0, 256, (12, 8, 8)).astype(np.uint8)
net = ConvNet(2, steps=2, width=4, members=1).fit(x, np.arange(12) % 2)
import keras
print(net.predict_proba(x).shape, keras.config.backend(), keras.config.image_data_format())
"""
    home = str(folder / "home")
    told = python(code, folder, KERAS_BACKEND="torch", KERAS_HOME=home)
    assert told.split() == ["(12,", "2)", "tensorflow", "channels_first"], told
    return "trained by TensorFlow, channels last, whatever the settings say"


def case_numba_read_only(folder: Path) -> str:
    shutil.copytree(ROOT / "alutils", folder / "alutils", ignore=shutil.ignore_patterns("__pyc*"))
    for each in [folder / "alutils", *(p for p in (folder / "alutils").rglob("*") if p.is_dir())]:
        (each / "__pycache__").touch()  # a file cannot become a folder, not even for root
    code = "from alutils.active.strategies import registry; from alutils.data import csv_letters"
    python(f"{code}; import alutils; assert '{folder}' in alutils.__file__", folder,
           PYTHONPATH=str(folder), HOME=os.devnull, XDG_CACHE_HOME=os.devnull)  # fmt: skip
    return "compiled without a cache"


def case_rare_class(folder: Path) -> str:
    from alutils.experiments.report.letters import load_letters

    return refused(lambda: load_letters(str(folder / "five.npz"), 200), "class E has 2", "expected")


def case_cjk_figures(folder: Path) -> str:
    from matplotlib.text import Text

    from alutils.experiments.base import png_of
    from alutils.plots import confusion_matrix

    names = load(folder / "cjk.npz").classes
    figure = confusion_matrix(np.eye(len(names), dtype=int), names, "Letters")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        png_of(figure)
    texts = {text.get_text() for text in figure.findobj(Text)}
    numbered = {f"[{n}]" for n in range(1, 5)} <= texts
    assert numbered or set(names) <= texts
    return "numbers with a key" if numbered else "drawn in an installed font that has them"


# --- the labelling tool: whoever mends one adds its function here ---------------------------------


def case_nonlatin_keyboard(folder: Path) -> str:
    from browser_helpers import queue_of

    with queue_of(folder / "latin", "ABC") as labels:
        given = labels({"key": "\u0444", "code": "KeyA"}, {"key": "\u0438", "code": "KeyB"})
    assert given == ["A", "B"], given
    with queue_of(folder / "digits", "123") as labels:
        given = labels({"key": "&", "code": "Digit1"}, {"key": "\u00e9", "code": "Digit2"})
    assert given == ["1", "2"], given
    with queue_of(folder / "cyrillic", "\u0410\u0411\u0412") as labels:
        given = labels({"key": "\u0431", "code": "Comma"}, {"key": "b", "code": "KeyB"})
    assert given == ["\u0411", "\u0411"], given
    return "a Russian layout gives A and B, a French one 1 and 2; \u0411 has its own letter and b"


def case_upper_and_lower_keys(folder: Path) -> str:
    from browser_helpers import queue_of

    names = (folder / "both.txt").read_text(encoding="utf-8").split()
    with queue_of(folder / "queue", names) as labels:
        given = labels("a", "Shift+A", "Shift+K", "k")
    assert given == ["a", "A", "K", "k"], given
    return "a, Shift+A, Shift+K, k give " + " ".join(given)


def case_rerun_cell(folder: Path) -> str:
    code = (
        (folder / "rerun.py")
        .read_text(encoding="utf-8")
        .replace("__file__", repr(str(folder / "x")))
    )
    python(f"{code}\nprint(w.store.reader.progress().total); w.close()", folder)
    return "the second run has the project, the older widget is closed"


@contextmanager
def labelled(folder: Path, classes: list[str]):
    """Open a folder of pictures as the tool does, and label them in turn."""
    from alutils.labelling.store.store import Store
    from alutils.labelling.web.watch import Watcher

    for path in folder.rglob("*.png"):
        os.utime(path, (1e9, 1e9))  # nobody is still writing it
    with Store.open(folder, classes, seed=0) as store:
        Watcher(store).look()
        for item in store.queue.hand_out("ann", 100):
            store.queue.label("ann", item.id, classes[(item.id - 1) % len(classes)])
        yield store


def exported(store, folder: Path) -> list[dict[str, str]]:
    """Export the labels as CSV; return its rows as pandas reads them."""
    import pandas as pd

    from alutils.labelling.exchange.exporting import export

    export(store, "csv", folder / "labels.csv")
    table = pd.read_csv(folder / "labels.csv", dtype=str, keep_default_na=False)
    return table.to_dict("records")


def case_csv_export_bom(folder: Path) -> str:
    from PIL import Image

    names = ["ä", "Б"]
    for i, _ in enumerate(names):
        (folder / "pics").mkdir(exist_ok=True)
        Image.new("L", (8, 8), 50 * i).save(folder / "pics" / f"{i}.png")
    with labelled(folder / "pics", names) as store:
        assert {row["label"] for row in exported(store, folder)} == set(names)
    start = (folder / "labels.csv").read_bytes()[:5]
    assert start == b"\xef\xbb\xbfid", start
    return "begins with a byte order mark, and is read by pandas"


def case_csv_export_signs(folder: Path) -> str:
    from PIL import Image

    from alutils.labelling.exchange.importing import Choices, from_path

    names = ["+", "-", "=", "@"]
    (folder / "pics").mkdir()
    for i, _ in enumerate(names):
        Image.new("L", (8, 8), 50 * i).save(folder / "pics" / f"{i}.png")
    with labelled(folder / "pics", names) as store:
        assert {row["label"] for row in exported(store, folder)} == set(names)
        coming = from_path(store, folder / "labels.csv", Choices(), lambda path: "")
        assert coming.check().same == len(names)
    return "the label column holds " + " ".join(names)


def case_export_loses_paths(folder: Path) -> str:
    import hashlib

    with labelled(folder / "pics", ["left", "right"]) as store:
        rows = exported(store, folder)
    found = {row["path"]: row["file_sha256"] for row in rows}
    pictures = list((folder / "pics").glob("*/*.png"))
    assert found == {
        path.relative_to(folder / "pics").as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in pictures
    }
    assert all(row["label"] for row in rows)
    return f"{len(rows)} rows for {len(pictures)} files: " + ", ".join(sorted(found))


def case_folder_called_labelling(folder: Path) -> str:
    with said() as text, labelled(folder / "pics", ["A", "B"]) as store:
        rows, number = exported(store, folder), store.project_id
        assert {row["path"] for row in rows} == {"b.png", "labelling/mine.png"}
    assert [path.name for path in (folder / "pics" / "labelling").iterdir()] == ["mine.png"]
    with labelled(folder / "pics", ["A", "B"]) as again:
        assert again.project_id == number
    assert "is not the tool's" in text.getvalue()
    return f"its picture is shown; the project is in {store.files.root.name}, and it says so"


def case_proxy_prefix(folder: Path) -> str:
    from proxy_helpers import Visitor, proxied

    from alutils.labelling.store.store import Store
    from alutils.labelling.web.app import create_app
    from alutils.labelling.web.security import access

    with Store.open(folder / "pictures", ["A"]) as store:
        app = create_app(store, access=access("127.0.0.1", bytes(32)))
        with proxied(app) as url:
            visitor = Visitor(url)
            assert visitor.get("/")[1] == "/who?next=%2F"
            assert visitor.post("/who", name="Ann", next="/")[:2] == (200, "/")
            for path in ("/static/queue_page.js", "/api/status", "/review/doubtful"):
                assert visitor.get(path)[:2] == (200, path)
    return "all addresses are relative: redirects, pages, scripts and pictures stay below the path"


def functions() -> dict[str, Callable[[Path], str]]:
    """Return the cases' functions, by the cases' names."""
    found = inspect.getmembers(sys.modules[__name__], inspect.isfunction)
    return {name.removeprefix("case_"): f for name, f in found if name.startswith("case_")}


def copied(name: str, place: Path) -> Path:
    """Copy a case to where it may be written to; pipes and dangling links do not come along."""

    def odd(folder: str, names: list[str]) -> list[str]:
        return [each for each in names if not (Path(folder) / each).is_file()
                and not (Path(folder) / each).is_dir()]  # fmt: skip

    target = place / name
    shutil.copytree(CASES / name, target, ignore=odd)
    for path in (target, *target.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return target


@pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not beside the repository")
@pytest.mark.parametrize("name", functions())
def test_case(name, tmp_path):
    assert functions()[name](copied(name, tmp_path))


@pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not beside the repository")
def test_every_case_has_a_function():
    names = {path.name for path in CASES.iterdir() if path.is_dir()}
    assert names - {"__pycache__"} == set(functions())


def main(names: list[str]) -> int:
    """Print what happened before and what happens now; return how many cases are not right."""
    wrong = 0
    sys.path.append(str(ROOT / "tests"))  # the helpers of tests, which pytest finds by itself
    logging.getLogger("alutils").propagate = False
    for name in names or sorted(functions()):
        readme = (CASES / name / "README").read_text(encoding="utf-8").splitlines()
        before = next(line for line in readme if line.startswith("actual:"))[len("actual: ") :]
        with tempfile.TemporaryDirectory() as place:
            try:
                now, mark = functions()[name](copied(name, Path(place))), "ok"
            except BaseException as error:  # whatever it is, the others are tried, too
                now, mark = f"{type(error).__name__}: {error}", "NOT RIGHT"
                wrong += 1
            now = now.replace(f"{place}/", "")
        print(f"{mark:9} {name}\n    before: {before}\n    now:    {now}", flush=True)
    return wrong


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
