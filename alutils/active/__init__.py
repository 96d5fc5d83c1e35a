"""Choosing what people label next: the loops that ask, the strategies that choose, who answers.

A loop is given everything as an argument: the oracle, the classifier, the query, the stopping
rule, and the generators of all chance.
"""

from alutils.base import lazy

_HOMES = {
    "attempts": "Attempts KeptAttempts",
    "labels": "LabelBook Source",
    "loops.pool": "PoolState Ranking Round View by_score by_strategy pool_based",
    "loops.stream": "stream_based",
    "loops.synthesis": "synthesis_based",
    "oracles": "Abstaining Costly Noisy Perfect",
    "strategies.registry": "STRATEGIES",
    "strategies.uncertainty": "entropy least_confident margin",
}
__getattr__, __dir__, _public = lazy.attach(__name__, _HOMES)
__all__ = _public
