"""Store what an import read: staged in short transactions, then merged in one that is short too.

A re-import adds what is new, corrects what changed, notes what vanished or came back; it never touches a given label,
a given mask or a decision. Class ids never change: new classes come after the known ones. Images are known by their
content, so what was moved or renamed keeps what is known of it.
"""

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from app.services.annotators import clean_name
from app.services.import_classes import refuse_gone
from app.services.import_masks import Masks
from app.services.import_matching import match_known, refuse_other_content
from app.services.import_mended import find_mended, take_mended
from app.services.import_report import Coming, mended_counts, report_of
from app.services.import_request import ImportRequest
from app.services.import_resized import leave_out_resized
from app.services.import_unlabelled import into_known, of_the_whole, options_with
from app.services.workspace import Workspace
from core.data.formats.source import Problems, SourceFormat, natural_order
from core.types import ClassTable, DatasetError, RoundCancelledError, RoundStatus, Task
from db.queries import added, datasets, decisions, evaluation, imports, incoming, matching, tags
from db.queries.datasets import DatasetInfo
from db.queries.incoming import NewSample

CHUNK = 4_000  # rows in one transaction: a few hundredths of a second of the write lock


@dataclass(frozen=True, slots=True)
class Ground:
    """What an import builds on: its dataset as it is when the import begins, and the import that made it so."""

    dataset_id: int = 0  # which none has: a new one
    classes: tuple[str, ...] = ()
    colours: tuple[str, ...] | None = None  # where its labels are masks
    last: int | None = None
    root: str = ""


@dataclass(frozen=True, slots=True)
class Labels:
    """The dataset's classes with those the import brings; `colours` and `masks` only where labels are masks."""

    classes: tuple[str, ...]
    colours: tuple[str, ...] | None = None
    masks: Masks | None = None


@dataclass(frozen=True, slots=True)
class Incoming:
    """What an import is about to store; `rows` yields a sample's values, its facts, and the hash of its mask."""

    root: Path
    ground: Ground
    format: SourceFormat
    labels: Labels
    rows: Iterator[list[Any]]
    problems: Problems
    seconds: float


def find_ground(workspace: Workspace, request: ImportRequest, root: Path) -> Ground:
    """Return what an import from `root` builds on.

    Raises:
        DatasetError: a dataset of this name comes from somewhere else.
    """
    with workspace.database.read() as session:
        return _ground(session, request, root)


def grown(known: tuple[str, ...], labels: set[str]) -> tuple[str, ...]:
    """Return the classes with those of `labels` that are new at their end."""
    return known + tuple(sorted(labels - set(known), key=natural_order))


def store(
    workspace: Workspace, import_id: int, request: ImportRequest, coming: Incoming, note: Callable[[int], None]
) -> int:
    """Store everything and finish the import; return the dataset's id. `note` is told how many images are staged.

    Raises:
        DatasetError: another import of the same dataset ended meanwhile.
        RoundCancelledError: the import was ended before; nothing is stored.
    """
    _stage(workspace, import_id, coming, note)
    if request.unlabelled:
        with workspace.database.write() as session:
            added.leave_out_others(session, import_id, coming.ground.dataset_id)
    if coming.ground.dataset_id:
        _match(workspace, import_id, request, coming)
    if coming.labels.masks is not None and coming.ground.dataset_id is not None:
        leave_out_resized(workspace, import_id, coming.ground.dataset_id, coming.problems, coming.labels.masks)
    number, classes = coming.ground.dataset_id, coming.labels.classes
    with workspace.database.read() as session:
        mending = None
        if coming.labels.masks is not None and number:
            mending = find_mended(workspace, session, import_id, number, classes)
        seen = Coming(
            session, import_id, number, classes, coming.problems, coming.labels.masks, mending, request.take_masks
        )
        report = {
            "format": coming.format.value,
            "window": request.window,
            "seconds": round(coming.seconds, 2),
            **report_of(seen),
        }
    write_problems(workspace, import_id, coming.problems)
    with workspace.database.write() as session:
        if _ground(session, request, coming.root) != coming.ground:
            raise DatasetError(f"another import of {request.name} ended while this one ran; import it once more")
        if mending is not None and mending.acts != decisions.newest_changeset(session):  # people went on meanwhile
            mending = find_mended(workspace, session, import_id, number, classes)
            report["mended"] = mended_counts(mending, taking=request.take_masks)
        dataset_id = _dataset(session, request, coming)
        now = datetime.now(UTC)
        if mending is not None and request.take_masks:
            take_mended(session, mending, import_id=import_id, dataset_id=dataset_id, by=clean_name(request.by), at=now)
        evaluation.take_along(session, incoming.merge(session, import_id, dataset_id, now))
        tags.take_over(session, import_id, dataset_id, now)
        report = of_the_whole(session, dataset_id, request, report)
        if not imports.finish_import(session, import_id, RoundStatus.DONE, dataset_id=dataset_id, report=report):
            raise RoundCancelledError("the import was cancelled elsewhere")
    return dataset_id


def clear_staged(workspace: Workspace, import_id: int) -> None:
    """Remove what this import, or one that was killed, has staged."""
    removed = CHUNK
    while removed == CHUNK:
        with workspace.database.write() as session:
            removed = incoming.unstage(session, import_id, CHUNK)


def write_problems(workspace: Workspace, import_id: int, problems: Problems) -> None:
    """Write an import's problems in place of those of an earlier try."""
    with workspace.database.write() as session:
        imports.remove_problems(session, import_id)
    for start in range(0, len(problems.kept), CHUNK):
        with workspace.database.write() as session:
            imports.add_problems(session, import_id, problems.kept[start : start + CHUNK])


