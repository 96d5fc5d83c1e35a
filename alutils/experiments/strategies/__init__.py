"""Query strategies beside each other: their learning curves, and what these say.

`curves` and `vgg16_blocks` are swept, and import nothing that only draws. What notebook 04 shows
is in the other modules: `families` (toys in two dimensions), `benchmark` (comparisons draw by
draw, costs), `situations` (batches, cold starts, rare classes), `reference` (what results/ says).
"""

from alutils.base import lazy

_HOMES = {
    "benchmark": "compare costs gains learning_curves standings",
    "families": "catalogue distances family in_common toy",
    "draws": "Pools images pools smaller",
    "reference": "answer ranks reference_curves what_to_do what_to_use",
    "situations": "batches classes_seen cold_starts",
}
__getattr__, __dir__, _public = lazy.attach(__name__, _HOMES)
__all__ = _public
