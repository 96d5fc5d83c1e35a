"""The pages and the reference results say the same, and what the pages name is there."""

import argparse
import ast
import importlib
import re
import shlex
from pathlib import Path

import pandas as pd
import pytest

from alutils.__main__ import main
from alutils.base import manifest
from alutils.runs.notebook import runs
from alutils.runs.publish import gallery, page_tables, pages, reference, times
from alutils.stats import compare, tables

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [*pages.pages(), ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "data/README.md"]
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@each_page
def test_the_tables_of_a_page_are_what_the_results_say(page):
    text = page.read_text(encoding="utf-8")
    assert pages.refreshed(text, page.name) == text


def test_readme_docs_and_gallery_are_kept_fresh_and_every_table_is_on_a_page():
    named = {str(page.relative_to(ROOT)) for page in pages.pages()}
    assert named >= {"README.md", "results/README.md", "docs/guarantees.md", "docs/speed.md"}
    text = "".join(page.read_text(encoding="utf-8") for page in pages.pages())
    assert [name for name in pages.BLOCKS if f"<!-- table: {name} -->" not in text] == []


def test_an_unknown_table_in_a_page_is_refused_and_the_page_named():
    with pytest.raises(runs.RunError, match=r"x\.md: table nmist: expected one of claim"):
        pages.refreshed("<!-- table: nmist -->\n<!-- end -->", "x.md")


@each_page
def test_every_file_that_a_page_links_to_is_there(page):
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", text)
    missing = [link for link in links if not (page.parent / link).exists()]
    assert missing == []


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in kept}


@each_page
def test_every_heading_that_a_page_links_to_is_there(page):
    links = re.findall(r"\]\((?!https?://)([^)#]*)#([^)]+)\)", page.read_text(encoding="utf-8"))
    missing = [
        f"{file}#{anchor}"
        for file, anchor in links
        if anchor not in anchors(page.parent / file if file else page)
    ]
    assert missing == []


@each_page
def test_every_make_target_that_a_page_names_is_in_the_makefile(page):
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = page.read_text(encoding="utf-8")
    assert set(re.findall(r"(?:`|^)make ([a-z]+)", text, re.MULTILINE)) <= targets


class Understood(BaseException):
    """The command line took the arguments; nothing is run."""


def commands(page: Path) -> list[list[str]]:
    """Return the arguments of every ``python -m alutils`` command that a page gives in full."""
    text = page.read_text(encoding="utf-8")
    lines = re.findall(r"python -m alutils ([^`\n]+)", text)
    found = [shlex.split(line.partition("#")[0].replace(" ...", "")) for line in lines]
    return [arguments for arguments in found if len(arguments) > 1]


@pytest.mark.parametrize("page", pages.pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_a_page_names_is_understood(page, monkeypatch, capsys):
    parse = argparse.ArgumentParser.parse_args

    def parse_only(*arguments, **named):
        parse(*arguments, **named)
        raise Understood

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_only)
    refused = []
    for arguments in commands(page):
        try:
            status = main(arguments)
        except Understood:
            status = 0
        except SystemExit as end:
            status = end.code
        if status:
            refused.append((" ".join(arguments), capsys.readouterr().err.splitlines()[-1]))
    assert refused == []


@each_page
def test_the_python_on_a_page_is_python_and_imports_what_is_there(page):
    text = page.read_text(encoding="utf-8")
    for block in re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("alutils"):
                home = importlib.import_module(node.module)
                for name in node.names:  # a name of the module, or a module in it
                    if not hasattr(home, name.name):
                        importlib.import_module(f"{node.module}.{name.name}")


def test_every_reference_figure_is_in_the_gallery_with_its_finding_and_text_alternative():
    text = (ROOT / "results" / "README.md").read_text(encoding="utf-8")
    findings = manifest.read_json(ROOT / "results" / "findings.json")
    figures = {path.stem for path in (ROOT / "results" / "figures").glob("*.png")}
    assert figures == set(re.findall(r"\]\(figures/([\w-]+)\.png\)", text))
    for name in figures:
        assert findings[name]["alt"][:40] in text
        assert findings[name]["finding"].split("as_")[0].strip() in text


