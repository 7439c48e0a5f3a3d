"""Settings of the recipe "iterated": a teacher labels unlabelled images, a student learns from them, several times.

The teacher is one network, or the networks of K folds of the labels together (votes); with consistency it also learns
from unlabelled images itself. Without iterations, consistency is all there is.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil

from core.config.rounds import RecipeSettings, TrainingCosts
from core.types import ConfigError

PROBE = "probe"  # a regression trained only on the labels
SPREAD = "spread"  # it learns the labels as they spread to all images

BASELINE, MIRRORED = "baseline", "mirrored"  # networks trained only on the labels, the second also on mirrored images
LABELS_ALONE = frozenset({BASELINE, MIRRORED})
MIRROR, KEEP, DECIDE = "on", "off", "decide"  # half of the images mirrored: always, never, or by validation


MEAN_GROWTH = 0.3085  # mean of `core.learn.consistency.grown` over a run
_HALVES = 2  # of the unlabelled images, each predicted by a network that learnt the other one
_MINUTE = 60.0  # seconds
_LEAST = 2  # batch normalisation needs two


@dataclass(frozen=True, slots=True, kw_only=True)
class IteratedSettings(RecipeSettings):
    """Number of iterations, selection of pseudo labels, and data that the best model is selected by.

    Shares are of each predicted class, so that rare ones are not starved; the share grows evenly to `last_share`.
    Masks have no shares where their pixels are weighed.
    """

    iterations: int = 3
    share: float = 0.5  # most confident part of each class's predictions that the first student learns
    last_share: float = 0.8  # the same for the last student
    least_confidence: float = 0.5  # below it no pseudo label is used, regardless of the share
    labelled_share: float = 0.25  # share of real labels in each batch of a student; 0: pseudo labels only
    weigh_pixels: bool = True  # of masks: every pixel teaches, weighed by its confidence, instead of shares
    whole_batch: bool = False  # with consistency a batch has as many labels as without, the unlabelled images on top
    mixing: bool = False  # of masks, with consistency: two strong views, each with a box of another image
    mirror: str = DECIDE  # for classes, whether views are mirrored: MIRROR, KEEP or DECIDE; masks: set by the network
    strong_views: bool = True  # classes are learnt by much changed images; masks never
    votes: int = 0  # folds of the labels; their networks together label for the first student; 0: one network does
    fine_tuning: float = 0.0  # steps on the real labels after a student's own, as a share of these; 0: none
    fine_tuning_rate: float = 0.3  # of the learning rate
    consistency: bool = False  # also trains on unlabelled images beside the real labels, by weak and strong views
    adaptive: bool = True  # of consistency: the least confidence of each class follows the network; of classes
    adaptive_masks: bool = False  # the same of masks, where it teaches nearly all pixels in runs of some hundred steps
    threshold: float = 0.95  # of consistency: least confidence of the weak view where it is not adaptive
    ratio: int = 3  # of consistency: unlabelled images for each labelled one; the batch size stays
    growing: bool = False  # of consistency: the ratio grows to that over the run, in as many images
    views: int = 0  # unlabelled images that each network with consistency, else each student, sees; 0: by epochs
    minutes: float = 0.0  # of training of each network, instead of epochs or views; 0: none
    validation_split: str = ""  # the split that models are selected by; empty: a random share of the labelled images
    validation_share: float = 0.2
    most_validation: int = 200  # of a random share: further labels teach
    test_split: str = ""  # the split that is evaluated once, at the end; empty: none
    frozen: str = ""  # of a probe: the learner, PROBE or SPREAD; empty: decided by cross-validation on the labels

    def __post_init__(self) -> None:
        """Validate the settings."""
        for name, (holds, words) in _RANGES.items():
            if not holds(getattr(self, name)):
                raise ConfigError(f"{name} is {getattr(self, name)}, must be {words}")
        if not self.iterations and not self.consistency:
            raise ConfigError("iterations is 0, must be at least 1", "or switch consistency on")
        if self.frozen not in ("", PROBE, SPREAD):
            raise ConfigError(f"frozen is {self.frozen!r}, must be {PROBE!r}, {SPREAD!r} or empty")
        if self.mirror not in (MIRROR, KEEP, DECIDE):
            raise ConfigError(f"mirror is {self.mirror!r}, must be {MIRROR!r}, {KEEP!r} or {DECIDE!r}")
        if self.views and self.minutes:
            raise ConfigError(
                f"views are {self.views} and minutes {self.minutes}, one run has one budget", "set one of both"
            )
        if self.test_split and self.test_split == self.validation_split:
            raise ConfigError(f"{self.test_split!r} cannot be chosen by and be the test", "name another split")

    @property
    def stages(self) -> list[str]:
        """Names of the stages, in their order; "test" is the last."""
        names = ["baseline", *(["teacher"] if self.consistency else [])]
        if self.iterations:
            names += [f"vote_{number}" for number in range(1, self.votes + 1)]
        for number in range(1, self.iterations + 1):
            names += [f"pseudo_{number}", f"student_{number}"]
            names += [f"tuned_{number}"] if self.fine_tuning else []
        return [*names, "test"]

    @property
    def mean_ratio(self) -> float:
        """Unlabelled images for each labelled one in the mean of a run with consistency."""
        return self.ratio * (MEAN_GROWTH if self.growing else 1.0)

    def labelled_batch(self, batch: int) -> int:
        """Return the number of labelled images in each step with consistency, for batches of this size."""
        return batch if self.whole_batch else max(_LEAST, batch // (1 + self.ratio))

    def pseudo_batch(self, batch: int) -> int:
        """Return the number of pseudo labels in each step of a student."""
        return max(_LEAST, round(batch * (1 - self.labelled_share)))

    def steps(self, batch: int) -> int:
        """Return the number of steps in which the `views` are seen, the same for all networks."""
        unlabelled = self.labelled_batch(batch) * self.mean_ratio if self.consistency else self.pseudo_batch(batch)
        return max(1, ceil(self.views / unlabelled))

    def seconds(self, costs: TrainingCosts, epochs: int, batch: int) -> float:
        """Return the seconds of all stages, from the costs of a network that has these epochs and batches.

        With consistency, r of 1 + r images of a batch are unlabelled: predicted, then trained on as strong views, of
        mixed scenes two. On top of a whole batch they are r times as many as that holds. For each half of the
        unlabelled images a network is trained as the best one was, here supposed to be the last. A second network of
        the labels alone, where images are mirrored, is left out.
        """
        own = costs.strong if self.strong_views else costs.training
        views = 2 if self.mixing else 1
        consistent = own + self.mean_ratio * (costs.predicting + views * costs.strong)
        passes = self.steps(batch) * batch / max(1.0, costs.images) if self.views else float(epochs)
        labelled = self.labelled_batch(batch) / batch if self.views or self.whole_batch else 1 / (1 + self.mean_ratio)
        alone, taught = own * passes, consistent * passes * labelled
        if self.minutes:
            alone = taught = _MINUTE * self.minutes if own else 0.0  # nothing of a probe is trained in steps
        voters = self.votes if self.iterations else 0
        student = alone * (1 + self.fine_tuning)
        halves = _HALVES * (student if self.iterations else taught)
        trained = alone + voters * alone + self.iterations * student + (taught if self.consistency else 0.0) + halves
        predicted = self.iterations + max(0, voters - 1) + 1  # the first labels are by all voters, the last by halves
        return costs.once + trained + predicted * costs.predicting

    def share_at(self, iteration: int) -> float:
        """Return the share that the student of an iteration, from 1 on, learns."""
        way = (iteration - 1) / max(1, self.iterations - 1)
        return self.share + way * (self.last_share - self.share)


_MOST_VALIDATION = 0.5
_Range = tuple[Callable[[float], bool], str]
_SHARE: _Range = (lambda value: 0 < value <= 1, "above 0 and at most 1")
_CONFIDENCE: _Range = (lambda value: 0 <= value <= 1, "from 0 to 1")
_NOT_NEGATIVE: _Range = (lambda value: value >= 0, "at least 0")
_COUNT: _Range = (lambda value: value >= 1, "at least 1")
_RANGES: Mapping[str, _Range] = {
    "iterations": _NOT_NEGATIVE,
    "views": _NOT_NEGATIVE,
    "minutes": _NOT_NEGATIVE,
    "share": _SHARE,
    "last_share": _SHARE,
    "fine_tuning_rate": _SHARE,
    "least_confidence": _CONFIDENCE,
    "threshold": _CONFIDENCE,
    "fine_tuning": _CONFIDENCE,
    "labelled_share": (lambda value: 0 <= value < 1, "at least 0 and below 1"),
    "ratio": _COUNT,
    "most_validation": _COUNT,
    "votes": (lambda value: value == 0 or value >= 2, "0, or at least 2 folds"),  # noqa: PLR2004 others are not folds
    "validation_share": (
        lambda value: 0 < value <= _MOST_VALIDATION,
        f"above 0 and at most {_MOST_VALIDATION}",
    ),
}
