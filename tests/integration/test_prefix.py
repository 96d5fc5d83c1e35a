"""The tool behind a proxy that puts a path before its own: all addresses stay below that path."""

import http.cookiejar
import json
import re
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
from label_helpers import DECODERS, fill
from proxy_helpers import PREFIX, Visitor, proxied

from alutils.base.errors import ParameterError
from alutils.labelling.store.store import Store
from alutils.labelling.web import serve
from alutils.labelling.web.addresses import checked_host, checked_prefix
from alutils.labelling.web.app import create_app
from alutils.labelling.web.security import access

PATHS = (
    "/", "/who", "/begin", "/review", "/review/doubtful", "/add", "/export", "/classes", "/one",
    "/one/1", "/finish", "/progress", "/no/such/page",
)  # fmt: skip


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "letters", ["A", "B", "C"], seed=0) as opened:
        fill(opened, 4)
        yield opened


def app(store, **options):
    who = access("127.0.0.1", bytes(32))
    return create_app(store, access=who, decoders=DECODERS, **options)


@pytest.mark.parametrize(
    ("strips", "options"),
    [(True, {}), (True, {"prefix": PREFIX}), (False, {"prefix": PREFIX})],
    ids=["nothing is told", "the prefix is told", "the prefix stays in the paths"],
)
def test_everything_stays_below_the_prefix(store, strips, options):
    with proxied(app(store, **options), strips=strips) as url:
        visitor = Visitor(url)
        status, where, _ = visitor.get("/review/doubtful")
        assert (status, where) == (200, "/who?next=%2Freview%2Fdoubtful")  # asked for a name first
        assert visitor.post("/who", name="Ada", next="/review/doubtful")[:2] == (
            200, "/review/doubtful",
        )  # fmt: skip
        seen = set()
        for path in PATHS:
            status, where, page = visitor.get(path)
            assert status == (404 if path.startswith("/no") else 200) and where == path
            for address in re.findall(r'(?:src|href|action)="([^"#]+)"', page):
                found = urljoin(url + path, address)
                assert found.startswith(f"{url}/"), (path, address)
                seen.add(found.removeprefix(url))
            root = re.search(r'name="root" content="([^"]+)"', page)[1]
            assert urljoin(url + path, root) == f"{url}/"
        for address in sorted(seen):  # each of them is there
            assert visitor.get(address)[0] in (200, 400), address
        status, where, page = visitor.post("/one/1", label="B")
        assert (status, where) == (200, "/one/1") and "is in the folder" in page
        body = json.dumps({"item": 2, "label": "A", "key": "k"}).encode()
        assert visitor.ask("label", body)[0] == 200
        assert store.reader.progress().human == 2


def test_scripts_have_no_address_from_the_root():
    static = Path(serve.__file__).parent / "static"
    scripts = {path.name: path.read_text("utf-8") for path in static.glob("*.js")}
    assert scripts
    for name, text in scripts.items():
        assert not re.search(r"[\"'`]/(?:api|pictures|static|who|export|finish)\b", text), name


@pytest.mark.parametrize("prefix", [PREFIX, ""])
def test_a_cookie_goes_to_this_tool_alone_where_the_prefix_is_told(store, prefix):
    with proxied(app(store, prefix=prefix)) as url:
        visitor = Visitor(url)
        visitor.get("/review/doubtful")
        visitor.post("/who", name="Ada", next="/")
        (cookie,) = visitor.cookies
        assert isinstance(cookie, http.cookiejar.Cookie) and cookie.path == (prefix or "/")


def test_a_prefix_that_a_stranger_claims_changes_nothing(store):
    client = app(store).test_client()
    for name in ("X-Forwarded-Prefix", "X-Script-Name", "X-Forwarded-Host"):
        answer = client.get("/", headers={name: "//evil.example/x"})
        assert answer.location == "./who?next=%2F" and "evil" not in str(answer.headers)
        assert "evil" not in client.get("/who", headers={name: "//evil.example/x"}).text


def test_a_token_in_the_first_address_leaves_it_below_the_prefix(store):
    who = access("0.0.0.0", bytes(32))
    for prefix in ("", PREFIX):
        with proxied(create_app(store, access=who, decoders=DECODERS, prefix=prefix)) as url:
            visitor = Visitor(url)
            assert visitor.get("/one?token=wrong")[0] == 401
            status, where, _ = visitor.get(f"/one?token={who.token}&a=1")
            assert (status, where) == (200, "/who?next=%2Fone%3Fa%3D1")
            assert visitor.get("/who")[0] == 200


@pytest.mark.parametrize("given", ["/user/ann/proxy/8000/", "/a", "/", "", "/a-b/c.d~e@f/%20"])
def test_a_prefix_is_a_path(given):
    assert checked_prefix(given) == given.rstrip("/")


@pytest.mark.parametrize(
    "given",
    [
        "user/ann",
        "//evil",
        "/a b",
        "/a;b",
        "/a\r\nX: y",
        "/a/../b",
        "http://h/a",
        "/ü",
        "/.",
        "/a/%2e%2e/b",
        "/%2E",
        "/a%2f..",
    ],
)
def test_what_is_no_path_is_refused(given):
    with pytest.raises(ParameterError, match="--prefix"):
        checked_prefix(given)


@pytest.mark.parametrize("given", ["hub.example.org", "HUB", "my_host", "192.168.1.2", "::1"])
def test_a_host_is_called_as_browsers_call_it(given):
    assert checked_host(given) == given.lower()


@pytest.mark.parametrize(
    "given", ["a b", "https://hub", "hub:8000", "hub/a", "", "hub.", "münchen.de", "ann@hub", "h\n"]
)
def test_a_name_that_no_browser_sends_is_refused_before_anything_is_written(tmp_path, given):
    options = serve.Options(tmp_path, port=0, learn=False, classes="A", names=("hub", given))
    with pytest.raises(ParameterError, match="--name"), serve.serving(options):
        pass
    assert not list(tmp_path.iterdir())


def test_the_address_that_is_printed_has_the_prefix(tmp_path):
    (tmp_path / "p").mkdir()
    options = serve.Options(tmp_path / "p", port=0, learn=False, classes="A", prefix="/x/y/")
    with serve.serving(options) as (url, _server):
        assert urlsplit(url).path == "/x/y/"