def test_a_caption_says_where_letters_are_rendered(tmp_path, monkeypatch):
    monkeypatch.setenv("ALUTILS_ROOT", str(tmp_path))
    (tmp_path / "results" / "figures").mkdir(parents=True)
    texts, inputs = {}, {"letters": "rendered", "digits": "mnist", "vgg16": "a plan"}
    for of, names in (("all", ["letters", "vgg16"]), ("both", list(inputs)), ("none", ["digits"])):
        for number, finding in enumerate(["16 letters.", "10 digits."]):
            name = f"{of}_{number}"
            texts[name] = {"of": of, "alt": "A.", "finding": finding}
            (tmp_path / "results" / "figures" / f"{name}.png").write_bytes(b"png")
        about = {"inputs": {name: {"provenance": inputs[name]} for name in names}}
        manifest.write_json(tmp_path / "results" / f"{of}.manifest.json", about)
    manifest.write_json(tmp_path / "results" / "findings.json", texts)
    said = {of: re.findall(r"\*(.+)\*", gallery.figures(of)) for of in ("all", "both", "none")}
    note = gallery.RENDERED
    assert said == {
        "all": [f"{note} 16 letters.", f"{note} 10 digits."],
        "both": [f"16 letters. ({note})", "10 digits."],
        "none": ["16 letters.", "10 digits."],
    }


def test_figures_of_an_experiment_without_a_section_are_shown_too(tmp_path, monkeypatch):
    monkeypatch.setenv("ALUTILS_ROOT", str(tmp_path))
    (tmp_path / "results" / "figures").mkdir(parents=True)
    texts = {
        "old_one": {"of": "old", "alt": "Dots [in grey].", "finding": "Old."},
        "new_one": {"of": "new", "alt": "Bars.", "finding": "New,\nas_stated."},
        "new_two": {"of": "new", "finding": "A sentence without a figure."},
    }
    for name in ("old_one", "new_one"):
        (tmp_path / "results" / "figures" / f"{name}.png").write_bytes(b"png")
    manifest.write_json(tmp_path / "results" / "findings.json", texts)
    marks = "<!-- table: {} -->\n<!-- end -->\n"
    text = pages.refreshed(marks.format("figures_old") + marks.format("figures_of_others"))
    assert text.count("![") == 2
    assert "![Dots (in grey).](figures/old_one.png)\n\n*Old.*" in text
    assert "### new\n\n![Bars.](figures/new_one.png)\n\n*New, the stated setting.*" in text
    assert gallery.others({"old", "new"}) == "All published figures are above."


def test_every_table_in_results_is_described_with_the_command_that_makes_it():
    rows = (ROOT / "results" / "README.md").read_text("utf-8").rpartition("| file |")[2]
    patterns = re.findall(r"`([\w*]+\.csv)`", rows)
    tables_there = sorted((ROOT / "results").glob("*.csv"))
    assert tables_there
    assert [t.name for t in tables_there if not any(t.match(p) for p in patterns)] == []


def test_runs_of_different_days_have_no_time_side_by_side():
    runs_ = [
        {"started": "2026-01-01T00:00:00Z", "wall_s": 30.0},
        {"started": "2026-01-01T00:00:31Z", "wall_s": 30.0},
    ]
    assert times.side_by_side(runs_) == 61.0
    assert times.side_by_side([runs_[0], runs_[1] | {"started": "2026-01-02T00:00:00Z"}]) is None


