"""Choosing what people label next: the loops that ask, the strategies that choose, who answers.

A loop is given everything as an argument: the oracle, the classifier, the query, the stopping
rule, and the generators of all chance.
"""

from typing import Any

from alutils.base import lazy

_NAMES = {
    "labels": "LabelBook Source",
    "loops.pool": "PoolState Ranking Round View by_score by_strategy pool_based",
    "loops.stream": "stream_based",
    "loops.synthesis": "synthesis_based",
    "oracles": "Abstaining Costly Noisy Perfect",
    "strategies.registry": "STRATEGIES",
}
_PLACES = {name: place for place, names in _NAMES.items() for name in names.split()}
__all__ = [*_PLACES]


def __getattr__(name: str) -> Any:
    return lazy.find(__name__, _PLACES, name)
