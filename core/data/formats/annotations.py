"""Untrusted JSON files of annotations, the images that they name, and boxes without a shape.

A box in COCO, CVAT and YOLO gives no class to each of its pixels. Unless the option `boxes` says otherwise its image
has no mask, since the content of the box would become background.
"""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar
from urllib.parse import parse_qs, unquote

from core.data.formats.mask_folders import bases, image_files
from core.data.formats.source import READING, SPLITS, Problems, Question, ReadOptions, ask
from core.data.formats.walk import folders_in, is_ignored
from core.data.masks.colours import IGNORED
from core.types import Cure, DatasetError, counted

Value = TypeVar("Value")

FOLDER = "annotations"
_SNIFFED = 1 << 20  # bytes read at either end of a file
_LOOKED_AT = 50  # files
_UPLOADED = re.compile(r"[0-9a-f]{8}-")  # before the name of a file that was uploaded to Label Studio

BOX_CURE = f"draw a shape; or choose {Cure.BOXES_IGNORE}, or {Cure.BOXES_SKIP}"


def find_json(source: Path, sniff: Callable[[str], bool]) -> list[Path]:
    """Return the JSON files of a folder, or of its usual subfolders, whose beginning and end match."""
    if source.is_file():
        return [source] if source.suffix.lower() == ".json" and sniff(_ends(source)) else []
    for base in bases(source):
        below = [base / name for name in folders_in(base) if name.lower() in {FOLDER, *SPLITS}]
        paths = [path for folder in (base, *below) for path in sorted(folder.glob("*.json")) if path.is_file()]
        found = [path for path in paths[:_LOOKED_AT] if not is_ignored(path.name) and sniff(_ends(path))]
        if found:
            return found
    return []


def read_json(path: Path, kind: type[Value]) -> Value:
    """Return the content of a file, a dict or a list by `kind`.

    Raises:
        DatasetError: it cannot be read, or is not JSON of this kind.
    """
    try:
        values = json.loads(path.read_bytes())
    except json.JSONDecodeError as error:
        raise DatasetError(
            f"{path.name}: is broken JSON at line {error.lineno}, column {error.colno} ({error.msg})", "export it again"
        ) from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path.name}: is broken JSON ({error})", "export it again") from error
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror or error})", "check its rights") from error
    if not isinstance(values, kind):
        raise DatasetError(
            f"{path.name}: holds no {kind.__name__} at its top", "export it again, or choose another format"
        )
    return values


def read_all(paths: list[Path], kind: type[Value], problems: Problems) -> Iterator[tuple[Path, Value]]:
    """Yield the content of each file; one broken file of several is a problem.

    Raises:
        DatasetError: the only file is broken.
    """
    for path in paths:
        try:
            yield path, read_json(path, kind)
        except DatasetError as error:
            if len(paths) == 1:
                raise
            problems.error("broken JSON", path.name, str(error), "export it again")


def image_root(source: Path) -> Path:
    """Return the folder of an annotation file's images."""
    if source.is_dir():
        return source
    return source.parent.parent if source.parent.name.lower() == FOLDER else source.parent


def objects(value: Any, key: str) -> list[dict[str, Any]]:  # noqa: ANN401 whatever the file holds
    """Return the objects in the list `key`; other values are skipped."""
    found = value.get(key) if isinstance(value, dict) else None
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


