"""Review of findings: reading them, storing verdicts, undo.

`reading` answers questions, `acts` stores verdicts, `audits` draws random samples, `evidence` and `precision` say what
these tell of a set and of bulk accepts; `by` is always an annotator's name.
"""

from app.services.reviews.acts import Choice, accept_all, decide, redo, undo
from app.services.reviews.answers import Saved, Undone
from app.services.reviews.by_class import by_class
from app.services.reviews.errors import CountChangedError, NotFoundError, RefusedError, ReviewError, StaleMaskError
from app.services.reviews.evidence import AuditView, Certificate, Share
from app.services.reviews.precision import Known, Recalibration, WrongLabels, recalibration, share_text
from app.services.reviews.reading import (
    MOST_ALIKE,
    count,
    counts,
    findings,
    hints,
    history,
    likely,
    page,
    preview,
    resolved_labels,
    view_round,
)
from app.services.reviews.shown import Counts, Page, Preview, RoundView, Story
from app.services.reviews.state import state
from app.services.reviews.storing import ActKey
from core.judge.hints import Hint

__all__ = [
    "MOST_ALIKE",
    "ActKey",
    "AuditView",
    "Certificate",
    "Choice",
    "CountChangedError",
    "Counts",
    "Hint",
    "Known",
    "NotFoundError",
    "Page",
    "Preview",
    "Recalibration",
    "RefusedError",
    "ReviewError",
    "RoundView",
    "Saved",
    "Share",
    "StaleMaskError",
    "Story",
    "Undone",
    "WrongLabels",
    "accept_all",
    "by_class",
    "count",
    "counts",
    "decide",
    "findings",
    "hints",
    "history",
    "likely",
    "page",
    "preview",
    "recalibration",
    "redo",
    "resolved_labels",
    "share_text",
    "state",
    "undo",
    "view_round",
]
