"""Tables of letters as programs write them: read for what they are, or named for what they are."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alutils.base.errors import BadInput
from alutils.data import csv_letters
from alutils.data.csv_letters import COLUMNS, csv_chunks, read_csv
from alutils.data.png import csv_to_png
from alutils.data.skips import Skips

RNG = np.random.default_rng(0)


def letters(labels) -> np.ndarray:
    """(n, 785): labels, then pixels with a black edge, as letters have it."""
    rows = np.zeros((len(labels), COLUMNS), np.int64)
    rows[:, 0] = labels
    rows[:, 200:500] = RNG.integers(0, 256, (len(labels), 300))
    return rows


def lines(rows, comma=",") -> list[str]:
    return [comma.join(map(str, row)) for row in np.asarray(rows).tolist()]


def label_at(rows, column: int) -> np.ndarray:
    """Put the label into another column."""
    return np.insert(rows[:, 1:], column, rows[:, 0], axis=1)


def write(folder, content: str, name="t.csv"):
    path = folder / name
    path.write_bytes(content.encode())
    return path


def check(path, rows) -> None:
    read = read_csv(path)
    assert np.array_equal(read.labels, rows[:, 0])
    assert np.array_equal(read.images.reshape(len(rows), -1), rows[:, 1:])


ROWS = letters([0, 7, 25, 3, 3])


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("behind", ["", "{end}", "{end}{end}  {end}", ",,,{end},,,", "{end}\t"])
@pytest.mark.parametrize("block", [3_000, 2**22])
def test_line_ends_and_empty_lines_at_the_end_are_no_rows(
    tmp_path, monkeypatch, end, behind, block
):
    monkeypatch.setattr(csv_letters, "_BLOCK", block)
    content = end.join(lines(ROWS)) + (end + behind.format(end=end) if behind else "")
    check(write(tmp_path, content), ROWS)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from([2_600, 2_601, 2_999, 4_096, 9_999]), st.sampled_from(["\r\n", "\r", "\n"]))
def test_line_ends_are_the_same_wherever_a_block_ends(tmp_path_factory, block, end):
    path = write(tmp_path_factory.mktemp("t"), end.join(lines(letters(range(26)))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_letters, "_BLOCK", block)
        assert read_csv(path).labels.tolist() == list(range(26))


PIXELS = [f"pixel{i}" for i in range(784)]
HEADERS = {
    "label first": ("label", PIXELS, 0),
    "class last": ("class", PIXELS, 784),
    "Letter, capitals and quotes": ('"Letter"', [f'"P{i}"' for i in range(784)], 784),
    "y in the middle": ("y", PIXELS, 391),
    "pixels all called alike": ("label", ["pixel"] * 784, 0),
    "an unknown name, last": ("Buchstabe", PIXELS, 784),
    "rows and columns": ("target", [f"{i}x{j}" for i in range(28) for j in range(28)], 784),
    "savetxt's sign": ("# label", PIXELS, 0),
}


@pytest.mark.parametrize("case", HEADERS)
def test_a_header_says_where_the_label_is(tmp_path, case):
    name, pixels, column = HEADERS[case]
    names = [*pixels[:column], name, *pixels[column:]]
    content = "\n".join([",".join(names), *lines(label_at(ROWS, column))])
    check(write(tmp_path, content), ROWS)
    csv_to_png(tmp_path / "t.csv", tmp_path / "png", progress=False)
    assert sorted(p.parent.name for p in tmp_path.rglob("*.png")) == list("ADDHZ")


def test_two_columns_that_are_called_like_labels_are_one_too_many(tmp_path):
    names = ["label", *PIXELS[:-1], "class"]
    with pytest.raises(BadInput, match=r"line 1: 2 columns are called like labels \(1 and 785"):
        read_csv(write(tmp_path, "\n".join([",".join(names), *lines(ROWS)])))


def test_excels_line_about_commas_is_passed_over(tmp_path):
    check(write(tmp_path, "\n".join(["sep=,", *lines(ROWS)])), ROWS)
    with_names = "\n".join(["sep=,", ",".join(["label", *PIXELS]), *lines(ROWS)])
    check(write(tmp_path, with_names), ROWS)


@pytest.mark.parametrize("sign", [";", "\t", "|", " "])
@pytest.mark.parametrize("header", [False, True])
def test_other_signs_between_values_are_named(tmp_path, sign, header):
    first = [sign.join(["label", *PIXELS])] if header else []
    path = write(tmp_path, "\n".join([*first, *lines(ROWS, sign)]))
    for on_bad in ("error", "skip"):
        with pytest.raises(BadInput, match=r"are separated by \w+, expected commas; save it"):
            read_csv(path, on_bad)


@pytest.mark.parametrize("form", ["%.18e", "%g", "%.1f", "%+d", "%.0E"])
def test_a_number_is_its_value_however_it_is_written(tmp_path, form):
    rows = letters([2, 0]) // 100 * 100 if "E" in form else letters([2, 0])
    rows[:, 0] = [2, 0]
    np.savetxt(tmp_path / "t.csv", rows, delimiter=",", fmt=form)
    check(tmp_path / "t.csv", rows)


def test_a_comma_at_each_lines_end_is_no_value(tmp_path):
    check(write(tmp_path, ",\n".join(lines(ROWS)) + ",\n"), ROWS)
    names = ",".join(["label", *PIXELS])
    check(write(tmp_path, ",\n".join([names, *lines(ROWS)]) + ",\n"), ROWS)


def test_what_pandas_writes_with_its_index_is_named(tmp_path):
    pd.DataFrame(ROWS).to_csv(tmp_path / "t.csv")
    with pytest.raises(BadInput, match=r"786 values, expected 785 .* an index"):
        read_csv(tmp_path / "t.csv")


# --- what only the whole table shows --------------------------------------------------------------


@pytest.mark.parametrize("on_bad", ["error", "skip"])
@pytest.mark.parametrize("labels", [range(1, 27), [26, 1, 2], [5, 26, 26]])
def test_labels_that_count_to_26_are_never_skipped(tmp_path, labels, on_bad):
    path = write(tmp_path, "\n".join(lines(letters(list(labels)))))
    for read in (read_csv, lambda *given: csv_to_png(path, tmp_path / "png", on_bad, False)):
        with pytest.raises(BadInput, match="count from 1") as caught:
            read(path, on_bad)
        assert "take 1 from each label" in str(caught.value)
        assert "skip" not in str(caught.value)
    assert list(tmp_path.iterdir()) == [path]


def test_a_label_of_26_beside_one_of_0_is_a_bad_row(tmp_path):
    path = write(tmp_path, "\n".join(lines(letters([0, 26, 3]))))
    with pytest.raises(BadInput, match=r"line 2: label is '26'.*on_bad='skip'"):
        read_csv(path)
    assert read_csv(path, "skip").labels.tolist() == [0, 3]


@pytest.mark.parametrize("labels", [range(1, 26), [1, 2], [9, 4]])
def test_a_table_without_a_label_of_0_says_so(tmp_path, caplog, labels):
    read_csv(write(tmp_path, "\n".join(lines(letters(list(labels))))))
    assert "no label is 0 (A)" in caplog.text and "take 1 from each" in caplog.text


@pytest.mark.parametrize("labels", [range(26), [0, 1], [4, 4]])
def test_a_table_with_one_or_of_one_class_does_not(tmp_path, caplog, labels):
    read_csv(write(tmp_path, "\n".join(lines(letters(list(labels))))))
    assert "count from 1" not in caplog.text


@pytest.mark.parametrize("labels", [[0, 1, 2], [25, 25, 25, 25], list(range(1, 27))])
@pytest.mark.parametrize("on_bad", ["error", "skip"])
def test_labels_in_the_last_column_of_a_table_without_names_are_noticed(tmp_path, labels, on_bad):
    path = write(tmp_path, "\n".join(lines(label_at(letters(labels), 784))))
    with pytest.raises(BadInput, match="is the label the last column"):
        read_csv(path, on_bad)


def test_pixels_taken_for_labels_are_not_skipped_row_by_row(tmp_path):
    rows = letters([0, 1, 2] * 20)
    rows[:, 1] = RNG.integers(0, 256, 60)  # a photograph's corner
    with pytest.raises(BadInput, match=r"rows have labels outside .* column 1 was read as"):
        read_csv(write(tmp_path, "\n".join(lines(label_at(rows, 784)))), "skip")


@pytest.mark.parametrize("most", [1, 15, 31])
def test_pixels_of_few_bits_are_said(tmp_path, caplog, most):
    rows = letters([0, 1, 2])
    rows[:, 1:] = (rows[:, 1:] * (most + 1)) // 256
    rows[0, 300] = most
    path = write(tmp_path, "\n".join(lines(rows)))
    if most == 1:
        with pytest.raises(BadInput, match=r"brightest pixel of all is 1, .* multiply .* by 255"):
            read_csv(path, "skip")
    else:
        read_csv(path)
        assert f"the brightest pixel of all is {most}, where 255 is white" in caplog.text


def test_notes_are_kept_and_said_once(tmp_path, caplog):
    rows = letters([0, 1, 2, 1])
    rows[3, 1:] = rows[0, 1:]
    path, report = write(tmp_path, "\n".join(lines(rows))), Skips()
    read_csv(path, report=report)
    assert report.notes == [
        "1 picture has more than one label (t.csv#0, t.csv#3)",
        "1 picture is there more than once (t.csv#0, t.csv#3)",
    ]
    caplog.clear()
    report = Skips(silent=True)
    list(csv_chunks(write(tmp_path, "\n".join(lines(letters([3, 4])))), report=report))
    assert len(report.notes) == 1 and caplog.text == ""


@pytest.mark.parametrize("labels", [[0, 0, 0], [1, 2, 3]])
def test_a_table_to_be_labelled_need_not_have_labels_that_make_sense(tmp_path, labels):
    rows = letters(labels)
    rows[:, 784] = [3, 9, 4]  # pixels that could be labels
    path = write(tmp_path, "\n".join(lines(rows)))
    report = Skips()
    assert sum(len(c.labels) for c in csv_chunks(path, report=report, labels_count=False)) == 3
    assert report.notes == []


ORDERS = {
    "sorted as texts": sorted(PIXELS),
    "backwards": PIXELS[::-1],
    "column by column": [f"{i}x{j}" for j in range(28) for i in range(28)],
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("column", [0, 784])
def test_columns_in_another_order_are_no_letters(tmp_path, order, column):
    names = np.insert(np.array(ORDERS[order], object), column, "label")
    path = write(tmp_path, "\n".join([",".join(names), *lines(label_at(ROWS, column))]))
    with pytest.raises(BadInput, match=r"line 1: the column '\w+' follows '\w+', expected the pix"):
        read_csv(path, "skip")


def test_digits_that_are_called_letters_are_said(tmp_path, caplog):
    read_csv(write(tmp_path, "\n".join(lines(letters(list(range(10)))))))
    assert "the labels are 0 to 9, as those of digits" in caplog.text
    caplog.clear()
    read_csv(write(tmp_path, "\n".join(lines(letters(list(range(11)))))))
    assert caplog.text == ""


@pytest.mark.parametrize("name", ["id", "Image ID", "Unnamed: 0", "index"])
@pytest.mark.parametrize("column", [0, 784])
def test_numbers_of_rows_are_no_labels(tmp_path, name, column):
    names = np.insert(np.array(PIXELS, object), column, name)
    path = write(
        tmp_path, "\n".join([",".join(names), *lines(label_at(letters([0, 1, 2]), column))])
    )
    with pytest.raises(BadInput, match="it seems to number the rows, expected their labels"):
        read_csv(path)


SEVENS = ",".join(["7"] * (COLUMNS - 1))


@pytest.mark.parametrize("end", [",", ",,,", ", , ,"])
@pytest.mark.parametrize("last", ["\n", ""])
def test_empty_columns_at_the_end_are_passed_over(tmp_path, end, last):
    rows = [f"{label},{SEVENS[:-1]}{label}{end}" for label in range(3)]
    read = read_csv(write(tmp_path, "\n".join(rows) + last))
    assert read.labels.tolist() == [0, 1, 2]
    assert read.images[:, -1, -1].tolist() == [0, 1, 2]


@pytest.mark.parametrize("content", ["<html><body>404</body></html>", '{"a": 1}', "no table"])
def test_a_text_that_is_no_table_is_not_called_a_cut_one(tmp_path, content):
    with pytest.raises(BadInput, match="no comma in") as caught:
        read_csv(write(tmp_path, content))
    assert "was cut" not in str(caught.value)


@pytest.mark.parametrize("value", ["0.5", "0.85098", "1e-3"])
def test_pixels_of_0_to_1_are_told_how_to_become_levels(tmp_path, value):
    row = f"3,{value}{SEVENS[1:]}\n"
    with pytest.raises(BadInput, match="if all are 0 to 1, multiply them by 255"):
        read_csv(write(tmp_path, row))
    with pytest.raises(BadInput, match=f"label is '{value}'") as caught:
        read_csv(write(tmp_path, f"{value},{SEVENS}\n"))
    assert "255 and" not in str(caught.value)


@pytest.mark.parametrize("start", [b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"])
def test_a_workbook_of_excel_is_called_so(tmp_path, start):
    (tmp_path / "t.csv").write_bytes(start + bytes(100))
    with pytest.raises(BadInput, match=r"Excel workbook; .*save it as CSV"):
        read_csv(tmp_path / "t.csv")
