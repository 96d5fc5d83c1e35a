"""Do the labels form clusters? t-SNE maps, and how far neighbours share a label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from alutils.experiments.base import Finding, Keep, compute
from alutils.experiments.report.exploration import Agreement, embed, label_agreement
from alutils.experiments.report.letters import Letters
from alutils.plots import letters as plots

PIXELS, FEATURES = "raw pixels", "VGG16 features"


@dataclass(frozen=True, eq=False)
class Maps:
    """Letters laid out in the plane, from their pixels and from their features.

    Attributes
    ----------
    letters : those mapped
    layouts : by input, (n, 2) float64
    agreements : by input and ``map`` or ``before`` (mapping), how far neighbours share a label
    n_neighbours : looked at
    half : as ``before``, for features and pixels of half as many letters
    """

    letters: Letters
    layouts: Mapping[str, np.ndarray]
    agreements: Mapping[tuple[str, str], Agreement]
    n_neighbours: int
    half: Mapping[str, Agreement]

    def share(self, name: str, where: str = "map") -> float:
        """Return the share of neighbours with the same label."""
        return self.agreements[name, where].share

    @property
    def chance(self) -> float:
        """What the share would be if labels were dealt at random."""
        return self.agreements[PIXELS, "map"].chance


def space(letters: Letters, name: str) -> np.ndarray:
    """Return what a map is made from, (n, d) float32."""
    if name == FEATURES:
        return np.asarray(letters.features)
    return letters.images.reshape(len(letters), -1) / np.float32(255)


def layout(letters: Letters, name: str, seed: int, perplexity: float) -> pd.DataFrame:
    """Lay letters out in the plane, as a frame with columns x and y."""
    points = embed(space(letters, name), seed=seed, perplexity=perplexity)
    return pd.DataFrame(points, columns=["x", "y"])


def maps(
    letters: Letters, n: int, perplexity: float, n_neighbours: int, seed: int, keep: Keep = compute
) -> Maps:
    """Map ``n`` random letters, and measure how far neighbours share a label."""
    items = np.random.default_rng(seed).permutation(len(letters))[:n]
    some = Letters(letters.data.take(items), letters.features[items], letters.plan)
    n_classes, half = len(some.classes), len(some) // 2
    layouts, agreements, of_half = {}, {}, {}
    for name in (PIXELS, FEATURES):
        layouts[name] = keep(layout, some, name, seed, perplexity).to_numpy()
        before = space(some, name)
        for where, points in (("map", layouts[name]), ("before", before)):
            agreements[name, where] = label_agreement(points, some.labels, n_classes, n_neighbours)
        of_half[name] = label_agreement(before[:half], some.labels[:half], n_classes, n_neighbours)
    return Maps(some, layouts, agreements, n_neighbours, of_half)


def tsne(mapped: Maps) -> Finding:
    """Show the two maps."""
    letters = mapped.letters
    share = {name: mapped.share(name) for name in (PIXELS, FEATURES)}
    return Finding(
        f"Of a letter's {mapped.n_neighbours} nearest neighbours on the map, {share[PIXELS]:.0%} "
        f"carry its label for pixels and {share[FEATURES]:.0%} for features ({mapped.chance:.0%} "
        "by chance).",
        figure=plots.maps(
            mapped.layouts, letters.labels, letters.classes,
            letters.title(f"t-SNE of {len(letters):,} letters"),
        ),
        name="tsne",
        alt=(
            "Two maps of the same letters, of raw pixels and of VGG16 features, each letter "
            f"{'its label' if len(letters) <= plots.READABLE else 'a dot'} in the colour of its "
            "class, with the name of each class where it is densest."
        ),
    )  # fmt: skip


def neighbours(mapped: Maps) -> Finding:
    """Set the maps beside what they were made from, in numbers."""
    letters, rows = mapped.letters, []
    for (name, where), found in mapped.agreements.items():
        worst = int(np.nanargmin(found.by_class))
        rows.append(
            {
                "input": name,
                "neighbours": "on the map" if where == "map" else "before mapping",
                "same label": found.share,
                "by chance": found.chance,
                "mean of classes": np.nanmean(found.by_class),
                "classes under half": int((found.by_class < 0.5).sum()),
                "worst class": f"{letters.classes[worst]} ({found.by_class[worst]:.0%})",
            }
        )
    table = pd.DataFrame(rows)
    better = max((PIXELS, FEATURES), key=mapped.share)
    n = len(letters)
    shares = "{:.1%}".format
    styled = table.style.format(
        dict.fromkeys(["same label", "by chance", "mean of classes"], shares)
    )
    fewer, more = mapped.half[better].share, mapped.share(better, "before")
    said = clustering(mapped.share(better), mapped.chance)
    return Finding(
        f"{said}: on the better map ({better}) {mapped.share(better):.0%} of the neighbours share "
        f"the label, {mapped.chance:.0%} by chance. Before mapping, {fewer:.0%} agree among "
        f"{n // 2:,} letters and {more:.0%} among {n:,}: more letters "
        f"{'bring' if more > fewer else 'do not bring'} nearer neighbours of the same label.",
        name="neighbours",
        table=styled.hide(axis="index").set_caption(
            letters.title(f"Neighbours among {n:,} letters")
        ),
        tables={"az_clusters": table},
    )


def clustering(share: float, chance: float) -> str:
    """Say in words whether letters form clusters.

    ``share``, ``chance``: of the neighbours on a map that carry the same label, and how many would
    if labels were dealt at random.
    """
    if share > 0.5:
        return "The letters form clusters"
    return f"The letters form {'loose' if share > 2 * chance else 'no'} clusters"


def clusters_by_class(mapped: Maps) -> Finding:
    """Show class by class how many neighbours on the map share the label."""
    letters = mapped.letters
    on_map = {name: mapped.agreements[name, "map"].by_class for name in mapped.layouts}
    n_classes = len(letters.classes)
    said = [
        f"{name}: {int((values > 0.5).sum())} of {n_classes} classes (worst: "
        f"{', '.join(letters.classes[place] for place in np.argsort(values)[:3])})"
        for name, values in on_map.items()
    ]
    return Finding(
        f"Classes with more than half of their neighbours in the class: {'; '.join(said)}.",
        figure=plots.by_class(
            on_map, letters.classes, mapped.chance, "neighbours with the same label, per cent",
            letters.title(f"Neighbours on the t-SNE maps of {len(letters):,} letters"),
        ),
        name="clusters_by_class",
        alt=(
            "For each class the share of neighbours on the map with the same label, for pixels and "
            "for features, classes in rising order for pixels, with the level of chance."
        ),
    )  # fmt: skip
