"""How often each rule for automatic labels breaks its promise, and how much it labels.

``python -m benchmarks.guarantee`` simulates audits on three models whose errors are known, asks
every rule for a threshold, and writes results/guarantee.csv. A promise is broken where less than
the target is right above the threshold: of all items that the model could be given, or, for the
rule about one pool, of its automatic labels.
"""

from __future__ import annotations

import argparse
import math
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats
from tqdm import tqdm

from alutils.base import files, manifest
from alutils.guarantee import simulation
from alutils.guarantee.anytime import anytime_lower_bound
from alutils.guarantee.audit_slice import counts_above
from alutils.guarantee.certificates import last_passed
from alutils.guarantee.simulation import Audits, Rule, Truth, certified, fixed, lowest_right
from alutils.guarantee.thresholds import THRESHOLDS, passes_in_pool
from benchmarks.timing import Began

TARGET, LEVEL = 0.98, 0.95
N_AUDIT, N_POOL = 1000, 5000
LOOKS = 10
RESCUE, HIGHER = 0.1, (0.999, 0.998, 0.995)
"""Share of the risk kept for higher thresholds, which are tested with it where the list's first
fails."""
CLASSES = 26
FINE = 200_001
"""Points at which the true precision of a model is computed."""
SMOKE = 3
"""Audits of each model in a trial that writes nothing."""

MAPIE_LIST = np.round(np.arange(99, -1, -1) / 100, 2)
"""MAPIE's own default list, turned round: its fixed sequence has to begin with what is easiest."""


