"""Preview of a source before its import: new and known images, examples, problems found so far."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from app.services.allowed import refuse_outside
from app.services.app_context import AppContext
from app.services.imports.buckets import path_in_rows, reading_buckets
from app.services.imports.classes import merge_spellings, warn_of_folders, warn_of_spellings
from app.services.imports.report import note_window
from app.services.imports.request import ImportRequest, propose_name
from app.services.imports.store import find_known, with_former_options
from core.data.formats.detect import FORMATS, Detection, detect
from core.data.formats.source import (
    NO_MEANING,
    MaskMeaning,
    Problems,
    SourceFormat,
    SourceListing,
    existing_root,
    natural_order,
)
from core.data.images import ImageError, MaskError, read_facts, thumbnail
from core.data.masks.reading import read_masks
from core.data.masks.store import class_pixels
from core.data.masks.turning import shown_size
from core.data.pictures import colour_mask
from core.data.reading import find_window
from core.data.windows import FULL, Window, parse_window, window_text
from core.types import ClassTable, DatasetError, ImageFacts, IntArray, Problem, SourceSample, StorageError

_LISTED = 200_000  # samples that a preview lists
_SHOWN = 12  # images a preview opens
_COUNTED = 32  # masks whose pixels a preview counts
_EDGE, _SCENE_EDGE = 96, 240  # pixels of an image, and of one with a mask

Kind = tuple[str | None, str, bool]  # label, and of masks split and whether there is one


@dataclass(frozen=True, slots=True)
class Cover:
    """One image as WebP, None if it cannot be read, and its mask as an overlay in PNG."""

    name: str
    label: str | None
    image: bytes | None
    mask: bytes | None = None


@dataclass(frozen=True, slots=True)
class ImportPreview:
    """Preview of an import. `complete` is false when the source is larger than a preview looks at.

    Where labels are masks, `table` has their classes and `masks` is how many images have one; else both are None.
    `shares` are of the masks that were read, `meaning` has what the reader decided and asks.
    """

    root: str
    detection: Detection | None  # None: the format was chosen
    format: SourceFormat
    images: int
    complete: bool
    class_counts: dict[str | None, int]
    split_counts: dict[str, int]
    covers: tuple[Cover, ...]
    problems: tuple[Problem, ...]
    table: ClassTable | None = None
    masks: int | None = None
    shares: "Shares | None" = None
    meaning: MaskMeaning = NO_MEANING
    annotators_differ: int = 0  # images that will await a second opinion
    window: str = FULL  # greys of more than 8 bits that become black and white
    remembered: Mapping[str, Any] = field(default_factory=dict)  # answers of earlier imports, by field of the request


@dataclass(frozen=True, slots=True)
class Shares:
    """Classes in the masks that a preview read: number of images and share of pixels of each.

    `unlabelled` is the share of IGNORE, `left_out` the number of masks that cannot be used.
    """

    read: int
    left_out: int
    images: dict[str, int]
    pixels: dict[str, float]
    unlabelled: float

    def listed(self, names: Sequence[str], most: int) -> list[str]:
        """Return the classes to list: all if at most `most`, else only those present in a mask.

        Ids with gaps, such as 0 and 1000, make a class of each number between.
        """
        if len(names) <= most:
            return list(names)
        return [name for name in names if self.images[name]][:most] or list(names[:most])


def preview(app_context: AppContext, request: ImportRequest) -> ImportPreview:
    """Preview a source without storing anything; opens a dozen images and a few dozen masks.

    Raises:
        DatasetError: it cannot be read as that format, or must not be.
        StorageError: the store of a bucket cannot be used.
    """
    with reading_buckets(app_context, request) as readable:
        return _preview(app_context, readable)


def _preview(app_context: AppContext, request: ImportRequest) -> ImportPreview:
    refuse_outside(app_context, Path(request.source))
    root = existing_root(Path(request.source))
    with app_context.database.read() as session:
        known = None if request.unlabelled else find_known(session, request)
    remembered: dict[str, Any] = {}
    if known is not None and known.root == path_in_rows(app_context, str(root)):  # otherwise the import is refused
        remembered = request.answers_in(known.options)
        remembered.pop("window", None)  # shown by itself
        request = with_former_options(request, known)
    options = request.options(app_context)
    detection = None if request.format else detect(root, options)
    chosen = request.format or (detection.format if detection else SourceFormat.UNLABELLED)
    listing = FORMATS[chosen].read(root, options)
    kinds: Counter[Kind] = Counter()
    splits: Counter[str] = Counter()
    shown: dict[tuple[Kind, int], SourceSample] = {}
    counted, paths, differing = _EvenlySpread(_COUNTED), list[str](), 0
    for sample in islice(merge_spellings(listing.samples, request.merged_classes), _LISTED):
        if sample.mask is not None:
            counted.add(sample)
        paths.append(sample.path)
        kind = _kind(sample, listing.table)
        if kinds[kind] < _SHOWN:
            shown[kind, kinds[kind]] = sample
        kinds[kind] += 1
        splits[sample.split] += 1
        differing += sample.annotators_differ
    images = kinds.total()
    counts = {} if listing.table else _by_label(kinds)
    counts |= {name: 0 for name in listing.empty_classes if name not in counts}
    names = [label for label in counts if label is not None]
    warn_of_spellings(names, listing.problems)
    warn_of_folders(names, listing.problems)
    first = list(listing.unpack(_spread(shown)))
    if first and first[0].path not in paths:
        paths = [sample.path for sample in first]  # the others have not been unpacked
    window = _window(request, paths, listing.problems)
    covers = _covers(app_context, first, listing, window)
    return ImportPreview(
        str(root),
        detection,
        chosen,
        images,
        images < _LISTED,
        counts,
        dict(sorted(splits.items())),
        covers,
        tuple(listing.problems.kept),
        listing.table,
        sum(count for (*_, masked), count in kinds.items() if masked) if listing.table else None,
        _shares(list(listing.unpack(counted.kept)), listing.table) if listing.table else None,
        listing.meaning,
        differing,
        window_text(window),
        {} if request.forget_answers else remembered,
    )


def _window(request: ImportRequest, paths: Sequence[str], problems: Problems) -> Window | None:
    """Return the window for greys of more than 8 bits."""
    window = parse_window(request.window) if request.window else find_window(paths)
    note_window(problems, window)
    return window


class _EvenlySpread:
    """A limited number of samples, evenly spread over an iterable of unknown length."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.kept: list[SourceSample] = []
        self.step = 1
        self.seen = 0

    def add(self, sample: SourceSample) -> None:
        """Keep one of each `step`; once there are too many, drop every other one."""
        if self.seen % self.step == 0:
            self.kept.append(sample)
            if len(self.kept) > self.most:
                self.kept = self.kept[::2]
                self.step *= 2
        self.seen += 1


