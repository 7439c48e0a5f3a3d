"""Errors, the cures that their texts name, and counts in texts; each message gives the cause and the cure.

Some cures differ between a page and the command line. An error or a problem is written once, stored, and read in both
places. It names such a cure by a member of `Cure`, which is formatted as the words of the page; `command_text` puts the
command's option in their place.
"""

from enum import Enum


class OutfoldError(Exception):
    """Base of all errors with a text for people: cause and cure.

    Attributes:
        message: the cause.
        cure: the remedy; "" if the message is sufficient.
    """

    def __init__(self, message: str, cure: str = "") -> None:
        """Keep both; they are also the arguments, so that the error can be pickled."""
        super().__init__(message, cure)
        self.message = message
        self.cure = cure

    def __str__(self) -> str:
        """Return the message with its cure."""
        return f"{self.message}; {self.cure}" if self.cure else self.message


class DatasetError(OutfoldError):
    """A dataset cannot be read, or differs from its description."""


class ConfigError(OutfoldError, ValueError):
    """A setting has an invalid value."""


class StorageError(OutfoldError):
    """The installation's folder, disk or database cannot be used."""


class StorageAwayError(StorageError):
    """Failure to reach a server that stores rows or files; the request can be repeated."""


class RoundError(OutfoldError):
    """A round cannot start or continue."""


class KilledError(RoundError):
    """A process that trains was killed, most likely because memory ran out."""

    @classmethod
    def of_training(cls) -> "KilledError":
        """Return the error as people read it once trying again has not helped."""
        return cls(
            "the training process was killed again and again, most likely because memory ran out",
            "close other programs and resume the round, or start one with a smaller batch or input size",
        )


class ExportError(OutfoldError):
    """An export could not be completed; nothing of it was left behind."""


class RoundCancelledError(OutfoldError):
    """The work was cancelled."""


class Cure(Enum):
    """One cure: the words of the page and those of the command line."""

    ALLOW_OUTSIDE_LINKS = ("“Follow links that leave the folder”", "--allow-outside-links")
    ANSWER_PREVIEW = ("in the preview of the next import", "as python -m app import --dry-run lists them")
    BOXES_IGNORE = ("the answer “Yes, ignore the boxes' pixels”", "--boxes ignore")
    BOXES_SKIP = ("the answer “No, skip these annotations”", "--boxes skip")
    CLASS_LEVEL = ("“Level of the class folders”", "--class-level")
    COLOUR_MAP = ("“Colours of the masks”", "--colour-map")
    DRAW_SPLIT = ("“Draw … images” among its evaluation splits", "python -m app datasets protect DATASET --draw 0.1")
    EXIF_MASKS_TURN = ("the answer “Yes, turn them with their photos”", "--exif-masks turn")
    FLOAT_MASKS_IDS = ("the answer “Yes, read them as ids”", "--float-masks ids")
    FORMAT_CVAT = ("“Read as: CVAT”", "--format cvat")
    FORMAT_PARQUET = ("“Read as: Hugging Face Parquet”", "--format huggingface-parquet")
    FORMAT_UNLABELLED = ("“Read as: Images without labels”", "--format unlabelled")
    IGNORE_255 = ("“Pixel value that means unlabelled: 255”", "--ignore-id 255")
    IMAGE_ROOT = ("“Folder of the images”", "--image-root")
    LABEL_COLUMN = ("“Column of the label”", "--label-column")
    LITERAL_LABELS = ("“NA, None and nan are names of classes”", "--literal-labels")
    LOOK_FIRST = ("in the preview of an import", "with python -m app import --dry-run")
    MEANING = (
        "“Pixel value that means unlabelled”, “Names of the classes”",
        "--ignore-id, --first-id, --unnamed-ids, --class-names",
    )
    MOVE = ("“Move” in the menu of its card", "python -m app datasets move DATASET FOLDER")
    PATH_COLUMN = ("“Column of the path”", "--path-column")
    PROTECT = (
        "“Evaluation splits” in the menu of its card on the Datasets page",
        "python -m app datasets protect DATASET --split NAME, or with --draw 0.1",
    )
    RENAME_CLASS = ("“Classes” in the menu of its card", "python -m app classes rename DATASET CLASS NAME")
    TAKE_MASKS = ("“Take … as my edits” below the import's report", "python -m app import SOURCE --take-masks")
    THRESHOLD_MASKS_HALF = ("the answer “Yes, cut them at 128”", "--threshold-masks half")
    UNKNOWN_COLOURS_IGNORE = ("the answer “Yes, ignore their pixels”", "--unknown-colours ignore")
    UNNAMED_IDS_IGNORE = ("the answer “Yes, ignore them”", "--unnamed-ids ignore")
    WEIGHTS_MEAN = ("“Mean”", "--weights-mean")
    WEIGHTS_PADDING = ("“Padding”", "--weights-padding")
    WEIGHTS_STD = ("“Deviation”", "--weights-std")
    WINDOW = ("“Range of the greys”", "--window")

    def __init__(self, page: str, command: str) -> None:
        """Store both texts."""
        self.page = page
        self.command = command

    def __str__(self) -> str:
        """Return the words of the page."""
        return self.page


def command_text(text: str) -> str:
    """Return a text with the command line's words in place of the page's."""
    for cure in _LONGEST_FIRST:
        text = text.replace(cure.page, cure.command)
    return text


_LONGEST_FIRST = sorted(Cure, key=lambda cure: len(cure.page), reverse=True)  # a part of another is replaced after it


def counted(count: int, one: str, several: str = "") -> str:
    """Return a count with its noun, as in "1 image" and "2,300 images".

    Args:
        count: the count.
        one: the singular.
        several: the plural, where it is not the singular with an s.
    """
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"
