"""Notes on cards: added, never changed; the newest that counts is current."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, case, func, select
from sqlalchemy.orm import Session

from core.types import Finding
from db.models import AnnotatorRow, ChangesetRow, FindingRow, NoteRow, SampleRow
from db.queries import agreeing


@dataclass(frozen=True, slots=True)
class Note:
    """A text on a card; `live` is false once its act was undone. An empty text takes the one before back."""

    text: str
    annotator: str
    noted_at: datetime
    live: bool


def add_note(session: Session, changeset_id: int, sample_id: int, finding_id: int, text: str) -> None:
    """Store the text of an act."""
    agreeing.make_rows(session, [sample_id])
    session.add(NoteRow(changeset_id=changeset_id, sample_id=sample_id, finding_id=finding_id, text=text))
    session.flush()


def notes_of_sample(session: Session, sample_id: int, finding_id: int | None = None) -> list[Note]:
    """Return every note on a sample, or on one finding of it, undone ones too, oldest first."""
    chosen = _noted(NoteRow.text, AnnotatorRow.name, ChangesetRow.decided_at, ChangesetRow.live)
    chosen = chosen.where(NoteRow.sample_id == sample_id)
    if finding_id is not None:
        chosen = chosen.where(NoteRow.finding_id == finding_id)
    return [Note(*row) for row in session.execute(chosen.order_by(NoteRow.id))]


def current_notes(session: Session, dataset_id: int) -> list[tuple[str, str, str, datetime]]:
    """Return the newest note on each image or region of a dataset that was not undone; empty ones are left out.

    Each is (name of the image, text, annotator, moment).
    """
    region = case((FindingRow.area.is_not(None), NoteRow.finding_id))
    newest = (
        select(func.max(NoteRow.id))
        .join(ChangesetRow, ChangesetRow.id == NoteRow.changeset_id)
        .join(FindingRow, FindingRow.id == NoteRow.finding_id)
        .where(ChangesetRow.dataset_id == dataset_id, ChangesetRow.live)
        .group_by(NoteRow.sample_id, region)
    )
    columns = (SampleRow.name, NoteRow.text, AnnotatorRow.name, ChangesetRow.decided_at)
    chosen = _noted(*columns).join(SampleRow, SampleRow.id == NoteRow.sample_id)
    rows = session.execute(chosen.where(NoteRow.id.in_(newest), NoteRow.text != "").order_by(NoteRow.id))
    return [(name, text, annotator, noted_at) for name, text, annotator, noted_at in rows]


def notes_on_findings(session: Session, cards: Sequence[Finding]) -> dict[int, str]:
    """Return the current note on each of these findings, by id: on its region, or on its image in any round."""
    rows = (
        select(NoteRow.sample_id, NoteRow.finding_id, NoteRow.text)
        .join(ChangesetRow, ChangesetRow.id == NoteRow.changeset_id)
        .where(NoteRow.sample_id.in_({card.sample_id for card in cards}), ChangesetRow.live)
        .order_by(NoteRow.id)
    )
    on_regions: dict[int, str] = {}
    on_images: dict[int, str] = {}
    for sample_id, finding_id, text in session.execute(rows):  # later notes replace earlier ones
        on_regions[finding_id] = on_images[sample_id] = text
    notes = {
        card.id: on_images.get(card.sample_id, "") if card.area is None else on_regions.get(card.id, "")
        for card in cards
    }
    return {finding_id: text for finding_id, text in notes.items() if text}


def _noted(*columns: Any) -> Select[*tuple[Any, ...]]:  # noqa: ANN401 columns of any type
    return (
        select(*columns)
        .select_from(NoteRow)
        .join(ChangesetRow, ChangesetRow.id == NoteRow.changeset_id)
        .join(AnnotatorRow, AnnotatorRow.id == ChangesetRow.annotator_id)
    )
