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
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats
from tqdm import tqdm

from alutils.base import files, manifest
from alutils.guarantee.anytime import log_evidence
from alutils.guarantee.promises import most_audited
from alutils.guarantee.thresholds import HIGHER, THRESHOLDS
from alutils.stats.intervals import lower_bound
from benchmarks.timing import Began

TARGET, LEVEL = 0.98, 0.95
N_AUDIT, N_POOL = 1000, 5000
LOOKS = 10
RESCUE = 0.1
CLASSES = 26
FINE = 200_001
"""Points at which the true precision of a model is reckoned."""

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

    def truth(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return rising confidences, and the share and the precision of the items from each on."""
        confidence = confidences((np.arange(FINE) + 0.5) / FINE)
        above = np.arange(FINE, 0, -1)
        precision = np.cumsum(self.right(confidence)[::-1])[::-1] / above
        return confidence, above / FINE, precision


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
class Audit:
    """One simulated audit, and the pool that it was drawn from.

    Attributes
    ----------
    confidence, looks_right : (N_AUDIT,) float and bool, the audited items, in random order
    pool, pool_right : (N_POOL,) float and bool; the audited items are the first of them
    """

    confidence: np.ndarray
    looks_right: np.ndarray
    pool: np.ndarray
    pool_right: np.ndarray


def draw(model: ErrorModel, noise: str, rng: np.random.Generator) -> Audit:
    """Draw a pool and its audit."""
    pool, right = model.draw(N_POOL, rng)
    looks = seen(right[:N_AUDIT], noise, rng)
    return Audit(pool[:N_AUDIT], looks, pool, right)


def counts(audit: Audit, thresholds: np.ndarray, n: int = N_AUDIT) -> tuple[np.ndarray, np.ndarray]:
    """Return how many of the first n audited are above each threshold, and the errors in them."""
    confidence, wrong = audit.confidence[:n], ~audit.looks_right[:n]
    found = [
        len(values) - np.searchsorted(np.sort(values), thresholds)
        for values in (confidence, confidence[wrong])
    ]
    return found[0], found[1]


def down_to(passed: np.ndarray, thresholds: np.ndarray) -> float:
    """Return the last threshold before the first that failed; NaN where the first did."""
    failed = np.flatnonzero(~passed)
    last = failed[0] - 1 if len(failed) else len(passed) - 1
    return float(thresholds[last]) if last >= 0 else math.nan


def once(audit: Audit, level: float = LEVEL, thresholds: tuple = THRESHOLDS) -> list[float]:
    """Apply `certificates.certify`: Clopper and Pearson, in a fixed sequence."""
    n, errors = counts(audit, np.array(thresholds))
    return [down_to(lower_bound(n, errors, level) >= TARGET, np.array(thresholds))]


def rescued(audit: Audit) -> list[float]:
    """Apply the same rule with a tenth of the risk kept for higher thresholds."""
    (main,) = once(audit, 1 - (1 - LEVEL) * (1 - RESCUE))
    return once(audit, 1 - (1 - LEVEL) * RESCUE, HIGHER) if math.isnan(main) else [main]


def at_looks(audit: Audit, passes: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> list[float]:
    """Return the threshold at every tenth of the audit, the last at its end."""
    thresholds = np.array(THRESHOLDS)
    ends = np.linspace(N_AUDIT / LOOKS, N_AUDIT, LOOKS).astype(int)
    return [down_to(passes(*counts(audit, thresholds, end)), thresholds) for end in ends]


def anytime(audit: Audit) -> list[float]:
    """Ask `sequential.certify_anytime` ten times."""
    enough = math.log(1 / (1 - LEVEL))
    return at_looks(audit, lambda n, errors: log_evidence(n, errors, TARGET) >= enough)


def peeking(audit: Audit) -> list[float]:
    """Ask the rule for one look ten times."""
    return at_looks(audit, lambda n, errors: lower_bound(n, errors, LEVEL) >= TARGET)


def one_pool(promise: str) -> Callable[[Audit], list[float]]:
    """Return `promises.certify_pool`, exact for this pool."""

    def rule(audit: Audit) -> list[float]:
        thresholds = np.array(THRESHOLDS)
        n, errors = counts(audit, thresholds)
        above = N_POOL - np.searchsorted(np.sort(audit.pool), thresholds)
        most = np.array([most_audited(N_POOL, int(each), N_AUDIT) for each in above])
        total = above - most * (promise == "auto")
        allowed = np.floor((1 - TARGET) * total + 1e-9).astype(int)
        rare = stats.hypergeom.cdf(errors, above, np.minimum(allowed + 1, above), n) <= 1 - LEVEL
        return [down_to(rare & (n <= most) & (total > 0), thresholds)]

    return rule


def looks_right(audit: Audit) -> list[float]:
    """Return the lowest threshold at which enough of the audit is right."""
    thresholds = np.array(THRESHOLDS)
    n, errors = counts(audit, thresholds)
    good = np.flatnonzero((n > 0) & (n - errors >= TARGET * n))
    return [float(thresholds[good[-1]]) if len(good) else math.nan]


def mapie(method: str, thresholds: np.ndarray = MAPIE_LIST) -> Callable[[Audit], list[float]]:
    """Return MAPIE's learn-then-test control of precision, on its own list or on another."""

    def rule(audit: Audit) -> list[float]:
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
            controller.calibrate(audit.confidence, audit.looks_right.astype(int))
        valid = np.ravel(controller.valid_predict_params)
        return [float(np.min(valid)) if valid.size else math.nan]

    return rule


RULES: dict[str, Callable[[Audit], list[float]]] = {
    "certified": once,
    "certified with rescue": rescued,
    "certified at 10 looks": anytime,
    "certified for one pool": one_pool("above"),
    "certified for one pool's automatic labels": one_pool("auto"),
    "certified once, looked at 10 times": peeking,
    "fixed 0.6": lambda audit: [0.6],
    "fixed 0.9": lambda audit: [0.9],
    "lowest that looks right": looks_right,
    "MAPIE Bonferroni": mapie("bonferroni"),
    "MAPIE Bonferroni-Holm": mapie("bonferroni_holm"),
    "MAPIE fixed sequence": mapie("fixed_sequence"),
    "MAPIE fixed sequence, our list": mapie("fixed_sequence", np.array(THRESHOLDS)),
}

POOL_PROMISES = ("certified for one pool", "certified for one pool's automatic labels")


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
    rng = np.random.default_rng([seed, *place])
    confidence, share, precision = model.truth()
    # MAPIE decides as ours does from the same labels: what wrong ones do is asked once.
    rules = {key: rule for key, rule in RULES.items() if noise == "none" or "MAPIE" not in key}
    broken = {rule: np.zeros(audits, bool) for rule in rules}
    coverage = {rule: np.zeros(audits) for rule in rules}
    refused = {rule: np.zeros(audits, bool) for rule in rules}
    for number in tqdm(range(audits), desc=f"{model.name}, {noise}", leave=False):
        audit = draw(model, noise, rng)
        for name, rule in rules.items():
            thresholds = np.array(rule(audit))
            given = thresholds[~np.isnan(thresholds)]
            if name in POOL_PROMISES:
                first = N_AUDIT if name == "certified for one pool's automatic labels" else 0
                auto = audit.pool_right[first:][audit.pool[first:] >= thresholds[-1]]
                broken[name][number] = len(auto) and auto.mean() < TARGET
            else:
                at = np.minimum(np.searchsorted(confidence, given), FINE - 1)
                broken[name][number] = np.any(precision[at] < TARGET)
            refused[name][number] = np.isnan(thresholds[-1])
            if not refused[name][number]:
                at = min(np.searchsorted(confidence, thresholds[-1]), FINE - 1)
                coverage[name][number] = share[at]
    rows = []
    for name in rules:
        interval = stats.binomtest(int(broken[name].sum()), audits).proportion_ci(0.95)
        mean, error = coverage[name].mean(), coverage[name].std(ddof=1) / math.sqrt(audits)
        rows.append(
            Row(
                model.name,
                noise,
                name,
                "pool" if name in POOL_PROMISES else "model",
                audits,
                broken[name].mean(),
                interval.low,
                interval.high,
                mean,
                mean - 1.96 * error,
                mean + 1.96 * error,
                refused[name].mean(),
            )
        )
    return rows


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
    options = parser.parse_args()
    if options.audits < 2:
        parser.error(f"--audits {options.audits}: at least 2 are needed for an interval")
    began = Began.now()
    table = measure(options.audits, options.seed)
    shown = ["model", "noise", "rule", "broken", "broken_low", "broken_high", "coverage", "refused"]
    print(table[shown].round(3).to_string(index=False))
    save(table, files.repository_root() / "results", options.audits, options.seed, began)


if __name__ == "__main__":
    main()
