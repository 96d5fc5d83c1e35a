"""Command lines whose options and other words may stand in any order."""

import itertools

import pytest

from alutils.base.any_order import AnyOrder


@pytest.fixture
def parser():
    parser = AnyOrder(prog="tool")
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("import")
    one.add_argument("folder")
    one.add_argument("file", nargs="?")
    one.add_argument("--project")
    one.add_argument("--dry-run", action="store_true")
    one.add_argument("--name", action="append", default=[])
    inner = commands.add_parser("data").add_subparsers(required=True)
    inner.add_parser("folder").add_argument("places", nargs="*")
    return parser


def test_every_order_is_taken_for_the_same(parser):
    words = (["F"], ["L"], ["--project", "D"], ["--dry-run"], ["--name", "a"])
    for order in itertools.permutations(words):
        if order.index(["F"]) < order.index(["L"]):
            found = parser.parse_args(["import", *itertools.chain(*order)])
            assert vars(found) == {
                "folder": "F", "file": "L", "project": "D", "dry_run": True, "name": ["a"],
            }, order  # fmt: skip


def test_what_may_be_missing_is_and_commands_of_commands_work(parser):
    assert parser.parse_args(["import", "F", "--project", "D"]).file is None
    assert parser.parse_args(["import", "--", "F", "-L"]).file == "-L"
    assert parser.parse_args(["data", "folder", "x", "y"]).places == ["x", "y"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["import", "--dry-run"], "required: folder"),
        (["import", "F", "--dry-run", "L", "M"], "unrecognized arguments: M"),
        (["import", "F", "--none"], "unrecognized arguments: --none"),
        (["import", "F", "--project"], "expected one argument"),
    ],
)
def test_what_is_missing_or_too_much_is_said(parser, capsys, words, message):
    with pytest.raises(SystemExit):
        parser.parse_args(words)
    assert message in capsys.readouterr().err
