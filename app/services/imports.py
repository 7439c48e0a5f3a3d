"""Imports: look before storing, start, watch, repeat, cancel; and the problems they found.

`run_import` does the work wherever it is called: by the worker, the command line, a test.
"""

import csv
import io
import shlex
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from app.services.allowed import refuse_outside
from app.services.annotators import sign_in
from app.services.import_classes import QUESTION, GoneClass
from app.services.import_preview import Preview, PreviewImage, preview, recognise
from app.services.import_request import ImportRequest, name_for
from app.services.import_run import ImportProgress, run_import
from app.services.import_store import find_known, refuse_other_root
from app.services.import_unlabelled import into_known
from app.services.workspace import Workspace
from core.data.formats.source import SourceFormat, existing_root
from core.types import DatasetError, Problem, RoundStatus, Severity
from db.queries import added, datasets, imports
from db.queries.datasets import DatasetInfo
from db.queries.imports import ImportInfo, ProblemCount

__all__ = [
    "GoneClass",
    "ImportInfo",
    "ImportProgress",
    "ImportRequest",
    "Preview",
    "PreviewImage",
    "ProblemCount",
    "answered",
    "cancel_import",
    "find_ended",
    "get_import",
    "gone_classes",
    "name_for",
    "preview",
    "problem_counts",
    "problems",
    "problems_csv",
    "recent_imports",
    "recognise",
    "request_again",
    "request_move",
    "run_import",
    "standing_with",
    "start_import",
]

_LONGEST_ID = 16  # digits; no database counts further


def start_import(workspace: Workspace, request: ImportRequest) -> int:
    """Queue an import and return its id; the same one asked for twice is one. Somebody must run it, see `jobs`.

    Raises:
        DatasetError: there is nothing to import, it must not be read, or the name belongs to another source.
        AnnotatorError: masks are to be taken as edits of a person without a name.
    """
    refuse_outside(workspace, Path(request.source))
    if request.take_masks:
        request = replace(request, by=sign_in(workspace, request.by))
    with workspace.database.read() as session:
        former = find_known(session, request)
    root = _existing_root(request, former)
    with workspace.database.write() as session:
        known = find_known(session, request)
        if request.unlabelled:
            request = into_known(request, known, root)
        else:
            refuse_other_root(known, root, moved=request.moved)
        if known is not None:
            request = replace(_as_before(request, known), dataset_id=known.id)
        for waiting in imports.unfinished_imports(session):
            if ImportRequest.from_json(waiting.request) == request:
                return waiting.id
        return imports.add_import(session, request.to_json())


def _as_before(request: ImportRequest, known: DatasetInfo) -> ImportRequest:
    """Return the request to read a dataset's source as it was read before.

    The format is not detected anew, since files that were put beside the images may look like another one; but images
    that were imported without labels may have been sorted into classes since.
    """
    request = request.remembering(known.options)
    former = SourceFormat(known.format)
    return request if request.format or former is SourceFormat.UNLABELLED else replace(request, format=former)


def _existing_root(request: ImportRequest, known: DatasetInfo | None) -> Path:
    """Return the real path of what is to be imported.

    Raises:
        DatasetError: there is nothing; where a dataset came from there, it may have moved.
    """
    try:
        return existing_root(Path(request.source))
    except DatasetError as error:
        if known is None or known.root != request.source:
            raise
        cure = f"if it moved, say where to: python -m app datasets move {shlex.quote(known.name)} FOLDER"
        raise DatasetError(f"{error}; {cure}") from error


def request_again(workspace: Workspace, dataset_id: int, by: str = "") -> ImportRequest:
    """Return the request that imports a dataset's source once more, as it was imported last."""
    with workspace.database.read() as session:
        info = datasets.get_dataset(session, dataset_id)
    told = {"reading": 1} | {name: value for name, value in info.options.items() if name != added.FOLDERS}
    values = {**told, "name": info.name, "source": info.root, "format": info.format}
    return ImportRequest.from_json({**values, "dataset_id": info.id, "by": by})


def request_move(workspace: Workspace, dataset_id: int, source: Path, by: str = "") -> ImportRequest:
    """Return the request that imports a dataset from the place where its images lie now."""
    return replace(request_again(workspace, dataset_id, by), source=str(source), moved=True)


def answered(info: ImportInfo, *, renamed: Sequence[str], kept: Sequence[str]) -> ImportRequest:
    """Return the request of an import that ended with a question about classes, with what became of them."""
    request = ImportRequest.from_json(info.request)
    return replace(
        request,
        renamed_classes=tuple(dict.fromkeys((*request.renamed_classes, *renamed))),
        kept_classes=tuple(dict.fromkeys((*request.kept_classes, *kept))),
    )


def gone_classes(info: ImportInfo) -> list[GoneClass]:
    """Return the classes an import asks about; it stored nothing."""
    return [GoneClass(**one) for one in (info.report or {}).get(QUESTION, [])]


def cancel_import(workspace: Workspace, import_id: int) -> None:
    """End an import that waits or runs; whoever runs it notices and stores nothing."""
    with workspace.database.write() as session:
        imports.finish_import(session, import_id, RoundStatus.CANCELLED, "Cancelled; nothing was stored.")


def get_import(workspace: Workspace, import_id: int) -> ImportInfo:
    """Return one import.

    Raises:
        DatasetError: there is none with this id.
    """
    with workspace.database.read() as session:
        return imports.get_import(session, import_id)


def find_ended(workspace: Workspace, named: str) -> ImportInfo | None:
    """Return the import an address names, None where there is none, it goes on, or the text is no number."""
    if not (named.isascii() and named.isdigit() and len(named) < _LONGEST_ID):
        return None
    with workspace.database.read() as session:
        found = imports.find_import(session, int(named))
    return found if found is not None and found.status.ended else None


def recent_imports(workspace: Workspace, limit: int = 20) -> list[ImportInfo]:
    """Return the newest imports, newest first."""
    with workspace.database.read() as session:
        return imports.latest_imports(session, limit)


def standing_with(workspace: Workspace, info: ImportInfo) -> list[int]:
    """Return imports whose problems are shown with its own, oldest first: of a dataset's last one all that stand.

    They are of the dataset's other sources, which this import has not read.
    """
    if info.dataset_id is None:
        return [info.id]
    with workspace.database.read() as session:
        standing = added.standing(session, info.dataset_id)[info.dataset_id]
    return standing if standing[-1] == info.id else [info.id]


def problem_counts(workspace: Workspace, *import_ids: int) -> list[ProblemCount]:
    """Count the problems of these imports by kind, errors first."""
    with workspace.database.read() as session:
        return imports.problem_counts(session, import_ids)


def problems(
    workspace: Workspace,
    *import_ids: int,
    severity: Severity | None = None,
    kind: str | None = None,
    text: str = "",
    limit: int | None = 1_000,
) -> list[Problem]:
    """Return the problems of these imports in the order they were met, those that fit."""
    with workspace.database.read() as session:
        return imports.problems_of(session, import_ids, severity=severity, kind=kind, text=text, limit=limit)


def problems_csv(found: list[Problem]) -> bytes:
    """Return problems as a CSV file that spreadsheets open without running anything in it."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["severity", "kind", "path", "message", "cure"])
    writer.writerows([_unarmed(str(value)) for value in asdict(problem).values()] for problem in found)
    return buffer.getvalue().encode("utf-8-sig")


def _unarmed(cell: str) -> str:
    """Return a cell no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