def test_times_are_those_of_the_newest_finished_quick_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("ALUTILS_ROOT", str(tmp_path))
    common = {"git": {}, "packages": {}, "machine": {}, "status": "complete", "profile": "quick"}
    made = [
        ("az", "2026-01-01T00:00:00Z", 40.0, {}),
        ("az", "2026-01-02T00:00:00Z", 30.04, {"loops_again": 20.0, "plots": 1.5, "a": 9, "b": 0}),
        ("mnist", "2026-01-02T00:00:05Z", 35.0, {"engine": 8.0}),
    ]
    for i, (name, started, wall, timings) in enumerate(made):
        about = {"experiment": name, "started": started, "wall_s": wall, "timings_s": timings}
        about = common | about | {"run_id": f"{name}-{i}"}
        manifest.write_json(tmp_path / "results" / "runs" / str(i) / "manifest.json", about)
    failed = common | {"experiment": "mnist", "started": "2026-01-03T00:00:00Z", "wall_s": 1.0}
    manifest.write_json(
        tmp_path / "results" / "runs" / "failed" / "manifest.json", failed | {"status": "failed"}
    )
    assert "Not measured yet" in times.as_markdown()
    assert times.main(["--also", "installation", "75"]) == 0
    assert times.as_markdown().splitlines()[2:] == [
        "| 01 mnist | 35 | engine 8.0 s |",
        "| 03 az | 30 | loops again 20.0 s; a 9.0 s; plots 1.5 s |",
        "| all of them, side by side | 40 | – |",
        "| installation | 75 | – |",
    ]
    about = manifest.read_json(tmp_path / "results" / "reproduce.manifest.json")
    assert about["parameters"] == {"runs": ["mnist-2", "az-1"]}


KNOWN_GAPS: dict[str, set[str]] = {}
"""What results/ still owes to its README, table by table; an entry that is not needed fails."""


def gaps(about):
    """Return what a manifest lacks of what results/README.md promises."""
    packages, inputs = about.get("packages", {}), about.get("inputs", {})
    is_run, is_sweep = "run_id" in about, "sweep" in about
    promised = {
        "the status": about.get("status") == "complete",
        "a commit": bool(about.get("git", {}).get("commit")),
        "a clean commit": about.get("git", {}).get("dirty") is False,
        "the machine": bool(about.get("machine", {}).get("cpu")),
        "parameters": bool(about.get("varied" if is_sweep else "parameters")),
        "versions of numpy and tensorflow": "numpy" in packages
        and bool({"tensorflow", "tensorflow-cpu"} & set(packages)),
        "wall time": is_sweep or about.get("wall_s", 0) > 0,  # of a sweep in its summary
        "one undisturbed run": not about.get("parts_reused"),
        # What a run alone has: a sweep's seeds are in its table, a benchmark makes its own data.
        "seeds": not is_run or bool(about.get("seeds")),
        "hashes of data": not is_run
        or (bool(inputs) and all(len(entry["sha256"]) == 64 for entry in inputs.values())),
    }
    return {what for what, there in promised.items() if not there}


def test_every_reference_table_is_read_and_has_the_manifest_that_is_promised():
    there = sorted((ROOT / "results").glob("*.manifest.json"))
    assert there
    found = {}
    for path in there:
        about = manifest.read_json(path)
        name = path.name.removesuffix(".manifest.json")
        if lacking := gaps(about):
            found[name] = lacking
        table = path.with_name(f"{name}.csv")
        assert table.is_file()
        if "run_id" in about:
            assert len(tables.read(table))
    assert found == KNOWN_GAPS


@pytest.mark.parametrize(
    ("change", "gap"),
    [
        ({"packages": {"python": "3.12"}}, "versions of numpy and tensorflow"),
        ({"git": {"commit": "0", "dirty": True}}, "a clean commit"),
        ({"parameters": {}}, "parameters"),
        ({"inputs": {"letters": {"sha256": "", "provenance": "kaggle"}}}, "hashes of data"),
        ({"inputs": {}}, "hashes of data"),
        ({"parts_reused": 3}, "one undisturbed run"),
        ({"wall_s": 0}, "wall time"),
        ({"seeds": []}, "seeds"),
    ],
)
def test_a_manifest_that_lacks_something_is_noticed(change, gap):
    whole = {
        "run_id": "r", "status": "complete", "parameters": {"seed": 0}, "seeds": [0],
        "git": {"commit": "0", "dirty": False}, "machine": {"cpu": "x86"}, "wall_s": 1.5,
        "packages": {"python": "3.12", "numpy": "2", "tensorflow-cpu": "2.18"},
        "inputs": {"letters": {"sha256": "0" * 64, "provenance": "kaggle"}},
    }  # fmt: skip
    assert gaps(whole) == set()
    assert gaps(whole | change) == {gap}


