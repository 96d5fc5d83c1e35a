"""A small convolutional network for few labels: distorted images, and the unlabelled ones, too.

`ConvNet` is a classifier for the loop of `alutils.active.loops.pool`. It learns from the labelled
images, distorted anew whenever they are shown (`alutils.data.augmentation`), and, where it is given
unlabelled images, from its own confident answers on those: what it says of an image as it is
becomes the label of a distorted copy. These pseudo-labels are decided again every few steps, so
none is ever final. They are the answers of the weights averaged over the last steps: a few bad
steps were seen to turn a whole class into another, which then taught itself. Only answers from
``tau`` on count, and no class beyond its even share. Every training starts anew from labels that
people gave, so that a round's mistakes are not the next one's teachers.

Source: pseudo-labels on distorted copies, Sohn et al. (2020), "FixMatch"; averaged weights that
teach, Tarvainen and Valpola (2017); even classes, Berthelot et al. (2020), "ReMixMatch".
"""

from __future__ import annotations

from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from threading import Event
from typing import Any

import numpy as np
from tqdm import tqdm

from alutils.base.checks import check_count
from alutils.base.errors import ParameterError
from alutils.data.augmentation import USUAL, Distortion, distort
from alutils.models.convnet_network import SCORED, Network, cores, learning_rate, network

BATCH = 64
LABELLED = 8
"""Images a step; how many of them bear human labels while the unlabelled are learned from, and how
many are of the prior after the first steps."""
CHUNK = 25
"""Steps between two looks at the unlabelled images."""
LABELLED_FIRST = 0.2
"""The share of the steps that come before the unlabelled images are first believed."""
TEACHER = 0.05
"""The share of the steps over which the weights are averaged whose answers are learned from."""
WIDTH = 16
"""Maps of the first convolution, where nothing else is said."""
LARGEST = 64
"""Pixels a side of the images, at most: of larger ones four convolutions see too little at once,
and frozen features of a large network are better."""
SEEN_AGAIN = 0.5
"""Of the distortions in training, those of the copies that are looked at when predicting."""


