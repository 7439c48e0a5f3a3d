"""Import of unlabelled images into an existing dataset, whose classes and labels stay."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from app.services.imports.request import ImportRequest
from core.data.formats.source import SourceFormat
from core.types import DatasetError, SourceSample
from db.queries import datasets, imports
from db.queries.datasets import DatasetInfo


def request_addition(request: ImportRequest, known: DatasetInfo | None, root: Path) -> ImportRequest:
    """Return the request to add `root` to the dataset it names.

    Raises:
        DatasetError: there is no such dataset, or its own images lie in this folder, or this folder among them.
    """
    if known is None:
        raise DatasetError(f"there is no dataset {request.name} to add images to", "import the labelled ones first")
    own = Path(known.root)
    if root in (own, *own.parents) or own in root.parents:
        raise DatasetError(
            f"{root} and {known.root}, where {known.name} comes from, lie in each other",
            "move the images without labels out of it, or import that folder again",
        )
    return replace(request, source=str(root), format=SourceFormat.UNLABELLED)


def as_unlabelled(samples: Iterator[SourceSample], root: Path) -> Iterator[SourceSample]:
    """Yield the samples of an added folder, with names that differ from those of the dataset's own."""
    for sample in samples:
        yield replace(sample, name=f"{root.name}/{sample.name}", split=imports.UNLABELLED_SPLIT, label=None, mask=None)


def merge_options(known: DatasetInfo | None, request: ImportRequest) -> dict[str, Any]:
    """Return the dataset's stored import options, with the folders that were added to it."""
    folders = imports.added_folders(None if known is None else known.options)
    if known is not None and request.unlabelled:
        return {**known.options, imports.UNLABELLED_FOLDERS: sorted({*folders, request.source})}
    kept = {} if known is None else {"kept_classes": [*known.options.get("kept_classes", []), *request.kept_classes]}
    return ImportRequest.remembered(request.to_json() | kept) | (
        {imports.UNLABELLED_FOLDERS: folders} if folders else {}
    )


def whole_report(session: Session, dataset_id: int, request: ImportRequest, report: dict[str, Any]) -> dict[str, Any]:
    """Return an import's report with the figures of the whole dataset, where folders were added to it.

    Splits are the present ones, the one drawn for evaluation among them. An added folder has neither classes nor
    covers, so these are the ones of the import before.
    """
    found = imports.count_images(session, dataset_id)
    if not imports.added_folders(datasets.get_dataset(session, dataset_id).options):
        return report | {"splits": found["splits"]}
    before = _last_report(session, dataset_id) if request.unlabelled else report
    classes = {name: count for name, count in before.get("classes", {}).items() if name}
    whole = report | {"images": found["images"], "splits": found["splits"]}
    whole["classes"] = classes | ({"": found["unlabelled"]} if found["unlabelled"] else {})
    kept = {name: before[name] for name in ("masks", "covers") if name in before}
    return whole | (kept if request.unlabelled else {})


def _last_report(session: Session, dataset_id: int) -> dict[str, Any]:
    last = imports.last_done(session, dataset_id)
    return {} if last is None else imports.get_import(session, last).report or {}
