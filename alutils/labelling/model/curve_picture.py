"""The learning curve of a project as a picture: SVG as text, and the same in words.

Nothing but numbers and fixed words goes into it. Its colours are those of the page.
"""

from __future__ import annotations

from collections.abc import Sequence

from alutils.labelling.model.facts import FEWEST_AT_RANDOM, Point

WIDTH, HEIGHT = 320, 180
_LEFT, _RIGHT, _TOP, _BOTTOM = 42, 8, 12, 34
_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.25)
_LINES = 4  # at most, between the marks of the vertical axis


def drawn(points: Sequence[Point]) -> dict[str, str] | None:
    """Draw the accuracy on all pictures and on the labelled ones against the number of labels.

    Parameters
    ----------
    points : what was known after each training, ascending

    Returns
    -------
    ``svg`` and ``text``, which says the same in words; None for fewer than two points
    """
    points = [p for p in points if p.labelled.judged]
    if len(points) < 2:
        return None
    pool = [p for p in points if p.pool.judged >= FEWEST_AT_RANDOM]
    lows = [p.labelled.value for p in points] + [p.pool.interval[0] for p in pool]
    bottom = max(0.0, min(lows) // 0.1 * 0.1)
    scale = _Scale(points[0].n_labels, points[-1].n_labels, bottom)
    parts = [*_axes(scale)]
    if pool:
        upper = [scale.at(p.n_labels, p.pool.interval[1]) for p in pool]
        lower = [scale.at(p.n_labels, p.pool.interval[0]) for p in reversed(pool)]
        parts.append(f'<polygon class="alq-band" points="{" ".join(upper + lower)}"/>')
        parts += _line("alq-curve", [scale.at(p.n_labels, p.pool.value) for p in pool])
    hard = [scale.at(p.n_labels, p.labelled.value) for p in points]
    parts += _line("alq-curve alq-hard", hard)
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="Learning curve">{"".join(parts)}</svg>'
    )
    return {"svg": svg, "text": _words(points, pool)}


class _Scale:
    """Where numbers of labels and accuracies lie in the picture."""

    def __init__(self, first: int, last: int, bottom: float) -> None:
        self.first, self.last, self.bottom = first, last, bottom

    def x(self, n: float) -> float:
        share = (n - self.first) / max(self.last - self.first, 1)
        return _LEFT + share * (WIDTH - _LEFT - _RIGHT)

    def y(self, accuracy: float) -> float:
        share = (1 - accuracy) / (1 - self.bottom)
        return _TOP + share * (HEIGHT - _TOP - _BOTTOM)

    def at(self, n: float, accuracy: float) -> str:
        return f"{self.x(n):.1f},{self.y(accuracy):.1f}"


def _axes(scale: _Scale) -> list[str]:
    """Return the grid, the marks and the axes' names."""
    step = next((s for s in _STEPS if (1 - scale.bottom) / s <= _LINES), _STEPS[-1])
    parts, accuracy = [], 1.0
    while accuracy >= scale.bottom - 1e-9:
        y = scale.y(accuracy)
        parts.append(
            f'<line class="alq-grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{_LEFT - 4}" y="{y + 4:.1f}" text-anchor="end">{accuracy:.0%}</text>'
        )
        accuracy -= step
    low = HEIGHT - _BOTTOM + 14
    parts += [
        f'<text x="{_LEFT}" y="{low}">{scale.first:,}</text>',
        f'<text x="{WIDTH - _RIGHT}" y="{low}" text-anchor="end">{scale.last:,} labels</text>',
        f'<text x="{_LEFT}" y="{HEIGHT - 4}"><tspan class="alq-key">●</tspan> all pictures '
        '<tspan class="alq-key alq-hard">■</tspan> labelled ones</text>',
    ]
    return parts


def _line(kind: str, places: list[str]) -> list[str]:
    """Return a line with a mark at each point; squares for the hard ones, else circles."""
    marks = []
    for place in places:
        x, y = place.split(",")
        if "alq-hard" in kind:
            side = f'x="{float(x) - 2.5:.1f}" y="{float(y) - 2.5:.1f}" width="5" height="5"'
            marks.append(f'<rect class="{kind}" {side}/>')
        else:
            marks.append(f'<circle class="{kind}" cx="{x}" cy="{y}" r="3"/>')
    return [f'<polyline class="{kind}" points="{" ".join(places)}"/>', *marks]


def _words(points: Sequence[Point], pool: Sequence[Point]) -> str:
    """Say what the picture shows."""
    first, last = points[0], points[-1]
    said = (
        f"Learning curve from {first.n_labels:,} to {last.n_labels:,} labels. On the labelled "
        f"pictures, mostly the hard ones, the accuracy went from {first.labelled.value:.0%} to "
        f"{last.labelled.value:.0%}."
    )
    if pool:
        low, high = pool[-1].pool.interval
        said += (
            f" On all pictures it went from {pool[0].pool.value:.0%} to {pool[-1].pool.value:.0%} "
            f"(95% interval {low:.0%} to {high:.0%})."
        )
    return said