class ConvNet:
    """Four convolutions, a softmax layer, trained on few labels and many images.

    Parameters
    ----------
    n_classes : in all
    unlabelled : (n_images, height, width[, 3]) uint8, images to learn from without labels; labelled
        ones may be among them. None: labelled images only
    prior : (n_prior, height, width[, 3]) uint8 and (n_prior,) int: images of another origin with
        their classes, rendered characters for instance. Half of what is shown in the first
        `LABELLED_FIRST` of the steps is drawn from them, later as many as `LABELLED`
    seed : of the first weights, the batches and the distortions
    members : networks, trained from different seeds, whose probabilities are averaged
    steps : of the optimiser, in batches of `BATCH`
    width : maps of the first convolution; the others have two and four times as many
    tau : probability from which an answer on an unlabelled image is learned from
    views : copies of an image, distorted by `SEEN_AGAIN` of ``distortion``, whose probabilities are
        averaged with its own when predicting: ``1 + views`` times the work
    distortion : of the images shown
    progress : whether to show a bar

    Raises
    ------
    ParameterError
        For values that cannot be used.

    Notes
    -----
    The same seed gives the same weights where TensorFlow has the same number of threads, and with
    ``views`` the same probabilities for the same images in the same order: the copies are drawn
    along the array. Who certifies probabilities keeps them.
    """

    def __init__(
        self,
        n_classes: int,
        unlabelled: np.ndarray | None = None,
        prior: tuple[np.ndarray, np.ndarray] | None = None,
        *,
        seed: int = 0,
        members: int = 1,
        steps: int = 2000,
        width: int = WIDTH,
        tau: float = 0.95,
        views: int = 0,
        distortion: Distortion = USUAL,
        progress: bool = False,
    ) -> None:
        check_count("n_classes", n_classes, 2)
        check_count("members", members, 1)
        check_count("steps", steps, 1)
        check_count("width", width, 1)
        check_count("views", views)
        check_count("seed", seed)
        if not 0 < tau <= 1:
            raise ParameterError("tau", tau, "expected more than 0 and at most 1")
        if unlabelled is not None:
            _check_images("unlabelled", unlabelled)
        if prior is not None:
            _check_labelled("prior", *prior, n_classes)
        self.n_classes, self.unlabelled, self.prior, self.seed = n_classes, unlabelled, prior, seed
        self.members, self.steps, self.width = members, steps, width
        self.tau, self.views = tau, views
        self.distortion, self.progress = distortion, progress
        self.weights: list[list[np.ndarray]] = []
        """Of each member, in the order of the network's variables; empty before the training."""
        self.believed: list[np.ndarray] = []
        """(n_chunks,) of each member: the share of unlabelled images that its answers were learned
        from, chunk by chunk."""

    def fit(self, x: np.ndarray, y: np.ndarray) -> ConvNet:
        """Train anew on ``x`` (n, height, width[, 3]) uint8 and ``y`` (n,) int.

        ParameterError for no images or images of another kind or size, or larger than `LARGEST`
        pixels a side, and for labels that are no classes.
        """
        y = _check_labelled("x", x, y, self.n_classes)
        others = {"unlabelled": self.unlabelled, "prior": self.prior and self.prior[0]}
        for name, images in others.items():
            if images is not None and images.shape[1:] != x.shape[1:]:
                raise ParameterError(
                    "x", x.shape[1:], f"expected the size of {name}, {images.shape[1:]}"
                )
        total, desc = self.members * self.steps, f"{len(x):,} labels"
        bar = tqdm(total=total, desc=desc, unit="step", disable=not self.progress)
        networks, interrupted = self._networks(x), Event()

        def member(number: int) -> tuple[list[np.ndarray], np.ndarray]:
            rng = np.random.default_rng([self.seed, number])
            believed = self._train(networks[number], x, y, rng, bar, interrupted)
            return networks[number].weights(), believed

        # One network does not keep two cores busy, its steps are too small: two side by side do.
        with bar, ThreadPoolExecutor(min(self.members, cores())) as pool:
            try:
                at_work = [pool.submit(member, number) for number in range(self.members)]
                wait(at_work, return_when=FIRST_EXCEPTION)
            finally:  # Ctrl-C or an error in one: the others would go on to the end
                interrupted.set()
            trained = [each.result() for each in at_work]
        self.weights, self.believed = map(list, zip(*trained, strict=True))
        return self

    def _train(
        self,
        network: Network,
        x: np.ndarray,
        y: np.ndarray,
        rng: np.random.Generator,
        bar: tqdm,
        interrupted: Event,
    ) -> np.ndarray:
        """Take the steps of one member; return the shares of the unlabelled that were believed."""
        network.start(rng)
        classes = np.eye(self.n_classes, dtype=np.float32)
        parts = {"human": x}
        if self.unlabelled is not None:
            parts["unlabelled"] = self.unlabelled
        if self.prior is not None:
            parts["prior"], prior_labels = self.prior
        begins = dict(zip(parts, np.cumsum([0, *map(len, parts.values())]), strict=False))
        images = np.concatenate(list(parts.values()))
        waiting = {name: _Endless(len(part), rng) for name, part in parts.items()}

        def draw(name: str, k: int, n: int) -> np.ndarray:
            return waiting[name].take(k * n).reshape(k, n)

        believed = []
        for begin in range(0, self.steps, CHUNK):
            if interrupted.is_set():
                break
            k = min(CHUNK, self.steps - begin)
            early = begin < LABELLED_FIRST * self.steps
            n_prior = 0 if self.prior is None else BATCH // 2 if early else LABELLED
            n_own = 0 if self.unlabelled is None or early else BATCH - LABELLED - n_prior
            human = draw("human", k, BATCH - n_own - n_prior)
            # Items, labels, and how much each counts.
            drawn = [(human, y[human], np.ones(human.shape, np.float32))]
            if n_own:
                own = draw("unlabelled", k, n_own)
                p = network.guess(parts["unlabelled"][own.ravel()])
                said, counts = _belief(p, self.tau)
                believed.append((counts > 0).mean())
                shape = own.shape
                drawn.append(
                    (begins["unlabelled"] + own, said.reshape(shape), counts.reshape(shape))
                )
            if n_prior:
                other = draw("prior", k, n_prior)
                ones = np.ones(other.shape, np.float32)
                drawn.append((begins["prior"] + other, prior_labels[other], ones))
            items, labels, weight = (
                np.concatenate(part, axis=1) for part in zip(*drawn, strict=True)
            )
            shown = distort(images, items.ravel(), rng, self.distortion)
            network.train(
                shown.reshape(k, BATCH, *x.shape[1:]),
                classes[labels],
                weight,
                learning_rate((begin + np.arange(k)) / self.steps),
                _memory(begin, self.steps),
            )
            bar.update(k)
        return np.array(believed)

    def member_probabilities(self, x: np.ndarray) -> np.ndarray:
        """Return (members, n, n_classes) float32: what each network says of ``x``, as `fit`."""
        _check_images("x", x)
        if not self.weights:
            raise RuntimeError("ConvNet.fit comes first: the network has not been trained")
        networks = self._networks(x)

        def member(number: int) -> np.ndarray:
            network = networks[number]
            network.set(self.weights[number])
            p = network.predict(x)
            # Other copies for each member; the same ones whenever the same images are given.
            rng = np.random.default_rng([self.seed, number, 1])
            for _ in range(self.views):
                for begin in range(0, len(x), SCORED):
                    part = slice(begin, begin + SCORED)
                    again = distort(x[part], np.arange(len(x[part])), rng, mild)
                    p[part] += network.predict(again)
            return p / (1 + self.views)

        mild = self.distortion.times(SEEN_AGAIN)
        with ThreadPoolExecutor(min(self.members, cores())) as pool:
            return np.stack(list(pool.map(member, range(self.members))))

    def _networks(self, x: np.ndarray) -> list[Network]:
        shape = (*x.shape[1:3], 1 if x.ndim == 3 else 3)
        return [network(self.n_classes, shape, self.width, k) for k in range(self.members)]

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Return (n, n_classes) float32: probabilities of images like those of `fit`."""
        return self.member_probabilities(x).mean(axis=0)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return (n,) int64, the likeliest classes."""
        return self.predict_proba(x).argmax(axis=1)


