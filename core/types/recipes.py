"""Recipes of rounds, each with the facts that the database, the method and the pages need.

The settings and the work of a recipe are in its module in `app.services.recipes`.
"""

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Self

from core.types.labels import Task

_CLASSES, _MASKS = (Task.CLASSIFICATION,), (Task.SEGMENTATION,)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeFacts:
    """Facts of a recipe; the defaults are those of one that trains networks and suggests labels."""

    goal: str  # its name in the form and the table of rounds
    piece: str = ""  # name of its single piece of work; "": each fold is a piece
    tasks: tuple[Task, ...] = tuple(Task)  # kinds of labels that it supports
    finds: bool = True  # whether its rounds have findings to review
    suggests: bool = True  # whether its findings suggest a label
    proposes: bool = False  # whether all its findings are on unlabelled images or pixels
    trains: bool = True  # whether it trains networks
    timed: bool = False  # whether a trial on the first images tells how long it takes
    runs_networks: bool = True  # whether its result depends on networks, and so on the versions of their libraries
    calibrated: tuple[Task, ...] = ()  # kinds of labels for which its confidences are calibrated
    probes: tuple[Task, ...] = tuple(Task)  # kinds of labels for which it can use a frozen network
    mixes: tuple[Task, ...] = ()  # kinds of labels for which it can mix the predictions of several networks


class Recipe(StrEnum):
    """Kind of a round: training of the folds, or an experiment that trains several networks one after another."""

    # the usual one first, as in the form; K networks, each predicts the fold it was not trained on
    CROSS_FOLD = "cross-fold", RecipeFacts(goal="Find wrong labels", timed=True, calibrated=_CLASSES, mixes=_CLASSES)
    # a teacher labels unlabelled images, a student learns from them, T times
    ITERATED = (
        "iterated",
        RecipeFacts(
            goal="Teacher and student", piece="teacher and students", proposes=True, timed=True, probes=_CLASSES
        ),
    )
    CROSS_TRAINING = (
        "cross-training",
        RecipeFacts(
            goal="Few masks, many tags",
            piece="both networks, and the one they teach",
            tasks=_MASKS,
            proposes=True,
            probes=(),
        ),
    )
    # the same training on the original and on the cleaned labels
    COMPARISON = (
        "comparison",
        RecipeFacts(
            goal="Measure the impact of cleaning",
            piece="original and cleaned labels, every seed",
            finds=False,
            suggests=False,
        ),
    )
    PREDICTIONS = (
        "predictions",
        RecipeFacts(
            goal="Judge predictions made elsewhere",
            piece="predictions made elsewhere",
            trains=False,
            runs_networks=False,
        ),
    )
    # orders unlabelled images by similarity, for labelling by hand
    LABELLING = (
        "labelling",
        RecipeFacts(
            goal="Label images",
            piece="images, ordered by similarity",
            tasks=_CLASSES,
            suggests=False,
            proposes=True,
            trains=False,
            probes=(),
        ),
    )

    _value_: str
    goal: str
    piece: str
    tasks: tuple[Task, ...]
    finds: bool
    suggests: bool
    proposes: bool
    trains: bool
    timed: bool
    runs_networks: bool
    calibrated: tuple[Task, ...]
    probes: tuple[Task, ...]
    mixes: tuple[Task, ...]

    def __new__(cls, value: str, facts: RecipeFacts) -> Self:
        """Return the member with this value, and with its facts as attributes."""
        member = str.__new__(cls, value)
        member._value_ = value
        for fact in fields(facts):
            setattr(member, fact.name, getattr(facts, fact.name))
        return member

    @property
    def in_folds(self) -> bool:
        """Return whether each fold is a piece of work of its own."""
        return not self.piece
