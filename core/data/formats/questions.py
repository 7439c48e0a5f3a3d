"""Questions about the meaning of masks, and the decisions a reader made: shown before anything is stored.

A reader decides what is told or usual. What it would have to guess becomes a question, and every answer is the value of
one field of `ReadOptions`, so that the preview answers it with a click, the command with an option, and a re-import by
what is stored with the dataset.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class How(StrEnum):
    """Grounds of a decision."""

    TOLD = "told"  # by an option, a file of classes or the annotations themselves
    CONVENTION = "usual"  # what such files mean everywhere, as 255 in palettes
    GUESSED = "guessed"


@dataclass(frozen=True, slots=True)
class Decision:
    """The meaning of one value or colour; `name` is a class, "" for unlabelled (IGNORE), None where it has none.

    `pixels` is its share of the pixels of the masks that were looked at, `images` the number of masks that have it;
    None where no mask had to be looked at.
    """

    value: str
    name: str | None
    how: How
    pixels: float | None
    images: int | None


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: the text of its button, and the field of `ReadOptions` with its value."""

    text: str
    option: str
    value: str | int

    @property
    def flag(self) -> str:
        """Return the option of the `import` command."""
        return f"--{self.option.replace('_', '-')} {self.value}"


@dataclass(frozen=True, slots=True)
class Question:
    """A question about masks. `blocking`: a new dataset is not stored before it is answered."""

    kind: str
    text: str
    answers: tuple[Answer, ...]
    blocking: bool

    def __str__(self) -> str:
        """Return the question with the options that answer it."""
        flags = "; ".join(f"{answer.flag} ({answer.text})" for answer in self.answers)
        return f"{self.text} Answer with {flags}"


def ask(option: str, kind: str, text: str, answers: Mapping[str, str | int], *, blocking: bool) -> Question:
    """Return a question of which every answer, as the text of its button, is a value of one option."""
    said = tuple(Answer(button, option, value) for button, value in answers.items())
    return Question(kind, text, said, blocking)


@dataclass(frozen=True, slots=True)
class MaskMeaning:
    """Decisions and open questions of a source, and the number of masks that were looked at."""

    decisions: tuple[Decision, ...] = ()
    questions: tuple[Question, ...] = ()
    looked_at: int = 0

    @property
    def blocking(self) -> tuple[Question, ...]:
        """Return the questions that have to be answered before a new dataset is stored."""
        return tuple(question for question in self.questions if question.blocking)


NO_MEANING = MaskMeaning()

CHOICES: Mapping[str, tuple[str, ...]] = {
    "unnamed_ids": ("ignore", "class"),
    "threshold_masks": ("ignore", "half", "off"),
    "float_masks": ("ids",),
    "unknown_colours": ("ignore", "refuse"),
    "exif_masks": ("turn", "keep"),
    "boxes": ("ignore", "skip"),
}
ANSWERS = ("first_id", *CHOICES)  # the fields of `ReadOptions` that answer questions, beside `ignore_id`


def together(*parts: MaskMeaning | None, questions: Iterable[Question] = ()) -> MaskMeaning:
    """Return the decisions and questions of several parts as one; a question is asked once."""
    known = [part for part in parts if part is not None]
    asked = {question.kind: question for part in known for question in part.questions}
    asked |= {question.kind: question for question in questions}
    decisions = tuple(decision for part in known for decision in part.decisions)
    return MaskMeaning(decisions, tuple(asked.values()), max((part.looked_at for part in known), default=0))