def test_the_reference_results_hold_the_published_counts():
    results = ROOT / "results"
    frame = compare.compare([results / "mnist.csv"], results / "published.csv")
    exact = frame[(frame["protocol"] == "published") & (frame["metric"] == "n_right")]
    assert len(exact) == 6
    assert set(exact["verdict"]) == {"exact"}


def test_the_reference_replicates_are_as_many_as_promised():
    table = tables.read(ROOT / "results" / "mnist_replicates.csv")
    assert table.groupby("protocol")["seed"].nunique().min() >= 200
    sound = tables.read(ROOT / "results" / "mnist.csv").query("protocol == 'sound'")
    assert sound["seed"].nunique() >= 30
    assert (sound.query("split == 'test'")["n_eval"] == 10_000).all()


def test_a_run_that_did_not_end_is_not_published(tmp_path):
    manifest.write_json(tmp_path / "manifest.json", {"status": "failed", "experiment": "mnist"})
    with pytest.raises(runs.RunError, match="not a finished run"):
        reference.publish(tmp_path)


@pytest.fixture
def finished(tmp_path, monkeypatch):
    """Return a maker of finished runs in a repository of their own, with its results/."""
    monkeypatch.setenv("ALUTILS_ROOT", str(tmp_path))

    def make(experiment="mnist", provenance="mnist", run_tables=("own",), **about):
        run = tmp_path / "results" / "runs" / f"{experiment}-{len(list(tmp_path.rglob('runs/*')))}"
        for name in ("figures", "tables"):
            (run / name).mkdir(parents=True)
        about = {"status": "complete", "experiment": experiment, "profile": "full"} | about
        about["inputs"] = {"letters": {"sha256": "0", "provenance": provenance}}
        manifest.write_json(run / "manifest.json", about)
        row = {
            "run_id": "r", "experiment": experiment, "arm": "all", "seed": 0, "round": 0,
            "n_human": 1, "n_auto": 0, "split": "test", "metric": "accuracy", "value": 0.5,
            "n_eval": 2,
        }  # fmt: skip
        rows = [row | {"protocol": protocol} for protocol in ("published", "noise")]
        long = tables.tidy(pd.DataFrame(rows), tables.Vocabulary(protocols=("noise",)))
        (run / "metrics.csv").write_text(tables.as_csv(long))
        for name in run_tables:
            (run / "tables" / f"{name}.csv").write_text("a\n1\n")
            (run / "figures" / f"{name}.png").write_bytes(b"png")
        texts = {name: {"alt": "a", "finding": "b"} for name in run_tables}
        manifest.write_json(run / "findings.json", texts)
        return run

    return make


def test_publishing_copies_tables_figures_and_their_texts(finished, tmp_path):
    reference.publish(finished())
    results = tmp_path / "results"
    assert list(tables.read(results / "mnist.csv")["protocol"]) == ["published"]
    assert list(tables.read(results / "mnist_replicates.csv")["protocol"]) == ["noise"]
    assert (results / "mnist_own.csv").read_text() == "a\n1\n"
    assert (results / "figures" / "mnist_own.png").read_bytes() == b"png"
    assert manifest.read_json(results / "findings.json")["mnist_own"]["alt"] == "a"


