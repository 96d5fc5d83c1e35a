"""Forecasts as a picture: labels in all against labels trained on, SVG as text, and in words.

Nothing but numbers and fixed words goes into it. Its colours are those of the page.
"""

from __future__ import annotations

from collections.abc import Sequence

from alutils.guarantee.cost_forecasts import Forecast, Forecasts

WIDTH, HEIGHT = 420, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 58, 12, 44
_LINES = 4  # at most, between the marks of the vertical axis
_STEPS = (1, 2, 5)
_APART = 13.0  # between two names at the right edge


def drawn(forecasts: Forecasts) -> dict[str, str] | None:
    """Draw the labels that it takes in all against those trained on, a line for each target.

    Returns
    -------
    ``svg`` and ``text``, which says the same in words; None where there is only one way
    """
    shown = [each for each in forecasts.targets if len(each.rows) > 1]
    if not shown:
        return None
    scale = _Scale(forecasts)
    parts = _axes(scale)
    for number, each in enumerate(shown):
        parts += _line(scale, number, each)
    parts += _names(scale, shown)
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="Forecast of the labels that a certificate takes">{"".join(parts)}</svg>'
    )
    return {"svg": svg, "text": _words(forecasts)}


class _Scale:
    """Where numbers of labels lie in the picture."""

    def __init__(self, forecasts: Forecasts) -> None:
        rows = [row for each in forecasts.targets for row in each.rows]
        self.first = forecasts.n_labelled
        self.last = self.first + max(row.train_more for row in rows)
        # The intervals may reach far: the picture is about where the lines are.
        highest = max(row.expected for row in rows)
        self.top = self.first + min(max(row.high for row in rows), 1.5 * highest)

    def x(self, train_more: float) -> float:
        return _LEFT + train_more / max(self.last - self.first, 1) * (WIDTH - _LEFT - _RIGHT)

    def y(self, labels: float) -> float:
        share = min(max(labels, 0), self.top) / max(self.top, 1)
        return HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM)

    def at(self, train_more: float, more: float) -> str:
        return f"{self.x(train_more):.1f},{self.y(self.first + more):.1f}"


def _axes(scale: _Scale) -> list[str]:
    """Return the grid, the marks, the axes' names, and "now"."""
    step = next(
        size * 10**power
        for power in range(9)
        for size in _STEPS
        if scale.top / (size * 10**power) <= _LINES
    )
    parts, labels = [], 0
    while labels <= scale.top:
        y = scale.y(labels)
        parts.append(
            f'<line class="alq-grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{_LEFT - 4}" y="{y + 4:.1f}" text-anchor="end">{labels:,}</text>'
        )
        labels += step
    low = HEIGHT - _BOTTOM
    parts.append(
        f'<line class="alq-now" x1="{_LEFT}" x2="{_LEFT}" y1="{_TOP}" y2="{low}"/>'
        f'<text x="{_LEFT}" y="{low + 14}">now: {scale.first:,}</text>'
        f'<text x="{WIDTH - _RIGHT}" y="{low + 14}" text-anchor="end">{scale.last:,}</text>'
        f'<text x="{_LEFT}" y="{HEIGHT - 6}">labels trained on, and labels in all (upwards)</text>'
    )
    return parts


def _line(scale: _Scale, number: int, forecast: Forecast) -> list[str]:
    """Return the band and the line of a target, and a mark where it is advised to finish."""
    rows, kind = forecast.rows, f"alq-line alq-line-{number % 4}"
    upper = [scale.at(row.train_more, row.high) for row in rows]
    lower = [scale.at(row.train_more, row.low) for row in reversed(rows)]
    line = [scale.at(row.train_more, row.expected) for row in rows]
    x, y = line[forecast.best].split(",")
    return [
        f'<polygon class="alq-band {kind}" points="{" ".join(upper + lower)}"/>',
        f'<polyline class="{kind}" points="{" ".join(line)}"/>',
        f'<circle class="{kind}" cx="{x}" cy="{y}" r="4"/>',
    ]


def _names(scale: _Scale, shown: Sequence[Forecast]) -> list[str]:
    """Return the targets' names at the right ends of their lines, none over another or outside."""
    upwards = sorted(enumerate(shown), key=lambda pair: pair[1].rows[-1].expected)
    places = [scale.y(scale.first + each.rows[-1].expected) + 4 for _, each in upwards]
    for i in range(1, len(places)):
        places[i] = min(places[i], places[i - 1] - _APART)
    lowest: float = _TOP  # where the next name may stand, from the top
    for i in reversed(range(len(places))):
        places[i] = max(places[i], lowest)
        lowest = places[i] + _APART
    return [
        f'<text class="alq-name-{number % 4}" x="{WIDTH - _RIGHT + 6}" y="{y:.1f}">'
        f"{100 * each.target:.12g}%</text>"
        for (number, each), y in zip(upwards, places, strict=True)
    ]


def _words(forecasts: Forecasts) -> str:
    """Say what the picture shows."""
    return " ".join(
        ["Labels in all, by labels trained on.", *(f.sentence for f in forecasts.targets)]
    )
