"""Choosing what people label next: the loops that ask, the strategies that choose, who answers.

Everything is told to a loop as an argument: the oracle, the classifier, the query, the stopping
rule, and the generators of all chance.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from alutils.active.labels import LabelBook, Source
    from alutils.active.loops.pool import (
        PoolState,
        Ranking,
        Round,
        View,
        by_score,
        by_strategy,
        pool_based,
    )
    from alutils.active.loops.stream import stream_based
    from alutils.active.loops.synthesis import synthesis_based
    from alutils.active.oracles import Abstaining, Costly, Noisy, Perfect
    from alutils.active.strategies.registry import STRATEGIES

__all__ = [
    "STRATEGIES", "Abstaining", "Costly", "LabelBook", "Noisy", "Perfect", "PoolState", "Ranking",
    "Round", "Source", "View", "by_score", "by_strategy", "pool_based", "stream_based",
    "synthesis_based",
]  # fmt: skip

_HOMES = {
    "labels": "LabelBook Source",
    "loops.pool": "PoolState Ranking Round View by_score by_strategy pool_based",
    "loops.stream": "stream_based",
    "loops.synthesis": "synthesis_based",
    "oracles": "Abstaining Costly Noisy Perfect",
    "strategies.registry": "STRATEGIES",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: the room is not paid for by who asks for one."""
    for home, names in _HOMES.items():
        if name in names.split():
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__} has no attribute {name}")