def test_what_an_earlier_run_left_under_the_name_is_not_mixed_with_a_new_one(finished, tmp_path):
    results = tmp_path / "results"
    reference.publish(finished("az_explore", "rendered", ("clusters",)))
    reference.publish(finished("az", "rendered", ("own",)), "az_rendered")
    reference.publish(finished("az", "kaggle", ("differences", "rounds")))
    reference.publish(finished("az", "kaggle", ("rounds",)))
    assert sorted(path.name for path in results.glob("*.csv")) == [
        "az.csv", "az_explore.csv", "az_explore_clusters.csv", "az_explore_replicates.csv",
        "az_rendered.csv", "az_rendered_own.csv", "az_rendered_replicates.csv",
        "az_replicates.csv", "az_rounds.csv",
    ]  # fmt: skip
    texts = manifest.read_json(results / "findings.json")
    shown = {"az_explore_clusters", "az_rendered_own", "az_rounds"}
    assert {path.stem for path in (results / "figures").glob("*.png")} == set(texts) == shown


@pytest.mark.parametrize(
    ("made", "name", "says"),
    [
        ({"profile": "quick"}, None, "profile=quick"),
        ({"profile": "interactive"}, None, "profile=interactive"),
        ({"experiment": "az", "provenance": "rendered"}, None, "az: these letters are rendered"),
        (
            {"experiment": "az_explore", "provenance": "rendered"},
            "az",
            "these letters are rendered",
        ),
        ({"experiment": "az", "provenance": "kaggle"}, "mnist", "of the experiment mnist"),
    ],
)
def test_what_is_no_reference_result_is_not_published(finished, tmp_path, made, name, says):
    reference.publish(finished())
    before = sorted((tmp_path / "results").glob("*.*"))
    with pytest.raises(runs.RunError, match=says):
        reference.publish(finished(**made), name)
    assert sorted((tmp_path / "results").glob("*.*")) == before


def test_rendered_letters_are_refused_before_the_run(monkeypatch):
    from alutils.runs.notebook import headless

    monkeypatch.setattr(headless, "execute", lambda *_: pytest.fail("the run was begun"))
    with pytest.raises(runs.RunError, match="these letters are rendered"):
        reference.run(["az"], [])


def test_a_copy_that_fails_leaves_the_old_table(finished, tmp_path, monkeypatch):
    reference.publish(finished())
    published = tmp_path / "results" / "mnist_own.csv"
    run = finished()
    (run / "tables" / "own.csv").write_text("a\n2\n")

    def full(*_):
        raise OSError("No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            reference.publish(run)
    assert published.read_text() == "a\n1\n"


def test_claims_say_on_how_many_images_as_their_own_table_has_it(tmp_path, monkeypatch):
    monkeypatch.setenv("ALUTILS_ROOT", str(tmp_path))
    (tmp_path / "results").mkdir()
    path = tmp_path / "results" / "x.csv"
    row = {"claim": "a", "mean": 0.1, "low": 0.05, "high": 0.2, "p": 0.01, "p_signed_rank": 0.01}
    pd.DataFrame([row | {"n": 5, "n_test": 4200}]).to_csv(path, index=False)
    assert "the same 4,200 test images" in page_tables.claims("x")
    pd.DataFrame([row | {"n": 5, "n_test": 4200, "test_to_train": 0.4}]).to_csv(path, index=False)
    assert "5 re-splits of one data set, 4,200 test images" in page_tables.claims("x")
    pd.DataFrame([row | {"n": 5}]).to_csv(path, index=False)
    with pytest.raises(runs.RunError, match="n_test"):
        page_tables.claims("x")


@pytest.mark.parametrize(("provenance", "word"), [("rendered", "rendered"), ("kaggle", "real")])
def test_letters_are_called_real_only_where_the_manifest_does(
    tmp_path, monkeypatch, provenance, word
):
    monkeypatch.setenv("ALUTILS_ROOT", str(tmp_path))
    results = tmp_path / "results"
    results.mkdir()
    about = {"inputs": {"letters": {"provenance": provenance}}}
    manifest.write_json(results / "az.manifest.json", about)
    row = {"inputs": "pixels", "classifier": "head", "n_human": 100, "accuracy": 0.8}
    pd.DataFrame([row]).to_csv(results / "az_classifiers.csv", index=False)
    assert page_tables.classifiers().startswith(f"| 100 {word} letters labelled, one draw |")
