"""Imports: preview, start, progress, repetition, cancellation, and the problems found.

`run_import` does the work wherever it is called: by the worker, the command line, a test. `start_import` queues one for
the worker; `add_import` stores a queued one, which the caller then runs.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from app.services import jobs
from app.services.allowed import refuse_outside
from app.services.annotators import sign_in
from app.services.app_context import AppContext
from app.services.imports.buckets import as_in_rows, path_in_rows, with_listed_buckets
from app.services.imports.classes import QUESTION, GoneClass
from app.services.imports.preview import ImportPreview, preview, recognise
from app.services.imports.request import ImportRequest, propose_name, request_addition
from app.services.imports.run import OPEN_QUESTIONS, run_import
from app.services.imports.store import find_known, refuse_other_root, with_former_options
from app.services.members import refuse_hidden_name
from core.data.formats.source import Question, existing_root
from core.types import Cure, DatasetError, JobStatus, Problem, Severity, from_json_values
from db.queries import datasets, imports
from db.queries.datasets import DatasetInfo
from db.queries.imports import ImportInfo

__all__ = [
    "GoneClass",
    "ImportInfo",
    "ImportPreview",
    "ImportRequest",
    "add_import",
    "end_import",
    "find_ended_import",
    "get_import",
    "gone_classes",
    "imports_with_problems",
    "move_request",
    "open_questions",
    "preview",
    "problem_counts",
    "problems",
    "problems_csv",
    "propose_name",
    "recent_imports",
    "recognise",
    "repeat_request",
    "request_with_answers",
    "run_import",
]
_LONGEST_ID = 16  # digits; no database counts further


def add_import(app_context: AppContext, request: ImportRequest) -> int:
    """Queue an import and return its id; an equal request is queued once. The caller or `start_import` runs it.

    Raises:
        DatasetError: there is nothing to import, it must not be read, or the name belongs to another source.
        AnnotatorError: masks are to be accepted as edits without a person's name.
    """
    request = with_listed_buckets(app_context, request)
    refuse_outside(app_context, Path(request.source))
    refuse_hidden_name(app_context, request.name)
    if request.take_masks:
        request = replace(request, by=sign_in(app_context, request.by))
    with app_context.database.read() as session:
        former = find_known(session, request)
    root = Path(path_in_rows(app_context, str(_existing_root(request, former))))
    request = as_in_rows(app_context, request)
    with app_context.database.write() as session:
        known = find_known(session, request)
        if request.unlabelled:
            request = request_addition(request, known, root)
        else:
            refuse_other_root(known, root, moved=request.moved)
        if known is not None:
            request = replace(with_former_options(request, known), dataset_id=known.id)
        for waiting in imports.unfinished_imports(session):
            if ImportRequest.from_json(waiting.request) == request:
                return waiting.id
        return imports.add_import(session, request.to_json())


def repeat_request(app_context: AppContext, dataset_id: int, by: str = "") -> ImportRequest:
    """Return the request to import a dataset's source again with its last options."""
    with app_context.database.read() as session:
        info = datasets.get_dataset(session, dataset_id)
    known = {"reading": 1} | {name: value for name, value in info.options.items() if name != imports.UNLABELLED_FOLDERS}
    values = {**known, "name": info.name, "source": info.root, "format": info.format}
    return ImportRequest.from_json({**values, "dataset_id": info.id, "by": by})


def move_request(app_context: AppContext, dataset_id: int, source: Path, by: str = "") -> ImportRequest:
    """Return the request to import a dataset from the new location of its images."""
    return replace(repeat_request(app_context, dataset_id, by), source=str(source), moved=True)


def request_with_answers(info: ImportInfo, *, renamed: Sequence[str], kept: Sequence[str]) -> ImportRequest:
    """Return the request of an import that ended with a question about classes, with the answers."""
    request = ImportRequest.from_json(info.request)
    return replace(
        request,
        renamed_classes=tuple(dict.fromkeys((*request.renamed_classes, *renamed))),
        kept_classes=tuple(dict.fromkeys((*request.kept_classes, *kept))),
    )


def open_questions(info: ImportInfo) -> list[Question]:
    """Return the questions on masks an import ended with; it stored nothing."""
    questions = (info.report or {}).get(OPEN_QUESTIONS, [])
    return [from_json_values(Question, one) for one in questions]


def gone_classes(info: ImportInfo) -> list[GoneClass]:
    """Return the classes an import asks about; it stored nothing."""
    return [GoneClass(**one) for one in (info.report or {}).get(QUESTION, [])]


def end_import(app_context: AppContext, import_id: int) -> None:
    """Cancel a waiting or running import; the process that runs it notices and stores nothing."""
    with app_context.database.write() as session:
        imports.finish_import(session, import_id, JobStatus.CANCELLED, "Cancelled; nothing was stored.")


