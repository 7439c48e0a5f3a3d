"""Storage of an import: staged in short transactions, then merged into the dataset in another short one.

A re-import adds new images, corrects changed ones, notes missing and returned ones; it never touches a given label, a
given mask or a decision. Class ids never change: new classes come after the known ones. Images are known by their
content, so moved and renamed ones keep their labels and decisions.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from app.services.annotators import clean_name
from app.services.app_context import AppContext
from app.services.imports.classes import refuse_gone, source_names
from app.services.imports.masks import CorrectedMask, ImportedMasks, accept_corrected, find_corrected, leave_out_resized
from app.services.imports.matching import match_known, refuse_other_content
from app.services.imports.report import StagedImport, count_corrected, report_of, whole_report
from app.services.imports.request import ImportRequest, merge_options, request_addition
from app.services.removals import show
from core.data.formats.source import Problems, SourceFormat, natural_order
from core.types import ClassTable, Cure, DatasetError, JobStatus, RoundCancelledError, Task
from db.queries import datasets, decisions, deletions, evaluation, imports, incoming, tags
from db.queries.datasets import DatasetInfo

CHUNK = 4_000  # rows in one transaction: a few hundredths of a second of the write lock


@dataclass(frozen=True, slots=True)
class TargetDataset:
    """The target dataset as it is when the import starts; its last import is `last`."""

    dataset_id: int = 0  # no dataset's: a new one
    classes: tuple[str, ...] = ()
    colours: tuple[str, ...] | None = None  # if its labels are masks
    last: int | None = None
    root: str = ""
    format: str = ""  # format of its import


@dataclass(frozen=True, slots=True)
class ImportContent:
    """Staged content of an import; `rows` yields a sample's values, its facts, and the hash of its mask.

    `classes` are the dataset's with those the import brings; `colours` and `masks` only where labels are masks.
    """

    root: Path
    target: TargetDataset
    format: SourceFormat
    classes: tuple[str, ...]
    colours: tuple[str, ...] | None
    masks: ImportedMasks | None
    rows: Iterator[list[Any]]
    problems: Problems
    seconds: float


def find_target(app_context: AppContext, request: ImportRequest, root: Path) -> TargetDataset:
    """Return the dataset that an import from `root` goes into.

    Raises:
        DatasetError: a dataset of this name comes from somewhere else.
    """
    with app_context.database.read() as session:
        return _target(session, request, root)


def extend_classes(known: tuple[str, ...], labels: set[str]) -> tuple[str, ...]:
    """Return the classes followed by the new ones of `labels`."""
    return known + tuple(sorted(labels - set(known), key=natural_order))


def store(
    app_context: AppContext, import_id: int, request: ImportRequest, content: ImportContent, note: Callable[[int], None]
) -> int:
    """Store everything and finish the import; return the dataset's id. `note` gets the number of images staged so far.

    Raises:
        DatasetError: another import of the same dataset ended meanwhile.
        RoundCancelledError: the import was ended before; nothing is stored.
    """
    _stage(app_context, import_id, content, note)
    if request.unlabelled:
        with app_context.database.write() as session:
            imports.leave_out_others(session, import_id, content.target.dataset_id)
    if content.target.dataset_id:
        _match(app_context, import_id, request, content)
    stays_removed = _leave_removed(app_context, import_id, request, content) if content.target.dataset_id else 0
    if content.masks is not None and content.target.dataset_id:
        leave_out_resized(app_context, import_id, content.target.dataset_id, content.problems, content.masks)
    number, classes = content.target.dataset_id, content.classes
    with app_context.database.read() as session:
        acts = decisions.newest_changeset(session)
        mending: list[CorrectedMask] | None = None
        if content.masks is not None and number:
            mending = find_corrected(app_context, session, import_id, number, classes)
        seen = StagedImport(
            session, import_id, number, classes, content.problems, content.masks, mending, request.take_masks
        )
        report = {
            "format": content.format.value,
            "window": request.window,
            "seconds": round(content.seconds, 2),
            **report_of(seen),
            **({"stays_removed": stays_removed} if stays_removed else {}),
        }
    write_problems(app_context, import_id, content.problems)
    with app_context.database.write() as session:
        if _target(session, request, content.root) != content.target:
            raise DatasetError(
                f"another import of {request.name} ended or its classes changed while this one ran",
                "import it once more",
            )
        if mending is not None and acts != decisions.newest_changeset(session):  # people may have acted meanwhile
            mending = find_corrected(app_context, session, import_id, number, classes)
            report["mended"] = count_corrected(mending, taking=request.take_masks)
        before = _columns(session, number) if number else None
        dataset_id = _dataset(session, request, content)
        now = datetime.now(UTC)
        if number:
            _bring_back(app_context, session, import_id, number, now)
        if mending is not None and request.take_masks:
            accept_corrected(
                session, mending, import_id=import_id, dataset_id=dataset_id, by=clean_name(request.by), at=now
            )
        evaluation.take_along(session, incoming.merge(session, import_id, dataset_id, now))
        tags.take_over(session, import_id, dataset_id, now)
        report = whole_report(session, dataset_id, request, report)
        after = _columns(session, dataset_id)
        change = (
            {imports.MADE: True}
            if before is None
            else {name: [before[name], after[name]] for name in before if before[name] != after[name]}
        )
        ended: dict[str, Any] = {"dataset_id": dataset_id, "report": report, "dataset_change": change}
        if not imports.finish_import(session, import_id, JobStatus.DONE, **ended):
            raise RoundCancelledError("the import was cancelled elsewhere")
    return dataset_id


def _columns(session: Session, dataset_id: int) -> dict[str, Any]:
    info = datasets.get_dataset(session, dataset_id)
    return {name: getattr(info, name) for name in imports.DATASET_COLUMNS}


def _leave_removed(app_context: AppContext, import_id: int, request: ImportRequest, content: ImportContent) -> int:
    """Leave out the staged images that people removed, unless they are to be restored; return their number."""
    number = content.target.dataset_id
    with app_context.database.read() as session:
        by_hand = deletions.removals_by_people(session, number)
        found = incoming.removed_ones(session, import_id, number)
    left = [path for _, path, deletion in found if deletion in by_hand]
    if request.bring_back:
        return 0
    for start in range(0, len(left), CHUNK):
        with app_context.database.write() as session:
            incoming.leave_out(session, import_id, left[start : start + CHUNK])
    return len(left)


def _bring_back(app_context: AppContext, session: Session, import_id: int, dataset_id: int, now: datetime) -> None:
    """Restore staged images that were removed; those of an undone import with their current labels."""
    by_hand = deletions.removals_by_people(session, dataset_id)
    found = incoming.removed_ones(session, import_id, dataset_id)
    own = {"import_id": import_id, "vanished_at": None}
    of_hand = [sample for sample, _, deletion in found if deletion in by_hand]
    of_import = [sample for sample, _, deletion in found if deletion not in by_hand]
    show(app_context, session, dataset_id, of_hand, own)
    show(app_context, session, dataset_id, of_import, own | {"label": None, "mask_hash": None, "imported_at": now})
    for deletion in {deletion for _, _, deletion in found} & by_hand:
        if not deletions.images_hidden_by(session, deletion):
            deletions.set_restored(session, deletion, now)


def clear_staged(app_context: AppContext, import_id: int) -> None:
    """Remove the staged rows of this import, of a killed run too."""
    removed = CHUNK
    while removed == CHUNK:
        with app_context.database.write() as session:
            removed = incoming.unstage(session, import_id, CHUNK)


def write_problems(app_context: AppContext, import_id: int, problems: Problems) -> None:
    """Write an import's problems, replacing those of an earlier attempt."""
    with app_context.database.write() as session:
        imports.remove_problems(session, import_id)
    for start in range(0, len(problems.kept), CHUNK):
        with app_context.database.write() as session:
            imports.add_problems(session, import_id, problems.kept[start : start + CHUNK])


