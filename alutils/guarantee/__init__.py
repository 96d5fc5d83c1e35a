"""The right to believe automatic labels: certificates that rest on audits by random samples.

Either a threshold is certified above which a model labels by itself (`certify`), or a whole pool
is labelled if a planned `Audit` accepts it (`finish`); `simulate` shows what such promises keep.
"""

from alutils.base import lazy

_HOMES = {
    "anytime": "certify_anytime",
    "audit": "Audit",
    "audit_slice": "draw_audit",
    "certificates": "Certificate",
    "label_errors": "find_label_errors",
    "plans": "AuditPlan plan_audit",
    "finishing": "Finishing",
    "pool": "finish",
    "simulation": "simulate simulate_pool",
    "terms": "Terms",
    "thresholds": "certify certify_pool",
    "weighted": "WeightedPlan plan_weighted_audit",
}
__getattr__, __dir__, _public = lazy.attach(__name__, _HOMES)
__all__ = _public
