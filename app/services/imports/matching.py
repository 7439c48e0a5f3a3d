"""Match staged images with the dataset's samples, so that moved and renamed images keep their labels and decisions.

Content is identity, a path is only an address. Where several images have the same bytes, the one that keeps its path
below the root is taken first, then the one of the same file name, then the one of the same label. Among those that are
left any pairing is right of the content; images that people decided on come first, so that no decision is left behind.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePath

from app.services.app_context import AppContext
from core.data.buckets import own_path
from core.types import DatasetError
from db.queries import incoming
from db.queries.incoming import Address

_CHUNK = 4_000  # rows in one transaction
_LIKENESS: Sequence[Callable[[Address], object]] = (
    lambda image: image.name,
    lambda image: PurePath(image.name).name,
    lambda image: image.label,
    lambda _: None,
)


def match_known(app_context: AppContext, import_id: int, dataset_id: int) -> None:
    """Match every staged image with its sample, in short transactions."""
    with app_context.database.read() as session:
        spans = incoming.spans(session, import_id, _CHUNK)
    for span in spans:
        with app_context.database.write() as session:
            incoming.match_unmoved(session, import_id, dataset_id, span)
    with app_context.database.read() as session:
        known, found = incoming.unmatched(session, import_id, dataset_id)
    left = {content: [one for one in images if _may_have_moved(app_context, one)] for content, images in known.items()}
    pairs = [pair for content, files in found.items() for pair in pair_moved(left[content], files)]
    for start in range(0, len(pairs), _CHUNK):
        with app_context.database.write() as session:
            incoming.match(session, pairs[start : start + _CHUNK])
    for span in spans:
        with app_context.database.write() as session:
            incoming.match_changed(session, import_id, dataset_id, span)


def _may_have_moved(app_context: AppContext, image: Address) -> bool:
    """Return whether an image may have moved. Images of added folders, which are not read, must have disappeared."""
    return image.in_scope or not own_path(app_context.files, Path(image.path)).exists()


def pair_moved(known: Sequence[Address], found: Sequence[Address]) -> list[tuple[int, int]]:
    """Pair images of one content that left their paths with files of that content at new paths.

    Returned are (id of the image, id of the file), each id at most once, as many pairs as there can be.
    """
    order = sorted(known, key=lambda image: (not image.decided, image.name, image.id))
    files = sorted(found, key=lambda image: (image.name, image.id))
    pairs: list[tuple[int, int]] = []
    for vanished in (False, True):  # images present before this import come before those missing earlier
        left = [image for image in order if image.vanished is vanished]
        for likeness in _LIKENESS:
            taken = dict(_alike(left, files, likeness))
            pairs.extend((image.id, file.id) for image, file in taken.items())
            used = set(taken.values())
            left = [image for image in left if image not in taken]
            files = [file for file in files if file not in used]
    return pairs


def refuse_other_content(app_context: AppContext, import_id: int, dataset_id: int, *, moved: bool) -> None:
    """Check that a dataset's images are in the new folder that its import reads instead of the former one.

    Raises:
        DatasetError: none is there or, unless a move was announced, fewer than half of them.
    """
    with app_context.database.read() as session:
        present, found = incoming.count_found(session, import_id, dataset_id)
    if found == 0 or (not moved and 2 * found < present):
        raise DatasetError(
            f"{found:,} of the dataset's {present:,} images were found here by their content",
            "nothing was changed. Name the folder that they moved to, or choose another name for a dataset of its own",
        )


def _alike(
    known: Sequence[Address], found: Sequence[Address], likeness: Callable[[Address], object]
) -> Iterator[tuple[Address, Address]]:
    waiting: dict[object, list[Address]] = defaultdict(list)
    for file in reversed(found):
        waiting[likeness(file)].append(file)
    for image in known:
        if waiting[likeness(image)]:
            yield image, waiting[likeness(image)].pop()
