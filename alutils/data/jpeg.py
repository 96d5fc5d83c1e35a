"""Whether the packed pixels of a JPEG file are whole.

Decoders fill what is missing with grey and pass over what does not fit, and say so to nobody who
calls them by Pillow. Here the file is walked through, marker by marker, and its packed numbers are
read as a decoder reads them (ITU-T T.81, annexes F and G), though no pixel is made of them. Damage
shows: the numbers end before the last block, or are not all used up by it.
"""

from __future__ import annotations

import functools
import struct
from dataclasses import dataclass, field

import numpy as np

from alutils.base.compiled import compiled
from alutils.data.bad_picture import BadPicture, damaged
from alutils.data.cost import check_parts, check_scans, past_fillers

_SEQUENTIAL, _PROGRESSIVE = (0xC0, 0xC1), 0xC2
_OTHER_FRAMES = {0xC3, *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0)}
_EMPTY = {0x01, *range(0xD0, 0xD9)}  # markers without a length
_DNL, _EOI, _SOS, _DHT, _DRI = 0xDC, 0xD9, 0xDA, 0xC4, 0xDD
_WHOLE, _ENDED, _NO_CODE, _NO_RESTART = range(4)
_WHY = {
    _ENDED: "its pixels end too early",
    _NO_CODE: "its pixels cannot be unpacked",
    _NO_RESTART: "a part of its pixels is missing",
}


@dataclass
class _Part:
    """One component of the picture: brightness, or one of two colours."""

    h: int
    v: int
    blocks: tuple[int, int] = (0, 0)  # across and down
    across: int = 0  # blocks in a line, those that only fill up the last ones included
    first: int = 0  # of its blocks among those of all components
    left: np.ndarray = field(default_factory=lambda: np.full(64, 255))  # lowest bit that is known


@dataclass
class _Frame:
    """What the markers have said so far."""

    progressive: bool = False
    size: tuple[int, int] = (0, 0)
    units: tuple[int, int] = (0, 0)  # across and down, where components are interleaved
    parts: dict[int, _Part] = field(default_factory=dict)
    tables: dict[tuple[int, int], np.ndarray] = field(default_factory=dict)
    interval: int = 0
    scans: int = 0
    nonzero: np.ndarray = field(default_factory=lambda: np.zeros((0, 64), np.uint8))


def check(data: bytes) -> int:
    """Read a JPEG file to its end; return how many bytes lie behind that.

    Kinds that nobody uses (arithmetic coding, lossless) are not looked at, and give 0.

    Raises
    ------
    BadPicture
        If it is cut or damaged, or has so many scans that it would keep a computer busy.
    """
    frame, at, n_parts = _Frame(), 2, 0
    while True:
        n_parts += 1
        check_parts(n_parts)
        at = past_fillers(data, at)
        if at + 2 > len(data):
            raise damaged("its end is missing")
        if data[at] != 0xFF:
            at = data.find(b"\xff", at)  # strange bytes between two parts: decoders pass over them
            at = len(data) if at < 0 else at
            continue
        marker, at = data[at + 1], at + 2
        if marker == _EOI:
            _check_complete(frame)
            return len(data) - at
        if marker in _EMPTY or marker == 0:
            continue
        if marker in _OTHER_FRAMES or marker == _DNL:
            return 0
        length = int.from_bytes(data[at : at + 2], "big")
        body = data[at + 2 : at + length]
        if length < 2 or at + length > len(data):
            raise damaged("it ends inside a part")
        at += length
        try:
            if marker in _SEQUENTIAL or marker == _PROGRESSIVE:
                _begin(frame, body, marker == _PROGRESSIVE)
            elif marker == _DHT:
                _add_tables(frame, body)
            elif marker == _DRI:
                frame.interval = int.from_bytes(body[:2], "big")
            elif marker == _SOS:
                at = _check_scan(frame, body, data, at)
        except BadPicture:
            raise
        except (IndexError, KeyError, ValueError, struct.error) as error:
            raise damaged("its header does not fit together") from error