def refuse_other_root(known: DatasetInfo | None, root: Path, *, moved: bool) -> None:
    """Check that a re-import comes from where the dataset came from, or that this place is gone or leads here.

    Raises:
        DatasetError: it does not; every sample would seem to have vanished.
    """
    if known is None or moved or known.root == str(root):
        return
    former = Path(known.root)
    if former.exists() and former.resolve() != root:
        raise DatasetError(
            f"there is a dataset {known.name} already, and it comes from {known.root}; choose another name or, "
            f"if its images lie in {root} now, move it there: python -m app datasets move {shlex.quote(known.name)} "
            f"{shlex.quote(str(root))}"
        )


def refuse_other_labels(ground: Ground, table: ClassTable | None) -> None:
    """Check that a re-import brings the kind of labels the dataset has.

    Raises:
        DatasetError: it does not.
    """
    if ground.dataset_id and (ground.colours is None) != (table is None):
        was, now = ("masks", "classes of images") if table is None else ("classes of images", "masks")
        raise DatasetError(
            f"the labels of this dataset are {was}, those of its source {now} now; "
            "choose the format it was imported as, or another name"
        )


def as_before(request: ImportRequest, known: DatasetInfo) -> ImportRequest:
    """Return the request to read a dataset's source as it was read before.

    The format is not detected anew, since files that were put beside the images may look like another one; but images
    that were imported without labels may have been sorted into classes since.
    """
    request = request.remembering(known.options)
    former = SourceFormat(known.format)
    detect = request.format or request.forget_answers or former is SourceFormat.UNLABELLED
    return request if detect else replace(request, format=former)


def find_known(session: Session, request: ImportRequest) -> DatasetInfo | None:
    """Return the dataset a request is about: the one it names by its id, else the one of its name."""
    if request.dataset_id is not None:
        return datasets.get_dataset(session, request.dataset_id)
    return datasets.find_dataset(session, request.name)


def _ground(session: Session, request: ImportRequest, root: Path) -> Ground:
    known = find_known(session, request)
    if request.unlabelled:
        into_known(request, known, root)
    else:
        refuse_other_root(known, root, moved=request.moved)
    if known is None:
        return Ground()
    return Ground(known.id, known.classes, known.colours, imports.last_done(session, known.id), known.root)


def _match(workspace: Workspace, import_id: int, request: ImportRequest, coming: Incoming) -> None:
    """Find the dataset's images among those staged, and refuse what a person has to be asked about first."""
    number = coming.ground.dataset_id
    match_known(workspace, import_id, number)
    if request.unlabelled:
        return
    if coming.ground.root != str(coming.root):
        refuse_other_content(workspace, import_id, number, moved=request.moved)
    if coming.labels.masks is None:
        with workspace.database.read() as session:
            lost = matching.lost_labels(session, import_id, number)
            kept = datasets.get_dataset(session, number).options.get("kept_classes", [])
        refuse_gone(lost, coming.labels.classes, len(coming.ground.classes), (*kept, *request.kept_classes))


def _stage(workspace: Workspace, import_id: int, coming: Incoming, note: Callable[[int], None]) -> None:
    ids = {name: number for number, name in enumerate(coming.labels.classes)}
    staged = 0
    while chunk := list(islice(coming.rows, CHUNK)):
        with workspace.database.write() as session:
            incoming.stage(session, import_id, [_sample(row, ids, coming) for row in chunk])
        staged += len(chunk)
        note(staged)


def _sample(row: list[Any], ids: dict[str, int], coming: Incoming) -> NewSample:
    path, name, label, split, group, _, tags, differing, content_hash, width, height, size, grey, looks, mask_hash = row
    number = None if label is None else ids[label]
    shown = _tags(tags, name, ids, coming) if tags else None
    facts = content_hash, width, height, size, grey, looks
    return NewSample(path, name, number, mask_hash, split, group, *facts, differing, shown)


def _tags(names: list[str], image: str, ids: dict[str, int], coming: Incoming) -> list[int] | None:
    """Return the classes that an image's tags name; None where one is no class, or where labels need no tags."""
    unknown = [name for name in names if name not in ids]
    if coming.labels.masks is None:
        coming.problems.warn(
            "tags without masks", image, "the labels are classes, which need no tags; they are passed over", "nothing"
        )
        return None
    if unknown:
        coming.problems.error(
            "unknown tag",
            image,
            f"{', '.join(unknown)} {'is' if len(unknown) == 1 else 'are'} no class of the masks; it comes without tags",
            f"write names of classes, one of {', '.join(list(ids)[:20])}",
        )
        return None
    return sorted(ids[name] for name in names)


def _dataset(session: Session, request: ImportRequest, coming: Incoming) -> int:
    """Write the dataset's row and return its id."""
    known = datasets.get_dataset(session, coming.ground.dataset_id) if coming.ground.dataset_id else None
    values: dict[str, Any] = {
        "format": coming.format.value,
        "classes": list(coming.labels.classes),
        "colours": None if coming.labels.colours is None else list(coming.labels.colours),
        "options": options_with(known, request),
    }
    if request.unlabelled:
        del values["format"]
    else:
        values["root"] = str(coming.root)
    if coming.ground.dataset_id:
        datasets.change_dataset(session, coming.ground.dataset_id, values)
        return coming.ground.dataset_id
    task = Task.CLASSIFICATION if coming.labels.colours is None else Task.SEGMENTATION
    new = {"name": request.name, "task": task, **values}
    return datasets.add_dataset(session, {**new, "created_at": datetime.now(UTC)})