def _shares(samples: Sequence[SourceSample], table: ClassTable) -> Shares:
    sizes = [(sample.mask or {}, shown_size(sample.path)) for sample in samples]
    images: Counter[int] = Counter()
    pixels: Counter[int] = Counter()
    read = left_out = total = 0
    for mask in read_masks(((mask, *size) for mask, size in sizes if size is not None), table):
        read += 1
        if isinstance(mask, MaskError):
            left_out += 1
            continue
        counts = class_pixels(mask)
        found = np.flatnonzero(counts).tolist()
        images.update(found)
        pixels.update({number: int(counts[number]) for number in found})
        total += mask.size
    return Shares(
        read,
        left_out,
        {name: images[number] for number, name in enumerate(table.names)},
        {name: pixels[number] / max(total, 1) for number, name in enumerate(table.names)},
        (total - pixels.total()) / max(total, 1),
    )


def recognise(app_context: AppContext, source: Path) -> SourceFormat | None:
    """Return the likeliest format of a source; None if there is none, or it cannot or must not be read."""
    try:
        request = ImportRequest(name=propose_name(source), source=str(source))
        with reading_buckets(app_context, request) as readable:
            found = Path(readable.source)
            refuse_outside(app_context, found)
            return detect(existing_root(found)).format
    except (DatasetError, StorageError):
        return None


def _kind(sample: SourceSample, table: ClassTable | None) -> Kind:
    return (sample.label, "", False) if table is None else (None, sample.split, sample.mask is not None)


def _by_label(kinds: Counter[Kind]) -> dict[str | None, int]:
    """Return the count of each label in natural order, unlabelled ones last."""
    counts = {label: count for (label, *_), count in kinds.items()}
    return {
        label: counts[label] for label in sorted(counts, key=lambda name: (name is None, natural_order(name or "")))
    }


def _spread(shown: dict[tuple[Kind, int], SourceSample]) -> Iterator[SourceSample]:
    """Yield one image of each kind, then a second of each, up to the number shown; images with a mask first."""

    def place(key: tuple[Kind, int]) -> tuple[int, bool, str, str]:
        (label, split, masked), number = key
        return number, not masked, label or "", split

    return (shown[key] for key in islice(sorted(shown, key=place), _SHOWN))


def _covers(
    app_context: AppContext, samples: Sequence[SourceSample], listing: SourceListing, window: Window | None
) -> tuple[Cover, ...]:
    edge = _EDGE if listing.table is None else _SCENE_EDGE
    opened = [_open(app_context, sample, listing.problems, edge, window) for sample in samples]
    if listing.table is None:
        return tuple(cover for cover, _ in opened)
    return tuple(_with_masks(samples, opened, listing.table, listing.problems))


def _open(
    app_context: AppContext, sample: SourceSample, problems: Problems, edge: int, window: Window | None
) -> tuple[Cover, ImageFacts | None]:
    path = Path(sample.path)
    try:
        facts = read_facts(path, app_context.settings.max_pixels)
        return Cover(sample.name, sample.label, thumbnail(path, edge, window)), facts
    except ImageError as error:
        problems.error(error.kind, sample.name, str(error), error.cure)
        return Cover(sample.name, sample.label, None), None


def _with_masks(
    samples: Sequence[SourceSample],
    opened: Sequence[tuple[Cover, ImageFacts | None]],
    table: ClassTable,
    problems: Problems,
) -> Iterator[Cover]:
    """Yield the images with their masks over them, and note the problems of the masks."""
    masked = [
        (sample, facts) for sample, (_, facts) in zip(samples, opened, strict=True) if facts is not None and sample.mask
    ]

    def warn(number: int, warning: MaskError) -> None:
        problems.warn(warning.kind, masked[number][0].name, str(warning), warning.cure)

    references = ((sample.mask or {}, facts.width, facts.height) for sample, facts in masked)
    masks = read_masks(references, table, warn=warn)
    for sample, (cover, facts) in zip(samples, opened, strict=True):
        found = next(masks) if facts is not None and sample.mask else None
        if isinstance(found, MaskError):
            problems.error(found.kind, sample.name, str(found), found.cure)
        elif found is not None:
            yield replace(cover, mask=colour_mask(_shrunk(found), table.colours))
            continue
        yield cover


def _shrunk(mask: IntArray) -> IntArray:
    """Return the mask reduced to the edge of a previewed scene, (h, w), by nearest neighbour."""
    share = min(1.0, _SCENE_EDGE / max(mask.shape))
    rows, columns = (
        np.arange(max(1, round(side * share))) * side // max(1, round(side * share)) for side in mask.shape
    )
    return np.ascontiguousarray(mask[rows][:, columns])
