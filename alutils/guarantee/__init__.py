"""The right to believe automatic labels: certificates that rest on audits by random samples.

Either a threshold is certified above which a model labels by itself (`certify`), or a whole pool
is labelled if a planned `Audit` accepts it (`finish`); `simulate` shows what such promises keep.
"""

import importlib
from typing import Any

_WHERE = {
    "Audit": "audit",
    "AuditPlan": "plans",
    "Certificate": "certificates",
    "Terms": "pool",
    "WeightedPlan": "weighted",
    "certify": "thresholds",
    "certify_anytime": "anytime",
    "certify_pool": "thresholds",
    "draw_audit": "audits",
    "find_label_errors": "label_errors",
    "finish": "pool",
    "plan_audit": "plans",
    "plan_weighted_audit": "weighted",
    "simulate": "simulation",
    "simulate_pool": "simulation",
}

__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
