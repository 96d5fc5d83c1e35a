"""Whatever a request holds, it is done or refused with a reason, and a refusal writes nothing."""

import inspect
import io
import json
import re
import shutil
import tempfile
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from finish_helpers import project
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from label_helpers import DECODERS, png

from alutils.labelling.model.doubts import Doubts
from alutils.labelling.model.settings import Learning
from alutils.labelling.web.app import create_app
from alutils.labelling.web.security import access, project_secret

TEXTS = st.one_of(
    st.sampled_from(
        ["", " ", "A", "B", "nobody", "\0", "\ud800", "a" * 400, "../x", "é", "e\u0301", "1e9",
         "nan", "2,3", "nan,1", "inf,1", "1,99999999999999999999", "confidence", "-confidence"]
    ),
    st.text(max_size=5),
)  # fmt: skip
NUMBERS = st.one_of(
    st.sampled_from([0, -1, 1, 2, 50, 10**30, 2**63, -(2**63) - 1, 0.5, 0.9, 1.0, 1e308]),
    st.sampled_from([float("nan"), float("inf"), True, False]),
    st.integers(1, 60),
)
ODD = st.recursive(
    st.one_of(st.none(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=5,
)
FILTERS = st.dictionaries(
    st.sampled_from(["predicted", "label", "source", "low", "high", "name", "x"]),
    st.one_of(ODD, st.sampled_from(["human", "auto", "none", "any", "A"])), max_size=3,
)  # fmt: skip
KINDS = {
    "item": st.integers(1, 60), "items": st.lists(st.integers(1, 60), max_size=3),
    "n": st.integers(1, 5), "where": FILTERS, "label": st.sampled_from(["A", "B", "C"]),
    "key": st.uuids().map(str), "by_hand": NUMBERS,
    "target": st.sampled_from([0.5, 0.9, 1e-9, 1 - 1e-12]),
    "order": st.sampled_from(["confidence", "-confidence", "id", "-id"]), "after": st.none(),
    "name": st.sampled_from(["A", "B", "C"]), "into": st.sampled_from(["A", "B", "C"]),
    "text": TEXTS, "new": TEXTS, "why": TEXTS, "take_back": st.just(True),
    "names": st.permutations(["A", "B", "C"]), "limit": st.integers(1, 300),
}  # fmt: skip


class Site:
    """A project with an application before it."""

    def __init__(self, folder: Path) -> None:
        self.store, loop, _ = project(folder, n=50, n_before=20, twice=0.2)
        loop.status, loop.learning = (lambda: None), Learning()
        loop.training.doubts = Doubts(self.store)
        loop.training.held_out, loop.training.points = None, []
        self.app = create_app(
            self.store,
            loop,
            access=access("127.0.0.1", project_secret(folder / "labelling")),
            decoders=DECODERS,
        )
        self.client = self.app.test_client()
        page = self.client.get("/who").text
        token = re.search(r'name="csrf-token" content="([^"]+)"', page)[1]
        form = {"name": "ann", "csrf_token": token, "next": "/"}
        assert self.client.post("/who", data=form).status_code == 302
        page = self.client.get("/who").text
        self.headers = {
            "X-CSRFToken": re.search(r'name="csrf-token" content="([^"]+)"', page)[1],
            "Content-Type": "application/json",
        }

    def rows(self) -> list[str]:
        return list(self.store.database.connection.iterdump())


@pytest.fixture(scope="module")
def site():
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
    found = Site(folder)
    yield found
    found.store.close()
    shutil.rmtree(folder)


def arguments(draw, action) -> dict:
    """Draw arguments as the action takes them, most of them fitting."""
    known = list(inspect.signature(action).parameters)[1:]
    found = {}
    for name in known:
        if draw(st.integers(0, 9)) < 9:
            fitting = draw(st.integers(0, 9)) < 6
            found[name] = draw(KINDS.get(name, ODD) if fitting else ODD)
    return found


@settings(
    max_examples=250, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(st.data())
def test_no_request_is_a_fault_and_a_refused_one_writes_nothing(site, data):
    actions = site.app.extensions["labelling"].desk.actions
    name = data.draw(st.sampled_from(sorted(actions)))
    if data.draw(st.integers(0, 19)) == 0:
        body = json.dumps(data.draw(ODD))
    else:
        body = json.dumps(data.draw(st.composite(arguments)(actions[name])))
    before = site.rows()
    answer = site.client.post(f"/api/{name}", data=body, headers=site.headers)
    assert answer.status_code < 500, (name, body, answer.text)
    json.loads(answer.text, parse_constant=pytest.fail)  # NaN is no JSON: pages cannot read it
    if answer.status_code >= 400:
        assert answer.json["error"]
        assert site.rows() == before, (name, body, answer.text)


@settings(
    max_examples=120, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(st.data())
def test_no_address_is_a_fault(site, data):
    path = data.draw(
        st.sampled_from(
            ["/", "/who", "/review", "/review/doubtful", "/add", "/export", "/classes", "/one",
             "/one/{}", "/pictures/{}", "/finish", "/finish/certificate.{}", "/progress", "/begin",
             "/export/{}", "/export/npz", "/api/{}", "/{}", "/api/import", "/api/import_undo"]
        )
    )  # fmt: skip
    part = data.draw(st.one_of(TEXTS, st.integers(-1, 10**30).map(str), st.just("csv")))
    query = data.draw(
        st.dictionaries(
            st.sampled_from(["tries", "small", "v", "next", "size", "people"]), TEXTS, max_size=3
        )
    )
    quoted = quote(part.encode(errors="replace"), safe="")
    where = path.format(quoted) + "?" + urlencode(query, errors="replace")
    if data.draw(st.booleans()):
        answer = site.client.get(where)
    else:
        names = ["name", "label", "add", "revoke", "classes", "file", "on_conflict", "next"]
        form = data.draw(st.dictionaries(st.sampled_from(names), TEXTS, max_size=4))
        form = {name: text.encode(errors="replace").decode() for name, text in form.items()}
        answer = site.client.post(
            where, data=form, headers={"X-CSRFToken": site.headers["X-CSRFToken"]}
        )
    assert answer.status_code < 500, (where, answer.text)


NAMES = [
    "item", "items", "label", "key", "n", "where", "source", "low", "name", "names", "target",
    "file", "files", "write", "on_conflict", "classes", "next", "tries", "small", "size",
    "v", "token",
]  # fmt: skip
NESTED = ("[" * 100_000, '{"a":' * 40_000 + "1" + "}" * 40_000, '{"n":' + "[" * 5_000)
JSONS = st.one_of(
    ODD.map(json.dumps),
    st.dictionaries(st.sampled_from(NAMES), ODD, max_size=4).map(json.dumps),
    st.sampled_from([*NESTED, "NaN", '{"n": 1' + "0" * 6000 + "}", '"\\ud800"', "", "{", "null"]),
)
BYTES = st.one_of(
    JSONS.map(str.encode),
    st.binary(max_size=40),
    st.sampled_from(
        [png(), png()[:90], b"GIF89a", b"name,label\n1.png,A\n", b'{"name": "1", "label": [1]}\n',
         "sha256;label\n\ud800;A\n".encode("utf-8", "surrogatepass"), b"PK\3\4", b"\xff\xfe"]
    ),
)  # fmt: skip
FILE_NAMES = st.sampled_from(
    ["a.csv", "a.jsonl", "a.json", "a.png", "", "..", "a/../b.json", "\u202ea.csv", "x" * 300]
)
KINDS_OF_BODY = st.sampled_from(
    ["application/json", "application/json; charset=utf-7", "text/plain", "", "x", "image/png",
     "multipart/form-data", "multipart/form-data; boundary=" + "b" * 300,
     "application/x-www-form-urlencoded", "application/x-www-form-urlencoded; charset=nonsense"]
)  # fmt: skip
HEADERS = {
    "If-None-Match": ["*", '"x"', "W/", '"' * 9, "\xff"],
    "If-Modified-Since": ["never", "Thu, 01 Jan 1970 00:00:00 GMT", "9" * 40],
    "Range": ["bytes=0-", "bytes=9-1", "bytes=-" + "9" * 40, "pages=1"],
    "Accept": ["*/*", "text/html;q=nan", ",;,"],
    "X-Labelling-Project": ["", "other", "\xff"],
    "X-Forwarded-Prefix": ["/x", "//x", "\\"],
    "X-Forwarded-Host": ["example.org", "::"],
    "Content-Encoding": ["gzip", "x"],
}


def parts(draw, rule) -> str:
    """Fill the parts of an address; most of those that are numbers are pictures."""
    path = rule.rule
    for name in rule.arguments:
        text = draw(
            st.one_of(
                st.integers(1, 60).map(str), TEXTS, st.sampled_from(["csv", "npz", "html", "next"])
            )
        )
        quoted = quote(text.encode(errors="replace"), safe="")
        path = re.sub(rf"<(\w+:)?{name}>", lambda _, quoted=quoted: quoted, path)
    return path


def body(draw, kind: str) -> dict:
    """Draw what is sent: a form with files, a form, or anything, which may be called JSON."""
    if kind == "files":
        fields = draw(st.lists(st.sampled_from(["file", "files", "x"]), min_size=1, max_size=3))
        files = {name: (io.BytesIO(draw(BYTES)), draw(FILE_NAMES)) for name in fields}
        texts = draw(st.dictionaries(st.sampled_from(NAMES), st.just("1"), max_size=3))
        return {"data": texts | files, "content_type": "multipart/form-data"}
    if kind == "form":
        form = draw(st.dictionaries(st.sampled_from(NAMES), TEXTS, max_size=4))
        return {"data": {n: t.encode(errors="replace").decode() for n, t in form.items()}}
    return {"data": draw(BYTES), "content_type": draw(KINDS_OF_BODY)}


@settings(
    max_examples=500, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(st.data())
def test_no_route_has_a_fault_whatever_is_sent(site, data):
    draw = data.draw
    rule = draw(st.sampled_from(sorted(site.app.url_map.iter_rules(), key=lambda r: r.rule)))
    if rule.rule == "/api/<action>":
        known = sorted(site.app.extensions["labelling"].desk.actions)
        path = f"/api/{draw(st.sampled_from([*known, 'status', 'none']))}"
    else:
        path = parts(draw, rule)
    query = draw(st.dictionaries(st.sampled_from(NAMES), TEXTS, max_size=2))
    names = draw(st.lists(st.sampled_from(sorted(HEADERS)), max_size=2))
    headers = {name: draw(st.sampled_from(HEADERS[name])) for name in names}
    if draw(st.integers(0, 9)) < 9:
        headers["X-CSRFToken"] = site.headers["X-CSRFToken"]
    sent = body(draw, draw(st.sampled_from(["files", "form", "raw"])))
    where = path + "?" + urlencode(query, errors="replace")
    method = draw(st.sampled_from([*sorted(rule.methods), "DELETE", "PATCH", "X" * 50]))
    sent = {} if method in ("GET", "HEAD") else sent
    answer = site.client.open(where, method=method, headers=headers, **sent)
    assert answer.status_code < 500, (method, where, headers, sent, answer.text)
    if path.startswith("/api/") and answer.status_code >= 400 and method != "HEAD":
        assert answer.json["error"]


@pytest.mark.parametrize("nested", NESTED)
def test_deep_nesting_is_refused_wherever_json_is_read(site, nested):
    token = {"X-CSRFToken": site.headers["X-CSRFToken"]}
    for action in ("next", "label", "status", "finish_plan", "guidelines"):
        answer = site.client.post(f"/api/{action}", data=nested, headers=site.headers)
        assert answer.status_code == 400 and answer.json["error"]
    for name in ("labels.json", "labels.jsonl"):
        data = {"file": (io.BytesIO(nested.encode()), name)}
        answer = site.client.post("/api/import", data=data, headers=token)
        assert answer.status_code in (200, 400) and "fault" not in answer.text


def test_what_is_no_json_is_refused(site):
    for body in (b"", b"{", b"\xff\xfe", b'{"n": 1' + b"0" * 5000 + b"}", b"[" * 100_000):
        answer = site.client.post("/api/next", data=body, headers=site.headers)
        assert 400 <= answer.status_code < 500, (body[:20], answer.text)
