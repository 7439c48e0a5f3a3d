"""Request of an import; stored as JSON with its row, so that a re-import can repeat it.

A request may add unlabelled images to an existing dataset, whose classes and labels stay (`request_addition`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from app.services.allowed import allowed_roots
from app.services.app_context import AppContext
from core.data.formats.source import ANSWERS, CHOICES, READING, ReadOptions, SourceFormat, is_storable
from core.data.windows import FULL, parse_window
from core.types import Cure, DatasetError, from_json_values, to_json_values
from db.queries import imports
from db.queries.datasets import DatasetInfo

_LONGEST_NAME = 200
_LASTING = (  # options that a repeated import keeps unless they are given anew
    *ANSWERS,
    "ignore_id",
    "image_root",
    "path_column",
    "label_column",
    "split_column",
    "group_column",
    "class_names",
    "colour_map",
    "merged_classes",
    "window",
)


_ONCE = ("moved", "renamed_classes", "take_masks", "forget_answers", "bring_back")  # options of one import alone


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRequest:
    """Import of `source` as the dataset `name`; `format` None means detection.

    Columns are for tables; empty means found by their usual names. For masks, see `ReadOptions`: colour
    map, the classes' names, the pixel value of unlabelled pixels, and answers to a reader's questions.
    """

    name: str
    source: str
    format: SourceFormat | None = None
    path_column: str = ""
    label_column: str = ""
    split_column: str = ""
    group_column: str = ""
    image_root: str = ""  # folder of the images of a table with paths of another machine
    class_level: int = (
        0  # of class folders: the one below the root that is the class; 0: an open question where it is ambiguous
    )
    literal_labels: bool = False  # NA is a class, and 1.0 differs from 1
    merged_classes: tuple[str, ...] = ()  # each `name=class`: the source's name means that class
    colour_map: str = ""
    class_names: str = ""
    ignore_id: int | None = None
    first_id: int | None = None
    unnamed_ids: str = ""
    threshold_masks: str = ""
    float_masks: str = ""
    unknown_colours: str = ""
    exif_masks: str = ""
    boxes: str = ""
    window: str = ""  # greys of more than 8 bits that become black and white, as in `0-4095`, or `full`; "": found
    reading: int = READING
    allow_outside_links: bool = False
    unlabelled: bool = False  # images without labels, added to a dataset that exists
    moved: bool = False  # the dataset's images lie in `source` now, wherever they came from
    renamed_classes: tuple[str, ...] = ()  # each `old=new`
    forget_answers: bool = False  # of earlier imports of the dataset: the source is read anew
    bring_back: bool = False  # images that people removed, and that the source still has
    take_masks: bool = False  # masks that differ from the given ones become edits of `by`
    kept_classes: tuple[str, ...] = ()  # classes that stay although the source has no images of them
    dataset_id: int | None = None  # of an existing dataset, which may be renamed meanwhile
    by: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        """Refuse what cannot be stored.

        Raises:
            DatasetError: the name is empty, too long or no text; the source is not text; an answer is none; a merge
                names no two classes; the window is not a range of greys.
        """
        if not self.name.strip() or len(self.name) > _LONGEST_NAME or not is_storable(self.name):
            raise DatasetError(f"the dataset's name must have 1 to {_LONGEST_NAME} characters", "choose another")
        for merge in self.merged_classes:
            if not all(part.strip() for part in merge.partition("=")[::2]):
                raise DatasetError(f"{merge}: names no two classes", "write name=class, as in Cat=cat")
        parse_window(self.window)
        if not is_storable(self.source):
            raise DatasetError("the path holds bytes that are not text", "rename the folder")
        for option, choices in CHOICES.items():
            chosen = getattr(self, option)
            if chosen and chosen not in choices:
                name = option.replace("_", " ")
                raise DatasetError(f"{chosen} is not an answer on {name}", f"there are {', '.join(choices)}")

    def options(self, app_context: AppContext) -> ReadOptions:
        """Return the options of the reader."""
        return ReadOptions(
            path_column=self.path_column,
            label_column=self.label_column,
            split_column=self.split_column,
            group_column=self.group_column,
            image_root=self.image_root,
            class_level=self.class_level,
            literal_labels=self.literal_labels,
            colour_map=self.colour_map,
            class_names=self.class_names,
            ignore_id=self.ignore_id,
            **{option: getattr(self, option) for option in ANSWERS},
            reading=self.reading,
            allow_outside_links=self.allow_outside_links,
            allowed_roots=allowed_roots(app_context),
            unpack_into=str(app_context.files / "unpacked"),
        )

    def remembering(self, options: Mapping[str, Any]) -> "ImportRequest":
        """Return the request to import a dataset again, completed by the dataset's stored `options`.

        A dataset that was imported before there were questions keeps the meaning its masks had, and labels are read as
        they were before.

        Raises:
            DatasetError: the request changes how labels are read, which would change their classes.
        """
        kept = self.answers_in(options)
        if self.forget_answers:  # greys keep their former window, since models were trained with it
            kept = {name: value for name, value in kept.items() if name == "window"}
        if "merged_classes" in kept:
            kept["merged_classes"] = tuple(kept["merged_classes"])
        former = reading_options(options)
        given = []
        if self.class_level not in (0, former["class_level"] or 1):
            given.append(f"{Cure.CLASS_LEVEL} {self.class_level}")
        if self.literal_labels and not former["literal_labels"]:
            given.append(str(Cure.LITERAL_LABELS))
        if given:
            raise DatasetError(
                f"{self.name} was imported without {' and '.join(given)}, and a dataset's labels are read in one way "
                f"for good",
                f"leave {'it' if len(given) == 1 else 'them'} out, or import under another name",
            )
        level = self.class_level or former["class_level"]
        kept.setdefault("window", self.window or FULL)  # of a dataset that was imported before there were windows
        return replace(self, **kept, **former | {"class_level": level}, reading=options.get("reading", 1))

    def answers_in(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answers of a dataset's options that the request leaves open."""
        open_ = (name for name in _LASTING if getattr(self, name) in ("", None, ()))
        return {name: options[name] for name in open_ if options.get(name) not in ("", None, [], ())}

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return to_json_values(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "ImportRequest":
        """Return the request stored as `values`.

        Raises:
            DatasetError: a value is unknown or invalid.
        """
        stored = {**values, **reading_options(values), "format": values.get("format") or None}
        return from_json_values(cls, stored, error=DatasetError)

    @classmethod
    def remembered(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Return the part of a request, as JSON values, that also applies to later imports of the dataset."""
        return {name: value for name, value in values.items() if name not in _ONCE}


def reading_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a dataset with these options is read; earlier versions read labels literally."""
    return {
        "literal_labels": bool(options.get("literal_labels", True)),
        "class_level": int(options.get("class_level", 1)),
    }


def propose_name(source: Path) -> str:
    """Propose a dataset's name: that of the folder, or of the table or archive without its suffix."""
    name = source.stem if source.suffix and not source.is_dir() else source.name
    name = name.removesuffix(".tar")  # of pets.tar.gz
    return name.strip()[:_LONGEST_NAME] or "images"


def request_addition(request: ImportRequest, known: DatasetInfo | None, root: Path) -> ImportRequest:
    """Return the request to add `root` to the dataset it names.

    Raises:
        DatasetError: there is no such dataset, or its own images lie in this folder, or this folder among them.
    """
    if known is None:
        raise DatasetError(f"there is no dataset {request.name} to add images to", "import the labelled ones first")
    own = Path(known.root)
    if root in (own, *own.parents) or own in root.parents:
        raise DatasetError(
            f"{root} and {known.root}, where {known.name} comes from, lie in each other",
            "move the images without labels out of it, or import that folder again",
        )
    return replace(request, source=str(root), format=SourceFormat.UNLABELLED)


def merge_options(known: DatasetInfo | None, request: ImportRequest) -> dict[str, Any]:
    """Return the dataset's stored import options, with the folders that were added to it."""
    folders = imports.added_folders(None if known is None else known.options)
    if known is not None and request.unlabelled:
        return {**known.options, imports.UNLABELLED_FOLDERS: sorted({*folders, request.source})}
    kept = {} if known is None else {"kept_classes": [*known.options.get("kept_classes", []), *request.kept_classes]}
    return ImportRequest.remembered(request.to_json() | kept) | (
        {imports.UNLABELLED_FOLDERS: folders} if folders else {}
    )