def _begin(frame: _Frame, body: bytes, progressive: bool) -> None:
    """Read the size and the components."""
    height, width, n = struct.unpack(">HHB", body[1:6])
    if frame.parts or not n or not height or not width:
        raise damaged("it has two headers, or no size")
    frame.progressive, frame.size = progressive, (height, width)
    check_scans(1, height, width)
    for name, sampling in zip(body[6 : 6 + 3 * n : 3], body[7 : 6 + 3 * n : 3], strict=True):
        frame.parts[name] = _Part(sampling >> 4, sampling & 15)
    if any(not 1 <= side <= 4 for part in frame.parts.values() for side in (part.h, part.v)):
        raise damaged("its header does not fit together")
    h, v = (max(getattr(part, side) for part in frame.parts.values()) for side in "hv")
    frame.units = -(-width // (8 * h)), -(-height // (8 * v))
    n_blocks = 0
    for part in frame.parts.values():
        across, down = -(-width * part.h // h), -(-height * part.v // v)
        part.blocks = -(-across // 8), -(-down // 8)
        part.first, part.across = n_blocks, frame.units[0] * part.h
        n_blocks += part.across * frame.units[1] * part.v
    if progressive:
        frame.nonzero = np.zeros((n_blocks, 64), np.uint8)


def _add_tables(frame: _Frame, body: bytes) -> None:
    at = 0
    while at < len(body):
        n = sum(body[at + 1 : at + 17])
        values = body[at + 17 : at + 17 + n]
        frame.tables[body[at] >> 4, body[at] & 15] = _table(body[at + 1 : at + 17], values)
        at += 17 + n


@functools.lru_cache(maxsize=64)
def _table(counts: bytes, values: bytes) -> np.ndarray:
    """(65536,) int16: for the next 16 bits, 256 times the code's length plus its value; 0: none."""
    table, code, at = np.zeros(2**16, np.int16), 0, 0
    for length, count in enumerate(counts, 1):
        for value in values[at : at + count]:
            start = code << (16 - length)
            table[start : start + (1 << (16 - length))] = (length << 8) + value
            code += 1
        at, code = at + count, code << 1
    return table


def _check_scan(frame: _Frame, body: bytes, data: bytes, at: int) -> int:
    """Read one scan; return where it ends."""
    whole = np.frombuffer(data, np.uint8)
    frame.scans += 1
    check_scans(frame.scans, *frame.size)
    n = body[0]
    parts = [frame.parts[name] for name in body[1 : 1 + 2 * n : 2]]
    low, high, bits = body[1 + 2 * n : 4 + 2 * n]
    if frame.progressive and not low <= high < 64:
        raise damaged("its header does not fit together")
    kind = (2 if low else 1) + 2 * (bits >> 4 > 0) if frame.progressive else 0
    rows: list[list[int]] = []
    tables: list[np.ndarray] = []
    for part, used in zip(parts, body[2 : 2 + 2 * n : 2], strict=True):
        one = n == 1  # its blocks follow each other as if it were the whole picture
        sides = (1, 1) if one else (part.h, part.v)
        rows.append([*sides, part.first, part.across, len(tables), len(tables) + 1])
        dc, ac = ((0, used >> 4), (1, used & 15))
        none = np.zeros(2**16, np.int16)
        tables += [frame.tables[dc] if kind in (0, 1) else none]
        tables += [frame.tables[ac] if kind in (0, 2, 4) else none]
        part.left[low : (high if frame.progressive else 63) + 1] = bits & 15
    across, down = parts[0].blocks if n == 1 else frame.units
    layout = np.array([across, across * down, frame.interval, low, high], np.int64)
    status, end, spare = _read_scan(
        whole, at, kind, layout, np.array(rows), np.stack(tables), frame.nonzero
    )
    if status != _WHOLE:
        raise damaged(_WHY[status])
    marker = _next_marker(data, int(end))
    left = spare + marker - int(end)
    # Some programs fill up with zeros or ones.
    if left and set(np.unique(whole[marker - left : marker]).tolist()) not in ({0}, {0xFF}):
        raise damaged(f"{left:,} bytes of its pixels are left over")
    return marker


def _next_marker(data: bytes, at: int) -> int:
    """Return where the next marker is that is none within packed numbers."""
    while (at := data.find(b"\xff", at)) >= 0:
        if at + 1 < len(data) and data[at + 1] not in (0x00, *range(0xD0, 0xD8)):
            return at
        at += 1
    raise damaged("its end is missing")


def _check_complete(frame: _Frame) -> None:
    if not frame.scans or any((part.left > 0).any() for part in frame.parts.values()):
        raise damaged("some of its scans are missing")


# --- packed numbers -------------------------------------------------------------------------------

_AT, _BUFFER, _N, _AT_MARKER, _OVER, _RUN = range(6)  # of a reader's state


@compiled()
def _read_byte(data: np.ndarray, state: np.ndarray) -> None:
    """Read a byte ahead, of which there are 6 at most; or see that a marker follows."""
    at = state[_AT]
    if at >= data.size or (data[at] == 0xFF and (at + 1 >= data.size or data[at + 1] != 0)):
        state[_AT_MARKER] = 1
    else:
        state[_BUFFER] = ((state[_BUFFER] << 8) | data[at]) & 0xFFFFFFFFFFFF
        state[_N] += 8
        state[_AT] += 2 if data[at] == 0xFF else 1


@compiled()
def _code(data: np.ndarray, state: np.ndarray, table: np.ndarray) -> int:
    """Return the next code's value; -1 if there is no such code."""
    while state[_N] <= 40 and not state[_AT_MARKER]:
        _read_byte(data, state)
    n = state[_N]
    ahead = (state[_BUFFER] << 16 >> n) & 0xFFFF if n < 16 else (state[_BUFFER] >> n - 16) & 0xFFFF
    entry = table[ahead]
    if entry == 0:
        return -1
    _take(data, state, entry >> 8)
    return entry & 255


@compiled()
def _take(data: np.ndarray, state: np.ndarray, n: int) -> int:
    """Return the next n bits as a number, 16 at most."""
    while state[_N] < n and not state[_AT_MARKER]:
        _read_byte(data, state)
    if state[_N] < n:
        state[_OVER] = 1
        state[_N] = 0
        return 0
    state[_N] -= n
    return (state[_BUFFER] >> state[_N]) & ((1 << n) - 1)


@compiled()
def _first_block(
    data: np.ndarray,
    state: np.ndarray,
    table: np.ndarray,
    low: int,
    high: int,
    nonzero: np.ndarray,
    progressive: bool,
) -> bool:
    """Read a block's numbers ``low`` to ``high``; return whether it can be."""
    if state[_RUN] > 0:
        state[_RUN] -= 1
        return True
    k, alike, first = low, True, -1
    while k <= high:
        code = _code(data, state, table)
        if code < 0:
            return False
        first = code if k == low else first
        run, size = code >> 4, code & 15
        if size == 0 and run < 15:
            if progressive and run:
                state[_RUN] = (1 << run) + _take(data, state, run) - 1
            return True
        k += run
        if size:
            if k > high:
                return False
            value = _take(data, state, size)
            alike = alike and code == first and value == 0
            if progressive:
                nonzero[k] = 1
        k += 1
    # Zeros where numbers were often mean the same number 63 times: no picture has such a block.
    return progressive or not alike or first >> 4 > 0 or first & 15 == 0 or k < 64


@compiled()
def _refined_block(
    data: np.ndarray,
    state: np.ndarray,
    table: np.ndarray,
    low: int,
    high: int,
    nonzero: np.ndarray,
) -> bool:
    """Read one more bit of a block's numbers; return whether it can be."""
    k = low
    while state[_RUN] == 0 and k <= high:
        code = _code(data, state, table)
        if code < 0 or code & 15 > 1:
            return False
        run, new = code >> 4, code & 15
        if new:
            _take(data, state, 1)
        elif run < 15:
            state[_RUN] = (1 << run) + (_take(data, state, run) if run else 0)
            break
        while k <= high:
            if nonzero[k]:
                _take(data, state, 1)
            elif run == 0:
                break
            else:
                run -= 1
            k += 1
        if new:
            if k > high:
                return False
            nonzero[k] = 1
        k += 1
    if state[_RUN] > 0:
        while k <= high:
            if nonzero[k]:
                _take(data, state, 1)
            k += 1
        state[_RUN] -= 1
    return True


@compiled()
def _read_scan(
    data: np.ndarray,
    at: int,
    kind: int,
    layout: np.ndarray,
    parts: np.ndarray,
    tables: np.ndarray,
    nonzero: np.ndarray,
) -> tuple[int, int, int]:
    """Read a scan: its status, where it ends, and how many whole bytes were read too far.

    ``kind``: 0 sequential; progressive: 1 and 3 the first number of blocks, at first and refined,
    2 and 4 the others. ``parts``: a row for each component, as `_check_scan` makes it.
    """
    across, n_units, interval, low, high = layout
    state = np.zeros(6, np.int64)
    state[_AT] = at
    restarts = 0
    none = np.zeros(64, np.uint8)
    for unit in range(n_units):
        if interval and unit and unit % interval == 0:
            place = state[_AT]
            while place + 1 < data.size and data[place] == 0xFF and data[place + 1] == 0xFF:
                place += 1
            if place + 1 >= data.size or data[place] != 0xFF or state[_N] >= 8:
                return _NO_RESTART, place, 0
            if data[place + 1] != 0xD0 + restarts % 8:
                return _NO_RESTART, place, 0
            restarts += 1
            state[:] = 0
            state[_AT] = place + 2
        for part in range(parts.shape[0]):
            h, v, first, stride, dc, ac = parts[part]
            for y in range(v):
                for x in range(h):
                    line, column = unit // across * v + y, unit % across * h + x
                    block = none
                    if kind > 0:
                        block = nonzero[first + line * stride + column]
                    fine = True
                    if kind < 2:
                        size = _code(data, state, tables[dc])
                        fine = 0 <= size <= 16
                        if fine:
                            _take(data, state, size)
                    elif kind == 3:
                        _take(data, state, 1)
                    if kind == 0 and fine:
                        fine = _first_block(data, state, tables[ac], 1, 63, block, False)
                    elif kind == 2:
                        fine = _first_block(data, state, tables[ac], low, high, block, True)
                    elif kind == 4:
                        fine = _refined_block(data, state, tables[ac], low, high, block)
                    if state[_OVER]:
                        return _ENDED, state[_AT], 0
                    if not fine:
                        return _NO_CODE, state[_AT], 0
    return _WHOLE, state[_AT], state[_N] // 8
