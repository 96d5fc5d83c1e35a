"""What is told of the model, as values; `alutils.labelling.model.words` makes sentences of it."""

from __future__ import annotations

from dataclasses import dataclass

from alutils.labelling.model.facts import Point, Share
from alutils.stats.learning_curve import Estimate


@dataclass(frozen=True)
class Status:
    """What the model is doing, and how good it is."""

    state: str  # ``off``, ``waiting``, ``loading``, ``features``, ``training``, ``scoring``
    problem: str  # what went wrong, '' if nothing
    model: str  # SHA-256 of the model whose scores are in the queue, '' without one
    brought: bool  # it was brought along, not trained here
    name: str  # which learners it is made of, '' without one
    n_trained: int  # labels it was trained on here
    n_new: int  # labels that people gave, took back or changed since
    features_done: int  # pictures
    features_total: int
    backbone: str  # what gives the features, and why, in one line
    beside: str  # what the strong learner does, '' for nothing
    right: Estimate | None  # share of all pictures that the present model has right; None: unknown
    pool: Share  # of the present model out of fold, on pictures picked at random
    labelled: Share  # the same on all that is labelled, mostly the hard ones
    points: tuple[Point, ...]  # what was known after each training
    advice: str  # what more labels would gain, '' where nothing can be said
