"""JSON files of annotations nobody has vetted, and the images that they name."""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar
from urllib.parse import parse_qs, unquote

from core.data.formats.mask_folders import bases, image_files
from core.data.formats.source import SPLITS, Problems, ReadOptions
from core.data.formats.walk import folders_in, is_ignored
from core.types import DatasetError

Value = TypeVar("Value")

FOLDER = "annotations"
_SNIFFED = 1 << 20  # bytes at either end of a file
_LOOKED_AT = 50  # files
_UPLOADED = re.compile(r"[0-9a-f]{8}-")  # before the name of a file that was uploaded to Label Studio


def find_json(source: Path, sniff: Callable[[str], bool]) -> list[Path]:
    """Return the JSON files, of a folder or its usual folders below, whose beginning and end look right."""
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
    """Return what a file holds, a dict or a list as `kind` says.

    Raises:
        DatasetError: it cannot be read, or is no JSON of this kind.
    """
    try:
        values = json.loads(path.read_bytes())
    except json.JSONDecodeError as error:
        raise DatasetError(
            f"{path.name}: is broken JSON at line {error.lineno}, column {error.colno} ({error.msg}); export it again"
        ) from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path.name}: is broken JSON ({error}); export it again") from error
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror or error}); check its rights") from error
    if not isinstance(values, kind):
        raise DatasetError(
            f"{path.name}: holds no {kind.__name__} at its top; export it again, or choose another format"
        )
    return values


def read_all(paths: list[Path], kind: type[Value], problems: Problems) -> Iterator[tuple[Path, Value]]:
    """Yield what each file holds; of several, a broken one is a problem.

    Raises:
        DatasetError: the only one is broken.
    """
    for path in paths:
        try:
            yield path, read_json(path, kind)
        except DatasetError as error:
            if len(paths) == 1:
                raise
            problems.error("broken JSON", path.name, str(error), "export it again")


def image_root(source: Path) -> Path:
    """Return the folder that an annotation file's images lie in."""
    if source.is_dir():
        return source
    return source.parent.parent if source.parent.name.lower() == FOLDER else source.parent


def objects(value: Any, key: str) -> list[dict[str, Any]]:  # noqa: ANN401 whatever the file holds
    """Return the objects in the list called `key`; what is none is passed over."""
    found = value.get(key) if isinstance(value, dict) else None
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


class Images:
    """The images of a source, found by what annotations call them."""

    def __init__(self, root: Path, options: ReadOptions, problems: Problems) -> None:
        """List them all."""
        self.root = root
        self.problems = problems
        self.named: set[str] = set()
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for name in image_files(root, options, problems):
            self._by_name[PurePosixPath(name).name].append(name)

    def has(self, path: str) -> bool:
        """Whether an image lies at exactly this path below the root."""
        return path in self._by_name.get(PurePosixPath(path).name, ())

    def find(self, written: str, near: Path, split: str = "") -> str | None:
        """Return the image called `written` in a file that lies in the folder `near`; None is a problem."""
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
        """Return the image called `written`, by its path or by an address; None: there is none, or no single one.

        The same path from the root, else the only one whose path ends so, lies near or in the split's folder, else
        the only one of that file name.
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
        """Say how many images no annotation file names."""
        count = sum(map(len, self._by_name.values())) - len(self.named)
        if count:
            self.problems.warn(
                "not in the annotations",
                ".",
                f"{count:,} images are in no annotation file; they are left out",
                "nothing, if that is right; to have all images without labels, import with --format unlabelled",
            )

    def _prefix(self, near: Path) -> str:
        return "" if near == self.root else f"{near.relative_to(self.root).as_posix()}/"


def spellings(written: str) -> list[str]:
    """Return the names that a path or an address may stand for: of a local file, of an upload, without its query."""
    address, _, query = written.partition("?")
    local = parse_qs(query).get("d", [])
    names = [name for text in (*local, written, address) for name in (text, unquote(text))]
    uploaded = [f"{folder}{slash}{_UPLOADED.sub('', tail, count=1)}" for folder, slash, tail in map(_parted, names)]
    return [*names, *uploaded]


def _parted(name: str) -> tuple[str, str, str]:
    return name.rpartition("/")


def _plain(written: str) -> str:
    return written.replace("\\", "/").removeprefix("./").lstrip("/")


def split_in(name: str) -> str:
    """Return the split that the name of a file or folder says: `instances_train2017` is train."""
    words = re.findall(r"[a-z]+", name.lower())
    return next((SPLITS[word] for word in words if word in SPLITS), "")


def _narrower(candidates: list[str], path: str, near: str, split: str) -> Iterator[list[str]]:
    ending = [name for name in candidates if name.endswith(f"/{path}")]
    yield [name for name in candidates if name == f"{near}{path}"]
    yield ending
    yield [name for name in ending or candidates if split and split_in(str(PurePosixPath(name).parent)) == split]
    yield candidates


def _ends(path: Path) -> str:
    """Return the beginning and the end of a file, nothing where it cannot be read."""
    try:
        with path.open("rb") as file:
            head = file.read(_SNIFFED)
            file.seek(max(_SNIFFED, path.stat().st_size - _SNIFFED))
            return (head + b"\n" + file.read(_SNIFFED)).decode("utf-8", "replace")
    except OSError:
        return ""
