"""The tables. Rows are only ever read and written through `db.queries`; nothing above ever sees one.

What people and the worker did is appended (`decision`, `changeset`, `round`, `problem`); what follows from it
(`finding.status` ..., `finding_count`, `changeset.live`) is kept beside it in the same transaction for speed and
can be recomputed at any time.
"""

from db.models.base import Base, Code, UtcDateTime
from db.models.datasets import (
    AnnotatorRow,
    DatasetRow,
    ExportRow,
    ImportRow,
    IncomingRow,
    ProblemRow,
    SampleRow,
    TaggingRow,
)
from db.models.reviews import AuditLeaseRow, AuditRow, ChangesetRow, DecisionRow, FindingCountRow, FindingRow
from db.models.rounds import FoldRunRow, RoundRow, WorkerRow

__all__ = [
    "AnnotatorRow",
    "AuditLeaseRow",
    "AuditRow",
    "Base",
    "ChangesetRow",
    "Code",
    "DatasetRow",
    "DecisionRow",
    "ExportRow",
    "FindingCountRow",
    "FindingRow",
    "FoldRunRow",
    "ImportRow",
    "IncomingRow",
    "ProblemRow",
    "RoundRow",
    "SampleRow",
    "TaggingRow",
    "UtcDateTime",
    "WorkerRow",
]
