"""How often people who try again and again get a false certificate, for each kind of audit.

``python -m benchmarks attempts`` simulates 2,000 projects for each row of results/attempts.csv. The
model is wrong by as little more than the promise allows as there can be; after a refusal the same
pool is tried again, six times in all. Nobody counts by hand: the pool does, where the package
offers that. Of all projects of a row one in twenty may get a false certificate, over all attempts
together. The last rows show what it comes to where every attempt is taken for the first.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from tqdm import tqdm

from alutils.active.attempts import Attempts
from alutils.base import files, manifest
from alutils.guarantee.anytime import certify_anytime
from alutils.guarantee.audit import CERTIFIED, run_audit
from alutils.guarantee.certificates import Certificate
from alutils.guarantee.plans import AuditPlan
from alutils.guarantee.terms import Terms, allowed_errors
from alutils.guarantee.thresholds import certify, certify_pool
from benchmarks.growing import Growing
from benchmarks.timing import Began

PROJECTS, FEW = 2000, 3
"""Simulated for each row; and in a smoke run."""
ON_ONE_POOL = 100
"""Projects that begin with the same pool and model: their audits differ."""
TARGET, LEVEL, ATTEMPTS = 0.95, 0.95, 6
N, EXPECTED = 1000, 0.025
"""Pictures that wait, and the share of wrong ones that a plan is made for."""
N_AUDIT, LOOKS = 300, (100, 200, 300)
"""Labels of an audit for thresholds, and those at which one is asked that may be asked often."""
THRESHOLDS = (0.9, 0.8, 0.7, 0.6, 0.5)
JUST_BELOW = TARGET - 1e-6
Promised = tuple[bool, bool]
"""Whether an attempt gave a certificate, and whether this is false."""


@dataclass(frozen=True)
class Pool:
    """A pool and what a model says of it: how sure it is of each item, and whether it is right.

    ``confidence``, (N,) float, falls; ``right`` is (N,) bool.
    """

    confidence: np.ndarray
    right: np.ndarray


TERMS = Terms(TARGET, LEVEL, expected_wrong=EXPECTED)
HURTS_MOST = "anywhere, as many as hurt most"
"""Errors that a uniform audit finds are corrected, so that more may be wrong before it."""


@functools.cache
def hurts_most() -> int:
    """Return with how many wrong a uniform audit's chance of a false certificate is largest."""
    plan = TERMS.plan(N, N, answered_once=True)
    assert isinstance(plan, AuditPlan)
    return plan.risk()[1]


