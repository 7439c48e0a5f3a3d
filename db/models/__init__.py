"""Tables. Rows are read and written in `db.queries` only, which returns plain values.

Acts of people and of the worker are appended (`decision`, `changeset`, `round`, `problem`); values derived from them
(`finding.status` ..., `finding_count`, `changeset.live`) are updated in the same transaction for speed and
can be recomputed at any time.
"""

from db.models.base import Base, Code, UtcDateTime
from db.models.datasets import (
    AnnotatorRow,
    DatasetMemberRow,
    DatasetRow,
    DeletionRow,
    ExportRow,
    ImportChangeRow,
    ImportRow,
    IncomingRow,
    ProblemRow,
    SampleRow,
    TaggingRow,
)
from db.models.people import LogEntryRow, LoginSessionRow, SigningKeyRow, UserRow
from db.models.rounds import (
    AuditLeaseRow,
    AuditRow,
    ChangesetRow,
    DecisionRow,
    FindingCountRow,
    FindingRow,
    FoldRunRow,
    MadeFindingRow,
    NoteRow,
    RoundRow,
    ShardRunRow,
    WorkerRow,
)

__all__ = [
    "AnnotatorRow",
    "AuditLeaseRow",
    "AuditRow",
    "Base",
    "ChangesetRow",
    "Code",
    "DatasetMemberRow",
    "DatasetRow",
    "DecisionRow",
    "DeletionRow",
    "ExportRow",
    "FindingCountRow",
    "FindingRow",
    "FoldRunRow",
    "ImportChangeRow",
    "ImportRow",
    "IncomingRow",
    "LogEntryRow",
    "LoginSessionRow",
    "MadeFindingRow",
    "NoteRow",
    "ProblemRow",
    "RoundRow",
    "SampleRow",
    "ShardRunRow",
    "SigningKeyRow",
    "TaggingRow",
    "UserRow",
    "UtcDateTime",
    "WorkerRow",
]
