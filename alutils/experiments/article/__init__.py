"""The article: its procedure to the digit, what its numbers are one draw of, what is better.

`procedure` runs its six arms once, `replication` many times; `todays_methods` trains other
classifiers on as many labels. The other modules say what was found, each finding with its figure.
"""

from alutils.base import lazy

_HOMES = {
    "answers": "answer",
    "methods_found": "certified compared_methods",
    "inputs": "Digits digits",
    "many_runs": "every_round percentiles worth wrong_labels",
    "one_run": "against_published confidence kmeans one_curve published resolution sample shapes"
    " softmax",
    "replication": "VOCABULARY Replicates replicates",
    "sound_runs": "sentences sound sound_curve",
    "todays_methods": "better",
}
__getattr__, __dir__, _public = lazy.attach(__name__, _HOMES)
__all__ = _public