def refuse_other_root(known: DatasetInfo | None, root: Path, *, moved: bool) -> None:
    """Check that a re-import has the source of the dataset, or that the former source is gone or links here.

    Raises:
        DatasetError: it does not; every sample would seem to have vanished.
    """
    if known is None or moved or known.root == str(root):
        return
    former = Path(known.root)
    if former.exists() and former.resolve() != root:
        raise DatasetError(
            f"there is a dataset {known.name} already, and it comes from {known.root}",
            f"choose another name or, if its images lie in {root} now: {Cure.MOVE}",
        )


def refuse_other_labels(target: TargetDataset, table: ClassTable | None) -> None:
    """Check that a re-import has the dataset's kind of labels.

    Raises:
        DatasetError: it does not.
    """
    if target.dataset_id and (target.colours is None) != (table is None):
        was, now = ("masks", "classes of images") if table is None else ("classes of images", "masks")
        raise DatasetError(
            f"the labels of this dataset are {was}, those of its source {now} now",
            "choose the format it was imported as, or another name",
        )


def with_former_options(request: ImportRequest, known: DatasetInfo) -> ImportRequest:
    """Return the request to read a dataset's source as before.

    The format is not detected anew, since files that were put beside the images may look like another one; but images
    that were imported without labels may have been sorted into classes since.
    """
    request = request.remembering(known.options)
    former = SourceFormat(known.format)
    detect = request.format or request.forget_answers or former is SourceFormat.UNLABELLED
    return request if detect else replace(request, format=former)


def find_known(session: Session, request: ImportRequest) -> DatasetInfo | None:
    """Return the dataset of a request: by id if given, else by name."""
    if request.dataset_id is not None:
        return datasets.get_dataset(session, request.dataset_id)
    return datasets.find_dataset(session, request.name)


def _target(session: Session, request: ImportRequest, root: Path) -> TargetDataset:
    known = find_known(session, request)
    if request.unlabelled:
        request_addition(request, known, root)
    else:
        refuse_other_root(known, root, moved=request.moved)
    if known is None:
        return TargetDataset()
    return TargetDataset(
        known.id, known.classes, known.colours, imports.last_done(session, known.id), known.root, known.format
    )