@dataclass(frozen=True)
class ErrorModel:
    """A classifier as far as certificates can see: how sure it is, and how often right then.

    Attributes
    ----------
    name, about : str
    right : chance of being right at each confidence, (n,) float to (n,) float
    """

    name: str
    about: str
    right: Callable[[np.ndarray], np.ndarray] = field(repr=False)

    def draw(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return (n,) confidences and (n,) bool, which of these predictions are right."""
        confidence = confidences(rng.random(n))
        return confidence, rng.random(n) < self.right(confidence)

    def truth(self) -> Truth:
        """Return what is true of all items that the model could be given."""
        confidence = confidences((np.arange(FINE) + 0.5) / FINE)
        return Truth.of(confidence, self.right(confidence))


QUANTILES = (
    np.linspace(0, 1, 2001),
    0.3 + 0.7 * stats.beta.ppf(np.linspace(0, 1, 2001), 2.2, 0.22),
)


def confidences(uniform: np.ndarray) -> np.ndarray:
    """Turn uniform numbers into confidences: half of them above .99, as networks have it."""
    return np.interp(uniform, *QUANTILES)


MODELS = (
    ErrorModel("calibrated", "a little less sure than right", lambda c: 1 - 0.8 * (1 - c)),
    ErrorModel(
        "overconfident",
        "wrong four times as often as it says, where it is sure",
        lambda c: np.maximum(0.1, 1 - 3 * (1 - c) ** 0.9),
    ),
    ErrorModel(
        "late failing",
        "clean from .97 on, its errors right below",
        lambda c: np.select([c >= 0.97, c >= 0.9], [0.998, 0.93], 0.75),
    ),
)

NOISES = {
    "none": "the audit's labels are right",
    "random": "5% of them are wrong, any class",
    "asked again": "5% wrong, any class; who disagrees with the model is asked once more",
    "shared": "5% of them are wrong, and wrong as the model is wherever it is",
}
WRONG_LABELS = 0.05


def seen(right: np.ndarray, noise: str, rng: np.random.Generator) -> np.ndarray:
    """Return which predictions look right beside human labels that may be wrong.

    Parameters
    ----------
    right : (n,) bool, which predictions are right
    noise : a key of `NOISES`
    """
    if noise == "none":
        return right
    if noise == "random":
        wrong = rng.random(right.shape) < WRONG_LABELS
        same = rng.random(right.shape) < 1 / (CLASSES - 1)  # the model's wrong class, by chance
        return np.where(right, ~wrong, wrong & same)
    if noise == "asked again":
        return seen(right, "random", rng) | seen(right, "random", rng)
    # People stumble where the model does, and read what it reads.
    share = min(1.0, WRONG_LABELS / max(np.mean(~right), 1e-12))
    return right | (rng.random(right.shape) < share)


@dataclass(frozen=True)
class PoolAudits(Audits):
    """Simulated audits, and the pools that they were drawn from.

    Attributes
    ----------
    pool, pool_right : (draws, N_POOL) float and bool; the audited items are the first of each
    """

    pool: np.ndarray
    pool_right: np.ndarray


def draw(model: ErrorModel, noise: str, audits: int, rng: np.random.Generator) -> PoolAudits:
    """Draw pools, one after the other, and an audit of each."""
    drawn = []
    for _ in range(audits):
        pool, right = model.draw(N_POOL, rng)
        drawn.append((pool, right, seen(right[:N_AUDIT], noise, rng)))
    pool, right, looks = map(np.stack, zip(*drawn, strict=True))
    return PoolAudits(pool[:, :N_AUDIT], looks, pool, right)


def rescued(audits: Audits) -> np.ndarray:
    """Apply the certified rule with a tenth of the risk kept for higher thresholds."""
    main = certified(TARGET, 1 - (1 - LEVEL) * (1 - RESCUE))(audits)
    higher = certified(TARGET, 1 - (1 - LEVEL) * RESCUE, thresholds=HIGHER)(audits)
    return np.where(np.isnan(main), higher, main)


def at_looks(rule: Rule) -> Rule:
    """Ask a rule at every tenth of the audit, the last time at its end."""
    ends = np.linspace(N_AUDIT / LOOKS, N_AUDIT, LOOKS).astype(int)
    return lambda audits: np.stack([rule(audits.beginnings(end)) for end in ends], axis=1)


def one_pool(promise: str) -> Rule:
    """Return the rule of `thresholds.certify_pool`, exact for this pool."""

    def rule(audits: PoolAudits) -> np.ndarray:
        n, errors = counts_above(audits.confidence, audits.right, THRESHOLDS)
        above, _ = counts_above(audits.pool, audits.pool_right, THRESHOLDS)
        passed = passes_in_pool(
            N_POOL, above, N_AUDIT, n, errors, target=TARGET, level=LEVEL, promise=promise
        )
        return last_passed(passed, THRESHOLDS)

    return rule


def mapie(method: str, thresholds: np.ndarray = MAPIE_LIST) -> Rule:
    """Return MAPIE's learn-then-test control of precision, on its own list or on another."""

    def one(confidence: np.ndarray, right: np.ndarray) -> float:
        from mapie.risk_control import BinaryClassificationController

        controller = BinaryClassificationController(
            lambda confidence: np.column_stack([1 - confidence, confidence]),
            risk="precision",
            target_level=TARGET,
            confidence_level=LEVEL,
            list_predict_params=thresholds,
            fwer_method=method,
        )
        with warnings.catch_warnings():  # it warns where it can certify nothing
            warnings.simplefilter("ignore")
            controller.calibrate(confidence, right.astype(int))
        valid = np.ravel(controller.valid_predict_params)
        return float(np.min(valid)) if valid.size else math.nan

    def rule(audits: Audits) -> np.ndarray:
        pairs = zip(audits.confidence, audits.right, strict=True)
        return np.array([one(*pair) for pair in tqdm(pairs, total=len(audits.right), leave=False)])

    return rule


RULES: dict[str, Rule] = {
    "certified": certified(TARGET, LEVEL),
    "certified with rescue": rescued,
    "certified at 10 looks": at_looks(certified(TARGET, LEVEL, bound=anytime_lower_bound)),
    "certified for one pool": one_pool("above"),
    "certified for one pool's automatic labels": one_pool("auto"),
    "certified once, looked at 10 times": at_looks(certified(TARGET, LEVEL)),
    "fixed 0.6": fixed(0.6),
    "fixed 0.9": fixed(0.9),
    "lowest that looks right": lowest_right(TARGET),
    "MAPIE Bonferroni": mapie("bonferroni"),
    "MAPIE Bonferroni-Holm": mapie("bonferroni_holm"),
    "MAPIE fixed sequence": mapie("fixed_sequence"),
    "MAPIE fixed sequence, our list": mapie("fixed_sequence", np.array(THRESHOLDS)),
}

POOL_PROMISES = {"certified for one pool": 0, "certified for one pool's automatic labels": N_AUDIT}
"""Rules whose promise is about one pool, and the first item that it is about."""


TOLD = ("audits", "broken", "broken_low", "broken_high", "coverage", "refused")


@dataclass(frozen=True)
class Row:
    """What came of one rule on one error model.

    Attributes
    ----------
    model, noise, rule : which; ``noise`` is a key of `NOISES`
    promise : ``model``, about all items the model could be given, or ``pool``, about one pool
    audits : simulated
    broken, broken_low, broken_high : share of audits after which the promise did not hold, with
        Clopper and Pearson's two-sided 95% interval
    coverage, coverage_low, coverage_high : share of items labelled automatically, mean over audits
        with its 95% interval; at the last look, and 0 where the rule refused
    refused : share of audits without a threshold
    """

    model: str
    noise: str
    rule: str
    promise: str
    audits: int
    broken: float
    broken_low: float
    broken_high: float
    coverage: float
    coverage_low: float
    coverage_high: float
    refused: float


def simulate(model: ErrorModel, noise: str, audits: int, seed: int) -> list[Row]:
    """Return a row for each rule, all of them on the same audits.

    Parameters
    ----------
    model : whose errors are known
    noise : a key of `NOISES`
    audits : how many to draw
    seed : of the draws; together with the model and the noise it decides them
    """
    place = [each.name for each in MODELS].index(model.name), list(NOISES).index(noise)
    drawn = draw(model, noise, audits, np.random.default_rng([seed, *place]))
    truth, rows = model.truth(), []
    for name, rule in RULES.items():
        if noise != "none" and "MAPIE" in name:
            continue  # it decides as ours does: what wrong labels do is asked once
        found = simulation.simulate(rule, drawn, truth, TARGET)
        if name in POOL_PROMISES:
            found = replace(found, broken=broken_in_pool(rule(drawn), drawn, POOL_PROMISES[name]))
        told = found.summary()
        error = 1.96 * found.coverage.std(ddof=1) / math.sqrt(audits)
        rows.append(
            Row(
                model=model.name,
                noise=noise,
                rule=name,
                promise="pool" if name in POOL_PROMISES else "model",
                coverage_low=told["coverage"] - error,
                coverage_high=told["coverage"] + error,
                **{name: told[name] for name in TOLD},
            )
        )
    return rows


def broken_in_pool(taken: np.ndarray, drawn: PoolAudits, first: int) -> np.ndarray:
    """Return (draws,) bool: is less than the target right in the audit's own pool, from an item on.

    taken : (draws,) float, the threshold certified, NaN for none
    """
    auto = drawn.pool[:, first:] >= taken[:, None]
    right = (auto & drawn.pool_right[:, first:]).sum(axis=1)
    return right / np.maximum(auto.sum(axis=1), 1) < np.where(auto.any(axis=1), TARGET, 0)


def measure(audits: int, seed: int) -> pd.DataFrame:
    """Return the whole table: every model, clean and with wrong human labels."""
    rows = [
        asdict(row)
        for noise in NOISES
        for model in MODELS
        for row in simulate(model, noise, audits, seed)
    ]
    return pd.DataFrame(rows)


def save(table: pd.DataFrame, folder: Path, audits: int, seed: int, began: Began) -> Path:
    """Write guarantee.csv and its manifest."""
    path = folder / "guarantee.csv"
    files.write_atomically(path, table.round(4).to_csv(index=False, lineterminator="\n"))
    about = {
        "status": "complete",
        "command": f"python -m benchmarks.guarantee --audits {audits} --seed {seed}",
        "parameters": {
            "audits": audits, "seed": seed, "target": TARGET, "level": LEVEL,
            "n_audit": N_AUDIT, "n_pool": N_POOL, "looks": LOOKS, "wrong_labels": WRONG_LABELS,
        },
        "models": {model.name: model.about for model in MODELS},
        "noises": NOISES,
        **began.about(),
    }  # fmt: skip
    manifest.write_json(folder / "guarantee.manifest.json", about)
    return path


def main() -> None:
    """Simulate, print, write results/guarantee.csv."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.guarantee", description=__doc__)
    parser.add_argument("--audits", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="a few audits; writes nothing")
    options = parser.parse_args()
    if options.audits < 2:
        parser.error(f"--audits {options.audits}: at least 2 are needed for an interval")
    began = Began.now()
    table = measure(SMOKE if options.smoke else options.audits, options.seed)
    shown = ["model", "noise", "rule", "broken", "broken_low", "broken_high", "coverage", "refused"]
    print(table[shown].round(3).to_string(index=False))
    if not options.smoke:
        save(table, files.repository_root() / "results", options.audits, options.seed, began)


if __name__ == "__main__":
    main()
