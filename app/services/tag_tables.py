"""Tags of many images at once: a table `path,tags` in and out, and what the masks themselves say."""

import csv
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePath

from app.services import masks
from app.services.allowed import refuse_outside
from app.services.workspace import Workspace
from core.data.export.predicted import refuse_target
from core.data.formats.paths import plain_path
from core.data.formats.rows import PATH_NAMES, TAG_NAMES
from core.data.formats.source import Problems
from core.data.formats.table import open_table
from core.data.formats.tags import joined_tags, split_tags
from core.data.masks.store import MaskStore, classes_in
from core.data.storage import atomic_path
from core.types import DatasetError, Problem
from db.queries import datasets, tags
from db.queries.tags import NewTagging

BY_IMPORT, BY_MASK = "an import", "the mask"


@dataclass(frozen=True, slots=True)
class ImagesTags:
    """Tags of one image and their source: a person's name, `BY_IMPORT`, or `BY_MASK`."""

    sample_id: int
    name: str
    classes: list[int]
    by: str


@dataclass(frozen=True, slots=True)
class TagsImported:
    """Result of an import of tags: images that got tags, had them, or keep those of people; and problems."""

    stored: int
    unchanged: int
    kept: int  # people say otherwise
    problems: list[Problem]


def known_tags(workspace: Workspace, dataset_id: int, *, from_masks: bool = False) -> list[ImagesTags]:
    """Return the tags of a dataset's images; with `from_masks` also what the masks of all others show as they are now.

    Raises:
        DatasetError: its labels are classes, or a mask is damaged.
    """
    info = masks_dataset(workspace, dataset_id)
    with workspace.database.read() as session:
        said = tags.tags_by_sample(session, info.id)
        images = tags.names_and_masks(session, info.id)
    resolved = masks.resolved(workspace, info.id) if from_masks else {}
    store = MaskStore(workspace.masks)
    found = []
    for sample_id, name, given in images:
        if sample_id in said:
            one = said[sample_id]
            found.append(ImagesTags(sample_id, name, one.classes or [], one.annotator or BY_IMPORT))
        elif from_masks and (mask := resolved[sample_id].mask_hash if sample_id in resolved else given):
            found.append(ImagesTags(sample_id, name, classes_in(store.get(mask)), BY_MASK))
    return found


def import_tags(workspace: Workspace, dataset_id: int, table: Path, *, over_people: bool = False) -> TagsImported:
    """Store the tags of a table `path,tags`; what is there already is stored once, what people said stays.

    Images are named by their path, absolute or relative to the dataset or to the table, or by the end of it where
    that is one image's alone. An empty cell says nothing. `over_people`: the table outweighs what people said.

    Raises:
        DatasetError: the table cannot be read, must not be, or lacks a column; or the dataset's labels are classes.
    """
    refuse_outside(workspace, table)
    info = masks_dataset(workspace, dataset_id)
    problems = Problems()
    with workspace.database.read() as session:
        ids = tags.sample_ids(session, dataset_id)
    rows = dict(_read(table, ids, info.classes, problems))
    stored = unchanged = kept = 0
    new = []
    now = datetime.now(UTC)
    with workspace.database.write() as session:
        said = tags.tags_by_sample(session, dataset_id)
        for sample_id, classes in rows.items():
            present = said.get(sample_id)
            if present is not None and present.classes == classes:
                unchanged += 1
            elif present is not None and present.annotator is not None and not over_people:
                kept += 1
            else:
                new.append(NewTagging(sample_id=sample_id, classes=classes, tagged_at=now))
                stored += 1
        tags.add_taggings(session, new)
    return TagsImported(stored, unchanged, kept, problems.kept)


def export_tags(workspace: Workspace, dataset_id: int, table: Path, *, from_masks: bool = False) -> int:
    """Write a dataset's tags as a CSV that `import_tags` reads back; return the number of rows.

    Raises:
        DatasetError: it must not be written there, or the dataset's labels are classes.
        ExportError: something is there already, an original perhaps.
    """
    refuse_outside(workspace, table)
    refuse_target(table, (".csv",))
    info = masks_dataset(workspace, dataset_id)
    found = known_tags(workspace, dataset_id, from_masks=from_masks)
    with atomic_path(table) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["path", "tags", "by"])
        for one in found:
            writer.writerow([one.name, joined_tags([info.classes[number] for number in one.classes]), one.by])
    return len(found)


def masks_dataset(workspace: Workspace, dataset_id: int) -> datasets.DatasetInfo:
    """Return a dataset whose labels are masks.

    Raises:
        DatasetError: there is none with this id, or its labels are classes.
    """
    with workspace.database.read() as session:
        info = datasets.get_dataset(session, dataset_id)
    if info.colours is None:
        raise DatasetError(f"the labels of {info.name} are classes, which need no tags; choose a dataset with masks")
    return info


def _read(
    table: Path, ids: Mapping[str, int], classes: tuple[str, ...], problems: Problems
) -> Iterator[tuple[int, list[int]]]:
    """Yield (image, classes) of the rows that say something; what is wrong with the others goes into `problems`."""
    opened = open_table(table)
    path, tags_column = opened.find("", PATH_NAMES), opened.find("", TAG_NAMES)
    if path is None or tags_column is None:
        lacking = "path of the image; call it `path`" if path is None else "tags; call it `tags`"
        raise DatasetError(f"{table.name}: no column holds the {lacking}. {opened.described}")
    number_of = {name: number for number, name in enumerate(classes)}
    ends = _ends(ids)
    for number, row in opened.rows:
        where = f"{table.name}, row {number}"
        written = None if row is None else row.get(path)
        if row is None or written is None:
            problems.error("damaged row", where, "it has no path, or not the header's number of cells", "mend the row")
            continue
        names = split_tags(row.get(tags_column) or "")
        if not names:
            continue
        sample_id = _found(written, table.parent, ids, ends)
        unknown = [name for name in names if name not in number_of]
        if sample_id is None:
            problems.error("unknown image", where, f"{written} is not in the dataset", "import it, or mend the path")
        elif unknown:
            problems.error(
                "unknown class",
                where,
                f"{written}: {', '.join(unknown)} {'is' if len(unknown) == 1 else 'are'} no class of the dataset",
                f"write one of {', '.join(classes[:20])}",
            )
        else:
            yield sample_id, sorted(number_of[name] for name in names)


def _ends(ids: Mapping[str, int]) -> dict[str, set[int]]:
    """Return the images by the last part of their paths, with its ending and without."""
    ends: dict[str, set[int]] = {}
    for path, sample_id in ids.items():
        for end in {PurePath(path).name, PurePath(path).stem}:
            ends.setdefault(end, set()).add(sample_id)
    return ends


def _found(written: str, folder: Path, ids: Mapping[str, int], ends: Mapping[str, set[int]]) -> int | None:
    for text in (written, written.strip(), plain_path(written)):
        known = ids.get(text, ids.get(os.path.normpath(text), ids.get(os.path.normpath(folder / text))))
        if known is not None:
            return known
        alike = ends.get(text, set())
        if len(alike) == 1:
            return next(iter(alike))
    return None
