"""What active learning and auto-labelling really save: the helpers behind the notebooks.

The rooms of the house; each imports only from those above it, and ``runs`` and ``labelling`` are
two roofs that do not know each other::

    base         errors and checks, files, locks, manifests, downloads, the cache of rows
    data         data sets: their formats, `load`, pixels, augmentation, drift, rendered letters
    stats        metrics, intervals and paired tests, tables of results, published against ours
    models       classifiers (softmax regression, dense head, network), backbones, features,
                 training and comparing them, saved models, prediction
    active       the loops, query strategies, oracles, stopping rules, book of labels
    guarantee    audits, certificates, plans, a whole pool labelled with a promise, forecasts
    plots        the figures: one colour and marker for each arm, everywhere
    experiments  what the notebooks tell: article, report, strategies, scenarios, label costs
    runs         notebooks run headlessly, sweeps, reference tables and README tables
    labelling    the labelling tool: project on disk, models in the loop, certificates, web pages,
                 widget

The names in ``__all__`` are enough for a loop of one's own. They are imported when they are used,
and none of them needs TensorFlow.
"""

from typing import TYPE_CHECKING

from alutils.base import lazy

if TYPE_CHECKING:
    from alutils.active.loops.pool import PoolState as PoolState
    from alutils.active.loops.pool import by_strategy as by_strategy
    from alutils.active.loops.pool import pool_based as pool_based
    from alutils.active.oracles import Perfect as Perfect
    from alutils.data.dataset import Dataset as Dataset
    from alutils.data.loading import load as load
    from alutils.guarantee.plans import plan_audit as plan_audit
    from alutils.guarantee.pool import finish as finish
    from alutils.guarantee.thresholds import certify as certify
    from alutils.models.estimator import Estimator as Estimator

_HOMES = {
    "active.loops.pool": "PoolState by_strategy pool_based",
    "active.oracles": "Perfect",
    "data.dataset": "Dataset",
    "data.loading": "load",
    "guarantee.plans": "plan_audit",
    "guarantee.pool": "finish",
    "guarantee.thresholds": "certify",
    "models.estimator": "Estimator",
}
__getattr__, __dir__, _public = lazy.attach(__name__, _HOMES)
__all__ = _public
