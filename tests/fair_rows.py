"""A made-up table of fair costs, as results/fair_costs.csv, for tests of what is said of it."""

import pandas as pd

LABELS = {
    "random": (4000.0, 4400.0), "active": (2000.0, 2200.0), "random_unlabelled": (2900.0, 3100.0),
    "active_unlabelled": (1000.0, 1100.0),
}  # fmt: skip


def fair_rows(pictures="digits", target=0.99, n=30_000, labels=LABELS, **values):
    """Return two seeds of each way."""
    rows = [
        {
            "set": pictures, "way": way, "seed": seed, "target": target, "pictures": n,
            "trained": 400, "by_hand": 100, "expected": 0.003, "draws": 40, "labels": each,
            "sd": 9.0, "attempts": 1.1, "refused": 4, "untrue": 1, "right": 0.998, "n_wrong": 160,
            "train_s": 100.0,
        }
        | values
        for way, of in labels.items()
        for seed, each in enumerate(of)
    ]  # fmt: skip
    return pd.DataFrame(rows)
