"""How few labels will do, and what right there is to believe the rest.

`fewest_labels` and `noisy_humans` are swept; `results` and `noisy_results` say what came out.
`networks`, `rules` and `spending` are the sections of notebook 05, `answers` its beginning and end.
"""

from alutils.base import lazy

_HOMES = {
    "answers": "answer noisy_table sweeps_table",
    "fewest_labels": "Settings VOCABULARY",
    "networks": "accuracy digits settings train",
    "rules": "certified extractor finished letters made_up needed promises report_rule"
    " report_scores thresholds whole_pool",
    "saving": "save_best saved_best",
    "spending": "audit_forecasts cost learning_forecasts tries wrong_answers",
}
__getattr__, __dir__, _public = lazy.attach(__name__, _HOMES)
__all__ = _public
