"""Tags of many images at once: a table `path,tags` in and out, tags from masks, and contradictions with masks."""

import csv
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePath

import numpy as np

from app.services.allowed import refuse_outside
from app.services.app_context import AppContext
from app.services.label_kinds import label_kind
from app.services.masks import current as masks, round_masks
from app.services.reviews.store import NotFoundError
from app.services.tags import current
from core.config import RoundConfig
from core.data.export.predicted import refuse_target
from core.data.formats.cells import join_tags, plain_path, split_tags
from core.data.formats.rows import PATH_NAMES, TAG_NAMES
from core.data.formats.source import Problems
from core.data.formats.table import open_table
from core.data.masks.store import MaskStore, classes_in
from core.data.storage import atomic_path
from core.judge.tag_checks import BoolArray, TagConflict, mask_conflicts, prediction_conflicts
from core.types import ClassState, DatasetError, Problem, merged_ids
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
    """Result of an import of tags: images that got tags, had equal ones, or keep those of people; and problems."""

    stored: int
    unchanged: int
    kept: int  # tagged differently by people
    problems: list[Problem]


@dataclass(frozen=True, slots=True)
class FoundDoubt:
    """One class of one image on which its tags and its mask, or a prediction, disagree."""

    sample_id: int
    name: str
    content_hash: str
    doubt: TagConflict


def known_tags(app_context: AppContext, dataset_id: int, *, from_masks: bool = False) -> list[ImagesTags]:
    """Return the tags of a dataset's images; with `from_masks` also the classes in the current masks of the others.

    Raises:
        DatasetError: its labels are classes, or a mask is damaged.
    """
    info = masks_dataset(app_context, dataset_id)
    with app_context.database.read() as session:
        tagged = tags.tags_by_sample(session, info.id)
        images = tags.names_and_masks(session, info.id)
    resolved = masks.resolved_masks(app_context, info.id) if from_masks else {}
    state = info.class_state
    store = MaskStore(app_context.masks)
    found = []
    for sample_id, name, given in images:
        if sample_id in tagged:
            one = tagged[sample_id]
            found.append(ImagesTags(sample_id, name, one.classes or [], one.annotator or BY_IMPORT))
        elif from_masks and (mask := resolved[sample_id].mask_hash if sample_id in resolved else given):
            shown = merged_ids(classes_in(store.get(mask)), state.merged)
            found.append(ImagesTags(sample_id, name, shown, BY_MASK))
    return found


def import_tags(app_context: AppContext, dataset_id: int, table: Path, *, over_people: bool = False) -> TagsImported:
    """Store the tags of a table `path,tags`; equal tags are stored once, tags by people stay.

    Images are named by their path, absolute or relative to the dataset or to the table, or by its end if
    that is unambiguous. An empty cell gives no tags. `over_people`: the table replaces tags by people.

    Raises:
        DatasetError: the table cannot be read, must not be, or lacks a column; or the dataset's labels are classes.
    """
    refuse_outside(app_context, table)
    info = masks_dataset(app_context, dataset_id)
    problems = Problems()
    with app_context.database.read() as session:
        ids = tags.sample_ids(session, dataset_id)
    rows = dict(_read(table, ids, info.class_state, problems))
    stored = unchanged = kept = 0
    new = []
    now = datetime.now(UTC)
    with app_context.database.write() as session:
        tagged = tags.tags_by_sample(session, dataset_id)
        for sample_id, classes in rows.items():
            present = tagged.get(sample_id)
            if present is not None and present.classes == merged_ids(classes, info.merged_classes):
                unchanged += 1
            elif present is not None and present.annotator is not None and not over_people:
                kept += 1
            else:
                new.append(NewTagging(sample_id=sample_id, classes=classes, tagged_at=now))
                stored += 1
        tags.add_taggings(session, new)
    return TagsImported(stored, unchanged, kept, problems.kept)


def export_tags(app_context: AppContext, dataset_id: int, table: Path, *, from_masks: bool = False) -> int:
    """Write a dataset's tags as a CSV that `import_tags` reads back; return the number of rows.

    Raises:
        DatasetError: it must not be written there, or the dataset's labels are classes.
        ExportError: the target exists.
    """
    refuse_outside(app_context, table)
    refuse_target(table, (".csv",))
    info = masks_dataset(app_context, dataset_id)
    found = known_tags(app_context, dataset_id, from_masks=from_masks)
    with atomic_path(table) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["path", "tags", "by"])
        for one in found:
            writer.writerow([one.name, join_tags([info.classes[number] for number in one.classes]), one.by])
    return len(found)


def masks_dataset(app_context: AppContext, dataset_id: int) -> datasets.DatasetInfo:
    """Return a dataset whose labels are masks.

    Raises:
        DatasetError: there is none with this id, or its labels are classes.
    """
    with app_context.database.read() as session:
        info = datasets.get_dataset(session, dataset_id)
    if not label_kind(info.task).has_pixels:
        raise DatasetError(f"the labels of {info.name} are classes, which need no tags", "choose a dataset with masks")
    return info


def find_doubts(app_context: AppContext, dataset_id: int) -> list[FoundDoubt]:
    """Return contradictions between tags and masks of each tagged image; those about masks first.

    Images without a mask are compared with the newest round's prediction, if any.

    Raises:
        DatasetError: there is no such dataset, its labels are classes, or a mask is damaged.
    """
    info = masks_dataset(app_context, dataset_id)
    panel = current.panel(app_context, info.id)
    with app_context.database.read() as session:
        images = tags.tagged_images(session, info.id, masked=None, tagged=True, after=0, limit=panel.counts.images)
    least = 1 if panel.round is None else RoundConfig.from_json(panel.round.config).min_region
    found = []
    for image in images:
        present: BoolArray = np.zeros(len(info.classes), np.bool_)
        present[image.classes or []] = True
        doubts: list[TagConflict] = []
        if image.masked:
            doubts = mask_conflicts(present, masks.read_mask(app_context, image.id)[1], bare=image.bare)
        elif panel.round is not None:
            try:
                predicted = round_masks.predicted_mask(app_context, panel.round.id, image.id)
            except NotFoundError:  # the round did not see this image
                continue
            doubts = prediction_conflicts(present, predicted, least)
        found += [FoundDoubt(image.id, image.name, image.content_hash, doubt) for doubt in doubts]
    return sorted(found, key=lambda one: (one.doubt.predicted, -one.doubt.pixels, one.sample_id))


def _read(
    table: Path, ids: Mapping[str, int], state: ClassState, problems: Problems
) -> Iterator[tuple[int, list[int]]]:
    """Yield (image, classes) of the rows with tags; problems of the others go into `problems`."""
    opened = open_table(table)
    path, tags_column = opened.find("", PATH_NAMES), opened.find("", TAG_NAMES)
    if path is None or tags_column is None:
        lacking = "path of the image; call it `path`" if path is None else "tags; call it `tags`"
        raise DatasetError(f"{table.name}: no column holds the {lacking}. {opened.columns_text}")
    number_of = {name: number for number, name in enumerate(state.names) if number not in state.retired}
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
                f"{written}: {', '.join(unknown)} {'is not a class' if len(unknown) == 1 else 'are not classes'} of "
                "the dataset",
                f"write one of {', '.join(state.offered_names[:20])}",
            )
        else:
            yield sample_id, sorted(number_of[name] for name in names)


def _ends(ids: Mapping[str, int]) -> dict[str, set[int]]:
    """Return the images by the last part of their paths, with and without extension."""
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