class ImageIndex:
    """Index of a source's images by the names that annotations use."""

    def __init__(self, root: Path, options: ReadOptions, problems: Problems) -> None:
        """Index all images of the source."""
        self.root = root
        self.problems = problems
        self.named: set[str] = set()
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for name in image_files(root, options, problems):
            self._by_name[PurePosixPath(name).name].append(name)

    def has(self, path: str) -> bool:
        """Return whether an image lies at exactly this path below the root."""
        return path in self._by_name.get(PurePosixPath(path).name, ())

    def find(self, written: str, near: Path, split: str = "") -> str | None:
        """Return the image named `written` in a file of the folder `near`; None, with a problem, if it is missing."""
        found = self.look(written, near, split)
        if found is None:
            count = max(len(self._candidates(name)) for name in spellings(written))
            what = f"{count} images have this name" if count else "there is no such image"
            self.problems.error("unknown image", written[:300], what, "put it at the path the annotations name")
        elif found in self.named:
            self.problems.error("annotated twice", found, "a second entry names it; the first one counts", "remove one")
            return None
        else:
            self.named.add(found)
        return found

    def look(self, written: str, near: Path, split: str = "") -> str | None:
        """Return the image named `written`, by its path or URL; None if there is none, or more than one.

        It is the one at this path from the root, else the only one whose path ends with it and is near or in the
        split's folder, else the only one of that file name.
        """
        name = next((name for name in spellings(written) if self._candidates(name)), written)
        path = _plain(name)
        candidates = self._candidates(name)
        found = next((name for name in candidates if name == path), None)
        for chosen in _narrower(candidates, path, self._prefix(near), split):
            found = found or (chosen[0] if len(chosen) == 1 else None)
        return found

    def _candidates(self, written: str) -> list[str]:
        return self._by_name.get(PurePosixPath(_plain(written)).name, [])

    def note_unnamed(self) -> None:
        """Add a problem with the number of images that no annotation file names."""
        count = sum(map(len, self._by_name.values())) - len(self.named)
        if count:
            self.problems.warn(
                "not in the annotations",
                ".",
                f"in no annotation file, and left out: {counted(count, 'image')}",
                f"nothing, if that is right; to have all images without labels: {Cure.FORMAT_UNLABELLED}",
            )

    def _prefix(self, near: Path) -> str:
        return "" if near == self.root else f"{near.relative_to(self.root).as_posix()}/"


def spellings(written: str) -> list[str]:
    """Return the possible file names of a path or URL: of a local file, of an upload, without its query."""
    address, _, query = written.partition("?")
    local = parse_qs(query).get("d", [])
    names = [name for text in (*local, written, address) for name in (text, unquote(text))]
    uploaded = [f"{folder}{slash}{_UPLOADED.sub('', tail, count=1)}" for folder, slash, tail in map(_split_url, names)]
    return [*names, *uploaded]


def _split_url(name: str) -> tuple[str, str, str]:
    return name.rpartition("/")


def _plain(written: str) -> str:
    return written.replace("\\", "/").removeprefix("./").lstrip("/")


def split_in(name: str) -> str:
    """Return the split in the name of a file or folder: `instances_train2017` is train."""
    words = re.findall(r"[a-z]+", name.lower())
    return next((SPLITS[word] for word in words if word in SPLITS), "")


def _narrower(candidates: list[str], path: str, near: str, split: str) -> Iterator[list[str]]:
    ending = [name for name in candidates if name.endswith(f"/{path}")]
    yield [name for name in candidates if name == f"{near}{path}"]
    yield ending
    yield [name for name in ending or candidates if split and split_in(str(PurePosixPath(name).parent)) == split]
    yield candidates


def _ends(path: Path) -> str:
    """Return the beginning and the end of a file, empty if it cannot be read."""
    try:
        with path.open("rb") as file:
            head = file.read(_SNIFFED)
            file.seek(max(_SNIFFED, path.stat().st_size - _SNIFFED))
            return (head + b"\n" + file.read(_SNIFFED)).decode("utf-8", "replace")
    except OSError:
        return ""


def box_shape(kind: str, values: Any, what: str, options: ReadOptions) -> list[Any] | None:  # noqa: ANN401 as the file has it
    """Return the shape of a box, [class, kind, values] as in `segments`; None to skip it."""
    if options.boxes == "skip":
        return None
    if options.boxes == "ignore":
        return [IGNORED, kind, values]
    return [0, "fault", ["box without a shape", f"{what} and has no shape", BOX_CURE]]


def boxes_question(count: int, options: ReadOptions) -> list[Question]:
    """Return the question about this number of boxes; empty without boxes, or if an option answers it."""
    if not count or options.boxes or options.reading < READING:
        return []
    return [
        ask(
            "boxes",
            "boxes without a shape",
            f"Boxes without a shape: {counted(count, 'annotation')}, whose images come without a mask. Are the "
            "pixels of these boxes to be ignored instead?",
            {"yes, ignore the boxes' pixels": "ignore", "no, skip these annotations": "skip"},
            blocking=False,
        )
    ]
