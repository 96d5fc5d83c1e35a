"""Certificates as files: JSON for programs, a page that needs nothing but itself for people."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

from alutils.base.files import write_atomically
from alutils.base.project_folder import CERTIFICATES, REPLACED
from alutils.guarantee.terms import percent
from alutils.labelling.finish import records
from alutils.labelling.store.files import move_aside
from alutils.labelling.store.plan_records import Plan
from alutils.labelling.store.store import Store

_STYLE = """body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto;
padding: 0 1rem; color: #1a1a1a; background: #fff } table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid #ccc;
vertical-align: top } code { overflow-wrap: anywhere } .promise { font-size: 1.25rem }"""


def path(store: Store, number: int, kind: str = "json") -> Path:
    """Return where a certificate's file lies; ``kind`` is ``json`` or ``html``."""
    return store.files.root / CERTIFICATES / f"{number}.{kind}"


def write(store: Store, number: int) -> None:
    """Write a certificate's files anew from the database; ``number`` is the attempt's."""
    found = records.whole(store, store.plans.plan(number))
    write_atomically(path(store, number), as_json(found))
    write_atomically(path(store, number, "html"), as_page(found))


def write_missing(store: Store) -> None:
    """Write the files that are not there, as after a crash.

    Those of another certificate, which an older database left under the same number, are put aside.
    """
    for plan in store.plans.certified():
        kinds = [path(store, plan.number, kind) for kind in ("json", "html")]
        if all(_is_of(each, plan) for each in kinds):
            continue
        for each in kinds:
            if each.is_file() and not _is_of(each, plan):
                move_aside(each, store.files.root / REPLACED / CERTIFICATES)
        write(store, plan.number)


def _is_of(file: Path, plan: Plan) -> bool:
    """Tell whether a file is of this attempt's certificate: it names the hash of its lists."""
    assert plan.certificate is not None
    return file.is_file() and plan.certificate["digest"].encode() in file.read_bytes()


def as_json(found: dict[str, Any]) -> str:
    """Return a certificate as JSON, a picture a line."""
    parts = []
    for name, value in found.items():
        if name in ("waited", "before"):
            rows = ",\n  ".join(json.dumps(row) for row in value)
            parts.append(f'"{name}": [\n  {rows}\n]' if value else f'"{name}": []')
        else:
            text = json.dumps(value, ensure_ascii=False, allow_nan=False)
            parts.append(f"{json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def as_page(found: dict[str, Any]) -> str:
    """Return a certificate as a page to read."""
    promise, *more = found["text"]
    text = "\n".join(f"<p>{_(line)}</p>" for line in more)
    number = found["number"]
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Certificate {number}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>Certificate {number}</h1>
<p class="promise">{_(promise)}</p>
{text}
<h2>How it was made</h2>
{_facts(found)}
<h2>What counted as wrong in the audit</h2>
{_errors(found)}
<h2>Attempts before</h2>
{_earlier(found)}
<h2>How to check it</h2>
<p><code>python -m alutils verify {number}.json FOLDER</code>, where FOLDER holds the pictures,
draws the audit again from the seed, computes the decision again from the answers that the project
keeps, and reads every picture. The file {number}.json beside this page lists all pictures by the
SHA-256 of their bytes, with what the model said and what people answered. Paths and names of files
are told to find pictures by; they are no part of what is checked.</p>
</body>
</html>
"""


def _facts(found: dict[str, Any]) -> str:
    counts, terms = found["counts"], found["terms"]["terms"]
    facts = [
        ("Project", found["project"]),
        ("Attempt", f"{found['attempt']} (number {found['number']})"),
        ("Begun by", f"{found['person']}, {found['planned']}"),
        ("Decided", found["decided"]),
        ("Level of this attempt", percent(round(found["attempt_level"], 9))),
        ("Labels by people before", f"{counts['before']:,}"),
        ("Answers by hand", f"{counts['by_hand']:,}, the least sure of the model first"),
        ("Answers of the audit", f"{counts['audited']:,}, {counts['errors']:,} counted as wrong"),
        ("Nobody could name", f"{counts['rejected']:,}; they have no label"),
        ("Labels by the model", f"{counts['automatic']:,}"),
        ("Audit", _audit(found["terms"]["plan"])),
        ("Room for pictures that nobody can name", f"{terms['room']:,}"),
        ("Model", found["model"]),
        # Certificates of older versions do not say it: then nothing could be decided.
        (
            "Pictures as the model saw them",
            " ".join(found["terms"].get("reading", [])) or "as they are",
        ),
        ("Seed of the draws", found["seed"]),
        ("Hash of the lists of pictures", found["digest"]),
        ("Made with", ", ".join(f"{name} {v}" for name, v in found["versions"].items())),
    ]
    rows = "\n".join(
        f"<tr><th scope='row'>{_(name)}</th><td><code>{_(value)}</code></td></tr>"
        for name, value in facts
    )
    return f"<table>\n{rows}\n</table>"


def _errors(found: dict[str, Any]) -> str:
    names, called = found["classes"], found.get("names", {})
    wrong = set(records.wrong(found["waited"]))
    rows = "\n".join(
        f"<tr><td>{_(called.get(sha256, ''))} <code>{_(sha256[:16])}</code></td>"
        f"<td>{_(names[str(predicted)])}</td>"
        f"<td>{_(_answer(first, names))}</td><td>{_(_answer(label, names))}</td></tr>"
        for sha256, _by_hand, predicted, *_numbers, first, label, _source in found["waited"]
        if sha256 in wrong
    )
    if not rows:
        return "<p>None.</p>"
    heads = ("Picture", "The model said", "First answer", "Label at the decision")
    head = "".join(f"<th scope='col'>{each}</th>" for each in heads)
    return f"<table>\n<tr>{head}</tr>\n{rows}\n</table>"


def _earlier(found: dict[str, Any]) -> str:
    rows = "".join(
        f"<li>Number {each['number']}, {percent(each['target'])}: {_(each['state'])}"
        f"{'' if each['counts'] else ', before a picture was handed out: does not count'}</li>"
        for each in found["earlier"]
    )
    return f"<ul>{rows}</ul>" if rows else "<p>None.</p>"


def _audit(plan: dict[str, Any]) -> str:
    if plan["kind"] == "weighted":
        return (
            f"weighted by doubt, for at most {plan['allowed']:,} errors: bet {plan['bet']:.6g}, at "
            f"most {plan['most']:,} answers"
        )
    looks = ", ".join(f"{look:,}" for look in plan["looks"])
    return (
        f"uniform, for at most {plan['allowed']:,} errors of {plan['population']:,}: accepted at "
        f"{looks} answers with at most 0, 1, 2 ... errors"
    )


def _answer(number: int | None, names: dict[str, str]) -> str:
    return (
        "none" if number is None else "nobody could name it" if number < 0 else names[str(number)]
    )


def _(value: object) -> str:
    return html.escape(str(value))
