"""Which classes an image shows: read off its mask, or given.

Tags are (N, K) bool, a row for every sample; one that no part of the recipe asks for may be all False.
"""

import numpy as np
from numpy.typing import NDArray

from core.data.canvases import read_mask
from core.data.masks.store import MaskStore, classes_in
from core.data.snapshot import Masks, Snapshot
from core.recipes.data import RecipeData
from core.types import DatasetError, IntArray

BoolArray = NDArray[np.bool_]


def masks_of(snapshot: Snapshot) -> Masks:
    """Return the masks of a snapshot.

    Raises:
        DatasetError: its labels are no masks.
    """
    if snapshot.masks is None:
        raise DatasetError("tags say what masks are about, this dataset's labels are classes; choose one with masks")
    return snapshot.masks


def given_mask(snapshot: Snapshot, store: MaskStore, row: int) -> IntArray:
    """Return the mask a sample was given, (H, W), IGNORE throughout where there is none.

    Raises:
        DatasetError: it cannot be read, or does not fit its image; names the image.
    """
    masks = masks_of(snapshot)
    height, width = masks.sizes[row].tolist()
    try:
        return read_mask(store, masks.labels[row], height, width, len(snapshot.classes))
    except DatasetError as error:
        raise DatasetError(f"{snapshot.paths[row]}: {error}") from error


def class_called(data: RecipeData, name: str) -> int | None:
    """Return the class of this name, None for "".

    Raises:
        DatasetError: there is none.
    """
    classes = data.snapshot.classes
    if name and name not in classes:
        raise DatasetError(f"background is {name!r}, which is no class; name one of {', '.join(classes)}, or none")
    return classes.index(name) if name else None


def image_tags(data: RecipeData, store: MaskStore, given: BoolArray | None, background: int | None) -> BoolArray:
    """Return the tags of all samples that play a part, (N, K).

    Those of the unlabelled ones are `given`, (N, K), or read off masks that are otherwise hidden; those of the others
    are read off their masks. `background` is always there.

    Raises:
        DatasetError: an unlabelled image has no tags, or the tags have another shape; says which and the cure.
    """
    snapshot = data.snapshot
    shape = (len(snapshot), len(snapshot.classes))
    if given is not None and given.shape != shape:
        raise DatasetError(f"the tags are {given.shape}, must be {shape}: images x classes")
    tags = np.zeros(shape, np.bool_)
    seen = [data.labelled, data.validation, data.test, *([data.unlabelled] if given is None else [])]
    for row in np.concatenate(seen).tolist():
        tags[row, classes_in(given_mask(snapshot, store, row))] = True
    if given is not None:
        tags[data.unlabelled] = given[data.unlabelled]
    bare = data.unlabelled[~tags[data.unlabelled].any(axis=1)].tolist()
    if bare:
        raise DatasetError(
            f"{snapshot.paths[bare[0]]} has no tags ({len(bare)} such images); say which classes they show, or leave "
            "them out"
        )
    if background is not None:
        tags[:, background] = True
    return tags
