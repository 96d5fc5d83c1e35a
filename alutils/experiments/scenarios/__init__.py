"""Where labels come from in practice: streams, made-up questions, people who err, when to stop.

Notebook 06 shows each of them on digits; every comparison is made draw by draw.
"""

from alutils.base import lazy

_HOMES = {
    "labellers": "answers check_answers costs_of_answers lookalikes people worth_of_choosing",
    "data": "Pools digits",
    "questions": "Reader blends bought reader toy_boundary what_questions_buy",
    "reference": "answer what_to_do",
    "stopping": "catalogue endings stopping_points watch",
    "streams": "Streams drifts flow forgetting streams_table toy_streams without_drift",
}
__getattr__, __dir__, _public = lazy.attach(__name__, _HOMES)
__all__ = _public