def _memory(done: int, steps: int) -> float:
    """Return the memory of the slow weights: a twentieth of the training, less at its beginning."""
    return min(1 - 1 / (TEACHER * steps + 1), (1 + done) / (10 + done))


def _belief(p: np.ndarray, tau: float) -> tuple[np.ndarray, np.ndarray]:
    """Return (n,) the likeliest classes, and (n,) float32 how much each answer counts.

    Those from ``tau`` on count. A class that would get more than its even share counts less, so
    that none swallows those that look like it.
    """
    likeliest, n_classes = p.argmax(axis=1), p.shape[1]
    sure = p.max(axis=1) >= tau
    each = np.bincount(likeliest[sure], minlength=n_classes)
    even = np.minimum(1.0, each.sum() / (n_classes * np.maximum(each, 1)))
    return likeliest, (sure * even[likeliest]).astype(np.float32)


class _Endless:
    """Items in a random order, and again in another, for as long as they are asked for."""

    def __init__(self, n: int, rng: np.random.Generator) -> None:
        self.n, self.rng, self.left = n, rng, np.empty(0, np.int64)

    def take(self, n: int) -> np.ndarray:
        parts = [self.left]
        while sum(map(len, parts)) < n:
            parts.append(self.rng.permutation(self.n))
        items = np.concatenate(parts)
        self.left = items[n:]
        return items[:n]


def _check_images(name: str, images: Any) -> None:
    is_array = isinstance(images, np.ndarray) and images.dtype == np.uint8
    if not is_array or images.ndim not in (3, 4) or images.shape[3:] not in ((), (3,)):
        what = f"{getattr(images, 'dtype', type(images).__name__)} {np.shape(images)}"
        raise ParameterError(name, what, "expected (n, height, width) grey or (n, height, width, "
                             "3) colour, uint8")  # fmt: skip
    if min(images.shape[1:3]) < 8:
        raise ParameterError(name, images.shape[1:], "expected images of 8 x 8 pixels or more")
    if max(images.shape[1:3]) > LARGEST:
        raise ParameterError(
            name, images.shape[1:], f"expected images of at most {LARGEST} pixels a side",
            "make them smaller, or train a classifier on features (alutils.models.features)",
        )  # fmt: skip


def _check_labelled(name: str, x: Any, y: Any, n_classes: int) -> np.ndarray:
    """Return the labels as an array, or say what is wrong with images or labels."""
    _check_images(name, x)
    y = np.asarray(y)
    if not len(x) or y.shape != (len(x),):
        raise ParameterError(
            name, f"{len(x)} images, labels {y.shape}", "expected images and a label for each"
        )
    if not np.issubdtype(y.dtype, np.integer) or y.min() < 0 or y.max() >= n_classes:
        worst = y.max() if y.max() >= n_classes else y.min()
        raise ParameterError(name, worst, f"expected classes from 0 to {n_classes - 1}")
    return y