def pool(where: str, rng: np.random.Generator) -> Pool:
    """Return a pool in which one more is wrong than the promise about all of it allows.

    where : ``anywhere``; `HURTS_MOST`, then it is more than one; ``where it says``, the likelier
        the less sure the model is; ``where it is sure``; ``at every threshold``: of the k items of
        which the model is surest, for every k, one more is wrong than the promise about them allows
    """
    confidence = np.sort(rng.uniform(0.5, 1, N))[::-1]
    rank = np.arange(1, N + 1)
    if where == "at every threshold":
        allowed = np.array([allowed_errors(k, TARGET) for k in rank])
        wrong = np.diff(allowed + 1, prepend=0) > 0
    else:
        chance = {
            "anywhere": np.ones(N),
            HURTS_MOST: np.ones(N),
            "where it says": 1 - confidence,
            "where it is sure": (rank <= N // 4).astype(float),
        }[where]
        n_wrong = hurts_most() if where == HURTS_MOST else allowed_errors(N, TARGET) + 1
        wrong = np.isin(rank - 1, rng.choice(N, n_wrong, replace=False, p=chance / chance.sum()))
    return Pool(confidence, ~wrong)


def whole(weighted: bool) -> Callable[[Pool, Attempts, np.random.Generator], Promised]:
    """Return the attempt to have the whole pool labelled, each time from its start.

    It is the audit of `alutils.guarantee.pool.finish`, without the rest of that.
    """

    def attempt(of: Pool, attempts: Attempts, rng: np.random.Generator) -> Promised:
        number = attempts.next_number()
        attempts.begin(number)
        terms = replace(TERMS, weighted=weighted, attempt=number)
        plan = terms.plan(N, N, 1 - of.confidence, answered_once=True)
        outcome = run_audit(plan, ~of.right, rng)
        certified = outcome.decision == CERTIFIED
        wrong = int((~of.right).sum()) - outcome.errors  # those found are corrected
        return certified, certified and wrong > allowed_errors(N, TARGET)

    return attempt


def one_pool(promise: str) -> Callable[[Pool, Attempts, np.random.Generator], Promised]:
    """Return the attempt to certify a threshold for this very pool."""

    def attempt(of: Pool, attempts: Attempts, rng: np.random.Generator) -> Promised:
        audited = rng.permutation(N)[:N_AUDIT]
        found = certify_pool(
            of.confidence, audited, of.right[audited], target=TARGET, level=LEVEL,
            thresholds=THRESHOLDS, promise=promise, attempts=attempts,
        )  # fmt: skip
        about = found.covers(of.confidence)
        if promise == "auto":
            about[audited] = False
        wrong = int((about & ~of.right).sum())
        return found.threshold is not None, wrong > allowed_errors(int(about.sum()), TARGET)

    return attempt


def _endless(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return an audit of items without end, too few of them right at every threshold."""
    return rng.uniform(0.5, 1, N_AUDIT), rng.random(N_AUDIT) < JUST_BELOW


def once(of: Pool, attempts: Attempts, rng: np.random.Generator) -> Promised:
    """Certify a threshold by a new audit of items without end."""
    found = certify(
        *_endless(rng), target=TARGET, level=LEVEL, thresholds=THRESHOLDS, pool=of.confidence,
        attempts=attempts,
    )  # fmt: skip
    return _promised(found)


def anytime(of: Pool, attempts: Attempts, rng: np.random.Generator) -> Promised:
    """Certify a threshold at many looks, for another model at each attempt."""
    confidence, right = _endless(rng)
    number = attempts.next_number()
    attempts.begin(number)
    looks = (
        certify_anytime(
            confidence[:n], right[:n], target=TARGET, level=LEVEL, thresholds=THRESHOLDS,
            pool=of.confidence, planned=N_AUDIT, model_number=number,
        )
        for n in LOOKS
    )  # fmt: skip
    return next((_promised(look) for look in looks if look.threshold is not None), (False, False))


def _promised(found: Certificate) -> Promised:
    """Every threshold of `_endless` is false."""
    return found.threshold is not None, found.threshold is not None


@dataclass(frozen=True)
class Kind:
    """A row: how the audit is made, where the model is wrong, and whether attempts are counted."""

    audit: str
    where: str
    attempt: Callable[[Pool, Attempts, np.random.Generator], Promised]
    counted: bool = True


FIRST = "finish, uniform", HURTS_MOST, whole(weighted=False)
KINDS = (
    Kind(*FIRST),
    *(
        Kind("finish, weighted", where, whole(weighted=True))
        for where in ("anywhere", "where it says", "where it is sure")
    ),
    Kind("certify", "at every threshold", once),
    Kind("certify_anytime", "at every threshold", anytime),
    Kind("certify_pool, above", "at every threshold", one_pool("above")),
    Kind("certify_pool, auto", "at every threshold", one_pool("auto")),
    Kind(*FIRST, counted=False),
    Kind("certify", "at every threshold", once, counted=False),
)


def project(kind: Kind, of: Pool, rng: np.random.Generator) -> tuple[bool, bool, int]:
    """Try until there is a certificate; return whether, whether it is false, and attempts."""
    attempts = Attempts()
    for number in range(1, ATTEMPTS + 1):
        certified, false = kind.attempt(of, attempts if kind.counted else Attempts(), rng)
        if certified:
            return True, false, number
    return False, False, ATTEMPTS


def row_of(number: int, projects: int, seed: int) -> dict[str, Any]:
    """Simulate the projects of one of `KINDS`."""
    kind = KINDS[number]
    came = []
    for i in tqdm(range(projects), kind.audit, leave=False):
        if i % ON_ONE_POOL == 0:
            of = pool(kind.where, np.random.default_rng([seed, number, i, 1]))
        came.append(project(kind, of, np.random.default_rng([seed, number, i])))
    certified, false, attempts = np.array(came).T
    interval = stats.binomtest(int(false.sum()), projects).proportion_ci(0.95)
    return {
        "audit": kind.audit, "errors": kind.where, "counted": kind.counted, "projects": projects,
        "false": round(float(false.mean()), 4), "false_low": round(float(interval.low), 4),
        "false_high": round(float(interval.high), 4),
        "certified": round(float(certified.mean()), 4),
        "attempts": round(float(attempts.mean()), 3),
    }  # fmt: skip


def measure(projects: int, seed: int, path: Path | None = None, workers: int = 1) -> pd.DataFrame:
    """Return the table: a row for each of `KINDS`, so many of them at a time.

    ``path`` is of a CSV file that grows row by row; the rows that it has are not made again, so
    remove it to begin anew. None keeps nothing.
    """
    table = Growing(path)
    make = functools.partial(row_of, projects=projects, seed=seed)
    left = range(len(table.rows), len(KINDS))
    with contextlib.ExitStack() as stack:
        if workers > 1:
            context = multiprocessing.get_context("spawn")
            found = stack.enter_context(context.Pool(workers)).imap(make, left)
        else:
            found = map(make, left)
        for row in found:
            table.add([row])
    return table.frame


def smoke() -> pd.DataFrame:
    """Simulate a few projects of each row; their numbers mean nothing."""
    return measure(FEW, 0)


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate, print, write results/attempts.csv."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks attempts", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--projects", type=int, default=PROJECTS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="rows made at a time")
    parser.add_argument("--smoke", action="store_true", help="a few projects; writes nothing")
    options = parser.parse_args(arguments)
    began = Began.now()
    if options.smoke:
        print(smoke().to_string(index=False))
        return
    path = files.repository_root() / "results" / "attempts.csv"
    print(measure(options.projects, options.seed, path, options.workers).to_string(index=False))
    about = {
        "status": "complete",
        "command": f"python -m benchmarks attempts --projects {options.projects} "
        f"--seed {options.seed}",
        "made": "row by row, perhaps in several goes; the wall time is that of the last",
        "parameters": {
            "projects": options.projects, "seed": options.seed, "pictures": N, "target": TARGET,
            "level": LEVEL, "attempts": ATTEMPTS, "audit": N_AUDIT, "on_one_pool": ON_ONE_POOL,
        },
        **began.about(),
    }  # fmt: skip
    manifest.write_json(path.with_name("attempts.manifest.json"), about)


if __name__ == "__main__":
    main()
