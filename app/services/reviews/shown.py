"""Values that the review page shows."""

from dataclasses import dataclass

from app.services.reviews.precision import Known
from app.services.split_names import called
from core.data.windows import Window
from core.types import Decision, Finding, FindingKind, RoundStatus, Status
from db.queries import decisions
from db.queries import reviews as review_queries


@dataclass(frozen=True, slots=True)
class Page:
    """Findings in order, and where the next ones begin (None: these were the last)."""

    items: list[Finding]
    next: str | None


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts under a filter. `total`, `todo`, `decided` and `by_status` disregard its statuses.

    `kinds`, `pairs` and `histogram` count what is still to do, each disregarding the part of the filter it is about.
    `kept_out` is the part of the histogram that no bulk act touches: what is of evaluation splits, and what waits for
    a second opinion.
    """

    total: int
    todo: int
    decided: int
    by_status: dict[Status, int]
    kinds: dict[FindingKind, int]
    pairs: list[tuple[int, int, int]]
    histogram: list[int]
    kept_out: list[int]
    evaluation_splits: list[str]


@dataclass(frozen=True, slots=True)
class Preview:
    """A bulk act before it happens: how many it changes, from what to what, and what is known of how right it is.

    `sample` holds the first 24 findings of the set's random order, whatever their status; `left_out` open ones are of
    the evaluation splits, which no bulk act touches. `threshold` is None where each class has its own.
    """

    count: int
    changes: list[tuple[int, int, int]]
    sample: list[Finding]
    threshold: float | None
    known: Known
    left_out: int = 0
    evaluation_splits: tuple[str, ...] = ()

    @property
    def left_out_words(self) -> str:
        """Return what is left out and what to do about it; "" where nothing is."""
        if not self.left_out:
            return ""
        verb = "is" if self.left_out == 1 else "are"
        return f"{self.left_out:,} of the {called(self.evaluation_splits)} {verb} left out: judge them one by one"


@dataclass(frozen=True, slots=True)
class Story:
    """History of a finding's sample, or of its region: findings of rounds, verdicts, and similar findings."""

    finding: Finding
    rounds: list[tuple[int, Finding]]
    decisions: list[tuple[int, Decision]]
    neighbours: list[Finding]
    alike: tuple[int, ...] = ()  # ids, ascending, of the finding itself and the open ones of its pair that resemble it


@dataclass(frozen=True, slots=True)
class RoundView:
    """A round, what its filters can be set to, and where else to go: (id, number, status), (id, name, newest round)."""

    round: review_queries.ReviewedRound
    rounds: list[tuple[int, int, RoundStatus]]
    datasets: list[tuple[int, str, int]]
    splits: list[str]
    annotators: list[str]
    has_similarity: bool
    bulk_acts: list[decisions.Changeset]
    window: Window | None  # of greys of more than 8 bits that become black and white
