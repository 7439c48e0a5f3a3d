"""History of a dataset's rounds: changes of labels and settings from each round to the next.

None: not measured by the round, or from a release that did not store it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from app.services.app_context import AppContext
from app.services.reviews.evidence import set_name
from app.services.rounds.jobs import RoundComparison, RoundInfo, compare
from core.config import settings_by_network
from core.types import JobStatus
from db.queries import datasets, decisions, exports

NOT_RECORDED = "Precision unknown: what was known of it then was not recorded."


@dataclass(frozen=True, slots=True)
class BulkAct:
    """A bulk accept that counts, with the precision known when it was made.

    `known` is the value of `Known.as_note`; None: the act is older than such notes.
    """

    changeset: int
    round: int  # its number
    size: int  # number of accepted labels or regions
    set: str  # the accepted set, in words
    threshold: float | None  # None: each class had its own threshold
    annotator: str
    decided_at: datetime
    known: Mapping[str, Any] | None

    @property
    def certified(self) -> bool:
        """Return whether a certificate of the set existed."""
        return bool(self.known and self.known["certified"])

    @property
    def text(self) -> str:
        """Return the certificate, or "Not certified" with the precision known at that time."""
        text = str(self.known["text"]) if self.known else NOT_RECORDED
        return text if self.certified else f"Not certified. {text}"

    def as_json(self) -> dict[str, Any]:
        """Return JSON values, as in manifests."""
        known = self.known or {}
        return {
            "changeset": self.changeset,
            "round": self.round,
            "size": self.size,
            "set": self.set,
            "threshold": self.threshold,
            "annotator": self.annotator,
            "decided_at": self.decided_at.isoformat(),
            "certified": self.certified,
            "certificate": known.get("certificate"),
            "precision": known.get("precision"),
            "text": self.text,
        }


@dataclass(frozen=True, slots=True)
class Past:
    """One round and its changes; `settings` are those that differ from the previous round, as (then, now)."""

    round: RoundInfo
    compared: RoundComparison | None  # None: it is not finished
    settings: dict[str, tuple[Any, Any]]
    given: Mapping[str, Any] | None  # `core.judge.label_changes` against the labels the dataset came with
    before: Mapping[str, Any] | None  # the same against the previous round, with its number as `round`
    verdicts: Mapping[str, int] | None  # decisions of people since the previous round opened, by the names of `Status`
    is_first: bool  # no previous round was finished, so nothing can have changed
    bulk_acts: tuple[BulkAct, ...]  # bulk acts on its findings, oldest first, without undone ones

    @property
    def changed_settings(self) -> str:
        """Return the settings that changed, in words."""
        return ", ".join(f"{name.replace('_', ' ')} {then} → {now}" for name, (then, now) in self.settings.items())


def history(app_context: AppContext, listed: Sequence[RoundInfo]) -> list[Past]:
    """Return the history of each round in `listed`, which are all of a dataset's rounds, newest first."""
    past, finished = [], {one.round.id: one for one in compare(app_context, [info.id for info in listed])}
    acts: list[BulkAct] = []
    if listed:
        with app_context.database.read() as session:
            acts = bulk_acts(session, listed[0].dataset_id)
    for place, info in enumerate(listed):
        compared = finished.get(info.id)
        noted = compared.metrics.get("label_changes", {}) if compared else {}
        earlier = listed[place + 1] if place + 1 < len(listed) else None
        settings = {} if earlier is None else _differing(earlier, info)
        is_first = not any(one.status is JobStatus.DONE for one in listed[place + 1 :])
        changes = noted.get("given"), noted.get("before"), noted.get("verdicts")
        own = tuple(act for act in acts if act.round == info.number)
        past.append(Past(info, compared, settings, *changes, is_first, own))
    return past


def bulk_acts(session: Session, dataset_id: int) -> list[BulkAct]:
    """Return a dataset's bulk accepts that count, oldest first."""
    classes = datasets.get_dataset(session, dataset_id).classes
    numbers = exports.round_numbers(session, dataset_id)
    return [
        BulkAct(
            act.id,
            numbers.get(act.round_id or 0, 0),
            act.size,
            set_name(act.note.get("filter", {}), classes),
            act.note.get("threshold"),
            act.annotator,
            act.decided_at,
            act.note.get("known"),
        )
        for act in decisions.live_bulk_acts(session, dataset_id)
    ]


def _differing(earlier: RoundInfo, info: RoundInfo) -> dict[str, tuple[Any, Any]]:
    """Return the differing settings; those of recipes only if the recipe is the same."""
    alike = earlier.recipe is info.recipe
    then, now = (_settings(one, with_own=alike) for one in (earlier, info))
    return {name: (then.get(name), value) for name, value in now.items() if then.get(name) != value}


def _settings(info: RoundInfo, *, with_own: bool) -> dict[str, Any]:
    own = info.recipe_config or {} if with_own else {}
    return (
        {"recipe": info.recipe.value}
        | settings_by_network(info.config)
        | {f"{info.recipe}: {name}": own[name] for name in own}
    )
