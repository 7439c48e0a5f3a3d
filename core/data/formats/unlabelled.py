"""A folder of unlabelled images; folders named as splits give the split.

Annotations beside them in unsupported formats are reported, with a way to convert them. Formats with masks or labels
among the images are read only if this format is chosen, since masks would become photos, and folders of files classes.
"""

from collections.abc import Container, Iterator, Sequence
from itertools import islice
from pathlib import Path

from core.data.formats.mask_folders import MASKS
from core.data.formats.source import SPLITS, Problems, ReadOptions, SourceListing, split_name
from core.data.formats.walk import holds_image, walk
from core.types import Cure, DatasetError, SourceSample

_MASK_FOLDERS = frozenset(MASKS)
_LOOKED_AT = 2_000  # files
_HEAD = 4_096  # bytes
_DATUMARO = "convert it with datumaro, images included, from `{}` to `coco_instances`, and import that folder"
_Kind = tuple[str, tuple[str, ...], str, str]  # ending, words near the beginning, format, conversion
_REFUSED: tuple[_Kind, ...] = (
    (".xml", ("<annotation>", "<sourceAnnotation"), "LabelMe's XML is not read", _DATUMARO.format("label_me")),
    (
        ".csv",
        ("ImageID", "LabelName"),
        "Open Images' tables are not read",
        "convert classes of images with datumaro, images included, from `open_images` to `imagenet_with_subset_dirs`",
    ),
    (
        ".data",
        ("classes", "names"),
        "Darknet's YOLO boxes are not read: they are neither classes of images nor masks",
        "export polygons or masks instead, as COCO or YOLO with `data.yaml`",
    ),
)
REFUSED_ENDINGS = frozenset(ending for ending, *_ in _REFUSED)
_UNREAD: tuple[_Kind, ...] = (
    (
        ".xml",
        ("<annotations>",),
        "CVAT's XML is read as annotations of images, not of videos, and not where images are to have no labels",
        f"{Cure.FORMAT_CVAT}, exported as `CVAT for images 1.1`",
    ),
    (
        ".xml",
        ("<annotation>",),
        "Pascal VOC's boxes are not read: they are neither classes of images nor masks",
        "import masks instead: SegmentationClass, COCO or polygons",
    ),
    (
        ".json",
        ('"dm_format_version"',),
        "Datumaro's JSON is not read",
        "export from Datumaro as COCO or VOC, with the images, and import that folder",
    ),
    (
        ".json",
        ('"annotations"',),
        "this JSON of annotations is not read",
        "export masks as COCO instances, or as PNG in a folder `masks` beside `images`",
    ),
    (
        ".yaml",
        ("names:",),
        "YOLO's labels are read where they are polygons, in a folder `labels` beside `images`",
        "export them as polygons (segmentation), or import masks",
    ),
)


def recognise(source: Path) -> str:
    """Return the evidence that the source is a folder of images, empty if it is not."""
    return "it holds images" if source.is_dir() and holds_image(source) else ""


def read(source: Path, options: ReadOptions) -> SourceListing:
    """List every image, at any depth, without a label.

    Raises:
        DatasetError: this is not a folder.
    """
    if not source.is_dir():
        raise DatasetError(f"{source}: is a file", "name the folder that holds the images")
    problems = Problems()
    for path, what, way in _found_unread(source, _UNREAD):
        problems.warn("annotations not read", str(path), what, way)
    return SourceListing(_samples(source, options, problems), problems)


def refuse_unread(source: Path, endings: Container[str]) -> None:
    """Refuse a folder with labels in an unsupported format that other readers would misread.

    It is recognised by the endings of its files.

    Raises:
        DatasetError: it is such a folder; the message has a way to convert it.
    """
    if not source.is_dir():
        return
    for path, what, way in _found_unread(source, [kind for kind in _REFUSED if kind[0] in endings]):
        raise DatasetError(f"{path}: {what}", f"{way}. To take the images alone: {Cure.FORMAT_UNLABELLED}")


def _found_unread(source: Path, kinds: Sequence[_Kind]) -> Iterator[tuple[Path, str, str]]:
    """Yield the first file of each unsupported format, relative to the source, with the format and its conversion."""
    left = list(kinds)
    for path in islice(source.rglob("*"), _LOOKED_AT):
        candidates = [kind for kind in left if kind[0] == path.suffix.lower()]
        if not candidates or not path.is_file():
            continue
        head = _head(path)
        found = next((kind for kind in candidates if all(word in head for word in kind[1])), None)
        if found is not None:
            left.remove(found)
            yield path.relative_to(source), found[2], found[3]


def _head(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_HEAD).decode("utf-8", "replace")
    except OSError:
        return ""


def _samples(source: Path, options: ReadOptions, problems: Problems) -> Iterator[SourceSample]:
    warned: set[str] = set()
    for name in walk(source, options, problems):
        folder, _, _ = name.rpartition("/")
        if folder not in warned and not _MASK_FOLDERS.isdisjoint(folder.lower().split("/")):
            warned.add(folder)
            problems.warn(
                "masks read as photos?",
                folder,
                "by its name it holds masks, but no known way to pair them with photos fits; its files are read as "
                "photos without labels",
                "name each mask as its photo (`1.jpg`, `1.png`; several: `1_mask_1.png`), or move the folder away",
            )
        top = name.split("/", 1)[0]
        yield SourceSample(f"{source}/{name}", name, None, split_name(top) if top.lower() in SPLITS else "")