def get_import(app_context: AppContext, import_id: int) -> ImportInfo:
    """Return one import.

    Raises:
        DatasetError: there is none with this id.
    """
    with app_context.database.read() as session:
        return imports.get_import(session, import_id)


def find_ended_import(app_context: AppContext, text: str) -> ImportInfo | None:
    """Return the ended import with the id in an address, None if there is none or the text is not an id."""
    if not (text.isascii() and text.isdigit() and len(text) < _LONGEST_ID):
        return None
    with app_context.database.read() as session:
        found = imports.find_import(session, int(text))
    return found if found is not None and found.status.ended else None


def recent_imports(app_context: AppContext, limit: int = 20) -> list[ImportInfo]:
    """Return the newest imports, newest first."""
    with app_context.database.read() as session:
        return imports.latest_imports(session, limit)


def imports_with_problems(app_context: AppContext, info: ImportInfo) -> list[int]:
    """Return imports whose problems are shown with this one's, oldest first.

    For a dataset's last import, these are those of its other sources, which it has not read.
    """
    if info.dataset_id is None:
        return [info.id]
    with app_context.database.read() as session:
        current = imports.current_problem_imports(session, info.dataset_id)[info.dataset_id]
    return current if current[-1] == info.id else [info.id]


def problem_counts(app_context: AppContext, *import_ids: int) -> list[tuple[Severity, str, int]]:
    """Return (severity, kind, count) of the problems of these imports, errors first."""
    with app_context.database.read() as session:
        return imports.problem_counts(session, import_ids)


def problems(
    app_context: AppContext,
    *import_ids: int,
    severity: Severity | None = None,
    kind: str | None = None,
    text: str = "",
    limit: int | None = 1_000,
) -> list[Problem]:
    """Return the matching problems of these imports in the order of the files."""
    with app_context.database.read() as session:
        return imports.problems_of(session, import_ids, severity=severity, kind=kind, text=text, limit=limit)


def problems_csv(found: list[Problem]) -> bytes:
    """Return problems as a CSV file with formulas escaped for spreadsheets."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["severity", "kind", "path", "message", "cure"])
    writer.writerows([_unarmed(str(value)) for value in asdict(problem).values()] for problem in found)
    return buffer.getvalue().encode("utf-8-sig")


def start_import(app_context: AppContext, request: ImportRequest) -> int:
    """Queue an import, hand it to the worker and return its id; an equal request is queued once.

    Raises:
        DatasetError: there is nothing to import, see `start_import`.
    """
    import_id = add_import(app_context, request)
    jobs.enqueue_import(app_context, import_id)
    return import_id


def repeat_import(app_context: AppContext, dataset_id: int) -> int:
    """Import a dataset's source again with its last options, and return the import's id.

    Raises:
        DatasetError: the source is gone, see `start_import`.
    """
    return start_import(app_context, repeat_request(app_context, dataset_id))


def take_masks(app_context: AppContext, dataset_id: int, by: str) -> int:
    """Import a dataset's source again, accept masks corrected there as edits, and return the import's id.

    Raises:
        DatasetError: the source is gone, see `start_import`.
    """
    return start_import(app_context, replace(repeat_request(app_context, dataset_id, by), take_masks=True))


def bring_back(app_context: AppContext, dataset_id: int) -> int:
    """Import a dataset's source again with the images that people removed, and return the import's id.

    Raises:
        DatasetError: the source is gone, see `start_import`.
    """
    return start_import(app_context, replace(repeat_request(app_context, dataset_id), bring_back=True))


def move_dataset(app_context: AppContext, dataset_id: int, source: Path, image_root: str = "") -> int:
    """Import a dataset from the new location of its images, and return the import's id.

    `image_root` is the folder of a table's images, "" for the one that the dataset had.

    Raises:
        DatasetError: there is nothing, see `start_import`.
    """
    request = move_request(app_context, dataset_id, source)
    return start_import(app_context, replace(request, image_root=image_root or request.image_root))


def cancel_import(app_context: AppContext, import_id: int) -> None:
    """Cancel an import at any stage; nothing of it is stored."""
    end_import(app_context, import_id)
    jobs.cancel_import(app_context, import_id)


def _existing_root(request: ImportRequest, known: DatasetInfo | None) -> Path:
    """Return the real path of the source.

    Raises:
        DatasetError: there is nothing; where a dataset came from there, it may have moved.
    """
    try:
        return existing_root(Path(request.source))
    except DatasetError as error:
        if known is None or known.root != request.source:
            raise
        cures = filter(None, (error.cure, f"if it moved: {Cure.MOVE}"))
        raise DatasetError(error.message, "; ".join(cures)) from error


def _unarmed(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
