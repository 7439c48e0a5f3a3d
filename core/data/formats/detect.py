"""Detection of a source's format, with the evidence; a person may always choose another."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from core.data.formats import (
    camvid,
    cityscapes,
    coco,
    cvat,
    embedded,
    huggingface,
    imagefolder,
    label_studio,
    labelme,
    manifest,
    mask_pairs,
    unlabelled,
    voc,
    yolo,
)
from core.data.formats.archive import is_archive_name
from core.data.formats.mask_folders import paired_folders
from core.data.formats.source import ReadOptions, SourceFormat, SourceListing
from core.types import DatasetError


@dataclass(frozen=True, slots=True)
class Reader:
    """Registry entry of a format: title, recognition and reader."""

    title: str
    example: str
    recognise: Callable[[Path], str]
    read: Callable[[Path, ReadOptions], SourceListing]


@dataclass(frozen=True, slots=True)
class Detection:
    """Detected format with its evidence, and the alternatives with theirs."""

    format: SourceFormat
    why: str
    alternatives: tuple[tuple[SourceFormat, str], ...]


def _read_class_folders(source: Path, options: ReadOptions) -> SourceListing:
    """List class folders; masks among their images are not images of the class, and are reported."""
    listing = imagefolder.read(source, options)
    for folder in paired_folders(source):
        listing.problems.warn(
            "masks among images",
            folder,
            "files look like masks of the images beside them (1.png, 1_mask.png), but are read as images of a class",
            "for their pixels, import this folder alone as images and masks; for classes, move the masks elsewhere",
        )
    return listing


# most reliable first: formats that name every file before those of folders
FORMATS: Mapping[SourceFormat, Reader] = {
    SourceFormat.HUGGINGFACE: Reader(
        "Hugging Face metadata", "metadata.csv with file_name,label", huggingface.recognise, huggingface.read
    ),
    SourceFormat.HUGGINGFACE_PARQUET: Reader(
        "Hugging Face Parquet",
        "data/train-00000-of-00001.parquet with the images in a column",
        embedded.recognise,
        embedded.read,
    ),
    SourceFormat.MANIFEST: Reader(
        "Manifest",
        "a CSV or Parquet table path,label[,split][,group] or path,mask[,tags]",
        manifest.recognise,
        manifest.read,
    ),
    SourceFormat.COCO: Reader(
        "COCO masks", "annotations/instances_train.json with polygons or RLE", coco.recognise, coco.read
    ),
    SourceFormat.LABEL_STUDIO: Reader(
        "Label Studio masks", "a JSON export with brush or polygon labels", label_studio.recognise, label_studio.read
    ),
    SourceFormat.CVAT: Reader("CVAT", "annotations.xml of CVAT for images 1.1", cvat.recognise, cvat.read),
    SourceFormat.LABELME: Reader("labelme masks", "1.jpg with 1.json beside it", labelme.recognise, labelme.read),
    SourceFormat.YOLO: Reader(
        "YOLO masks", "data.yaml with images/1.jpg and polygons in labels/1.txt", yolo.recognise, yolo.read
    ),
    SourceFormat.CITYSCAPES: Reader(
        "Cityscapes", "leftImg8bit/train with gtFine/train", cityscapes.recognise, cityscapes.read
    ),
    SourceFormat.VOC: Reader(
        "Pascal VOC masks", "JPEGImages/1.jpg with SegmentationClass/1.png", voc.recognise, voc.read
    ),
    SourceFormat.CAMVID: Reader(
        "CamVid folders", "train/1.png with train_labels/1.png in colours", camvid.recognise, camvid.read
    ),
    SourceFormat.MASK_PAIRS: Reader(
        "Images and masks", "images/1.jpg with labels/1.png or masks/1.png", mask_pairs.recognise, mask_pairs.read
    ),
    SourceFormat.IMAGEFOLDER: Reader(
        "Class folders", "cat/1.png or train/cat/1.png", imagefolder.recognise, _read_class_folders
    ),
    SourceFormat.UNLABELLED: Reader(
        "Images without labels", "any folder of images", unlabelled.recognise, unlabelled.read
    ),
}


# formats that are mistaken for others, and the endings of their files
_MISTAKEN: Mapping[SourceFormat, frozenset[str]] = {
    SourceFormat.MASK_PAIRS: frozenset({".xml"}),
    SourceFormat.IMAGEFOLDER: unlabelled.REFUSED_ENDINGS,
    SourceFormat.UNLABELLED: unlabelled.REFUSED_ENDINGS,
}


def _files_in(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_file()) if root.is_dir() else []


def detect(root: Path, options: ReadOptions | None = None) -> Detection:
    """Return the format of a folder or table; columns named in `options` are looked up in its metadata.

    Raises:
        DatasetError: no format fits, an unsupported one does, or the source may not be read.
    """
    try:
        recognised = {format_: reader.recognise(root) for format_, reader in FORMATS.items()}
        if options is not None and (options.path_column or options.label_column):
            recognised[SourceFormat.HUGGINGFACE] = huggingface.recognise(root, options)
    except OSError as error:
        raise DatasetError(
            f"{error.filename or root}: cannot be opened ({error.strerror})", "check its rights"
        ) from error
    fitting = [(format_, why) for format_, why in recognised.items() if why]
    if not fitting:
        if archives := [path.name for path in _files_in(root) if is_archive_name(path.name)]:
            raise DatasetError(
                f"{root}: no image was found here, only the archive {archives[0]}, which is not unpacked here",
                "import the archive itself",
            )
        known = "; ".join(f"{reader.title}: {reader.example}" for reader in FORMATS.values())
        raise DatasetError(f"{root}: no image and no table of images was found here. Outfold reads {known}")
    if fitting[0][0] in _MISTAKEN:
        unlabelled.refuse_unread(root, _MISTAKEN[fitting[0][0]])
    return Detection(*fitting[0], alternatives=tuple(fitting[1:]))