def former_class_names(app_context: AppContext, request: ImportRequest) -> Mapping[str, str]:
    """Return the current name of each renamed class, by the names that its source may still use."""
    with app_context.database.read() as session:
        known = find_known(session, request)
        return {} if known is None else source_names(session, known)


def refuse_class_acts(
    app_context: AppContext, request: ImportRequest, present: Mapping[str, str], names: Iterable[str]
) -> None:
    """Refuse classes that contradict acts on the dataset's classes; `present` are the names they were read by.

    Raises:
        DatasetError: a class was renamed since the import began, the source brings one whose addition was undone, or
            one is to be renamed that people renamed or merged.
    """
    with app_context.database.read() as session:
        known = find_known(session, request)
        if known is None:
            return
        if source_names(session, known) != present:
            raise DatasetError(f"the classes of {known.name} changed while this import ran", "import it once more")
        of_people = {*present.values(), *(known.classes[number] for number in known.merged_classes)}
    for rename in request.renamed_classes:
        renamed = next((name for name in of_people if rename.startswith(f"{name}=")), None)
        if renamed is not None:
            raise DatasetError(
                f"{rename}: people renamed or merged the class {renamed}",
                f"undo that, or rename it again: {Cure.RENAME_CLASS}; then import",
            )
    taken_back = {known.classes[number] for number in known.retired_classes}
    found = sorted(taken_back & set(names))
    if found:
        raise DatasetError(
            f"the source has the class {found[0]}, whose addition to {known.name} was undone",
            "add it again, then import",
        )


def _match(app_context: AppContext, import_id: int, request: ImportRequest, content: ImportContent) -> None:
    """Match staged images with the dataset's, and refuse an import with open questions."""
    number = content.target.dataset_id
    match_known(app_context, import_id, number)
    if request.unlabelled:
        return
    if content.target.root != str(content.root):
        refuse_other_content(app_context, import_id, number, moved=request.moved)
    if content.masks is None:
        with app_context.database.read() as session:
            lost = incoming.lost_labels(session, import_id, number)
            kept = datasets.get_dataset(session, number).options.get("kept_classes", [])
        refuse_gone(lost, content.classes, len(content.target.classes), (*kept, *request.kept_classes))


def _stage(app_context: AppContext, import_id: int, content: ImportContent, note: Callable[[int], None]) -> None:
    ids = {name: number for number, name in enumerate(content.classes)}
    staged = 0
    while chunk := list(islice(content.rows, CHUNK)):
        with app_context.database.write() as session:
            incoming.stage(session, import_id, [_columns_of(row, ids, content) for row in chunk])
        staged += len(chunk)
        note(staged)


def _columns_of(row: list[Any], ids: dict[str, int], content: ImportContent) -> dict[str, Any]:
    path, name, label, split, group, _, tags, differing, content_hash, width, height, size, grey, looks, mask_hash = row
    return {
        "path": path,
        "name": name,
        "label": None if label is None else ids[label],
        "mask_hash": mask_hash,
        "split": split,
        "group": group,
        "content_hash": content_hash,
        "width": width,
        "height": height,
        "bytes": size,
        "grey": grey,
        "look_hash": looks,
        "annotators_differ": differing,
        "tags": _tags(tags, name, ids, content) if tags else None,
    }


def _tags(names: list[str], image: str, ids: dict[str, int], content: ImportContent) -> list[int] | None:
    """Return the classes that an image's tags name; None if one is not a class, or where labels need no tags."""
    unknown = [name for name in names if name not in ids]
    if content.masks is None:
        content.problems.warn(
            "tags without masks", image, "the labels are classes, which need no tags; they are passed over", "nothing"
        )
        return None
    if unknown:
        content.problems.error(
            "unknown tag",
            image,
            f"{', '.join(unknown)} {'is not a class' if len(unknown) == 1 else 'are not classes'} of the "
            "masks; it comes without tags",
            f"write names of classes, one of {', '.join(list(ids)[:20])}",
        )
        return None
    return sorted(ids[name] for name in names)


def _dataset(session: Session, request: ImportRequest, content: ImportContent) -> int:
    """Write the dataset's row and return its id."""
    known = datasets.get_dataset(session, content.target.dataset_id) if content.target.dataset_id else None
    values: dict[str, Any] = {
        "format": content.format.value,
        "classes": list(content.classes),
        "colours": None if content.colours is None else list(content.colours),
        "options": merge_options(known, request),
    }
    if request.unlabelled:
        del values["format"]
    else:
        values["root"] = str(content.root)
    if content.target.dataset_id:
        datasets.change_dataset(session, content.target.dataset_id, values)
        return content.target.dataset_id
    task = Task.CLASSIFICATION if content.colours is None else Task.SEGMENTATION
    new = {"name": request.name, "task": task, **values}
    return datasets.add_dataset(session, {**new, "created_at": datetime.now(UTC)})
