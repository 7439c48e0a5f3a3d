"""A patch: old and new label of every image whose label changed.

An image is identified by its path within the dataset and by the hash of its content, so a patch never relabels another
file of the same name. `new` is None if the label is removed (ambiguous, excluded), `old` if there was none. A patch is
written as JSON or CSV; both read back to the same value. In CSV, text that spreadsheets would run as a formula has an
apostrophe before it.
"""

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from hashlib import blake2b
from pathlib import Path

from core.data.export.items import ExportFormat, ExportPlan
from core.data.formats.cells import escape_cell, unescape_cell
from core.types import DatasetError

KIND = "label patch"
JSON_NAME, CSV_NAME = "patch.json", "patch.csv"
SHOWN = 5  # changes named in a message


@dataclass(frozen=True, slots=True)
class LabelChange:
    """One image's change, with its verdict; `method` is a person or a bulk act."""

    path: str
    content_hash: str
    old: str | None
    new: str | None
    verdict: str = ""
    method: str = ""

    def inverse(self) -> "LabelChange":
        """Return the change that reverts this one."""
        return LabelChange(self.path, self.content_hash, self.new, self.old, self.verdict, self.method)


@dataclass(frozen=True, slots=True)
class Patch:
    """Changes to one dataset, each path once, ordered by path."""

    dataset: str
    changes: tuple[LabelChange, ...]
    columns: Mapping[str, str] = field(default_factory=dict)  # of the table it was imported from, where chosen by name

    @property
    def fingerprint(self) -> str:
        """Return a hash of the changes, in order."""
        text = json.dumps([[each.path, each.content_hash, each.old, each.new] for each in self.changes])
        return blake2b(text.encode(errors="surrogatepass"), digest_size=8).hexdigest()

    def inverse(self) -> "Patch":
        """Return the patch that reverts this one."""
        return Patch(self.dataset, tuple(change.inverse() for change in self.changes), self.columns)


def changes_of(plan: ExportPlan) -> tuple[LabelChange, ...]:
    """Return the images of a plan whose label differs from their source's, with class names as in the source."""
    changed = (row for row in plan.rows if row.item.given_in_source != row.label)
    return _by_path(
        LabelChange(
            row.item.name,
            row.item.content_hash,
            row.item.given_in_source,
            row.label,
            row.item.verdict,
            row.item.method.value,
        )
        for row in changed
    )


def write_patch(folder: Path, plan: ExportPlan) -> str:
    """Write the changes of a plan into `folder` and return the file's name."""
    changes = changes_of(plan)
    if plan.options.format is ExportFormat.PATCH_CSV:
        with (folder / CSV_NAME).open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, [item.name for item in fields(LabelChange)], lineterminator="\n")
            writer.writeheader()
            raw = plan.options.raw
            writer.writerows(
                {name: cell and escape_cell(cell, raw=raw) for name, cell in asdict(change).items()}
                for change in changes
            )
        return CSV_NAME
    values = {
        "tool": "outfold",
        "kind": KIND,
        "dataset": plan.source.name,
        "columns": dict(plan.source.columns),
        "changes": [asdict(change) for change in changes],
    }
    text = json.dumps(values, ensure_ascii=False, indent=1) + "\n"
    (folder / JSON_NAME).write_text(text, encoding="utf-8")
    return JSON_NAME


def read_patch(path: Path) -> Patch:
    """Return the patch in a file, or in the folder of an export.

    Raises:
        DatasetError: it is missing or damaged.
    """
    if path.is_dir():
        path = next((path / name for name in (JSON_NAME, CSV_NAME) if (path / name).is_file()), path / JSON_NAME)
    try:
        if path.suffix.lower() == ".csv":
            patch = Patch("", _by_path(_read_csv(path)))
        else:
            values = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(values, dict) or values.get("kind") != KIND:
                raise DatasetError(f"{path}: is not a label patch", "export one with the format `patch`")
            columns = {str(name): str(column) for name, column in values.get("columns", {}).items()}
            patch = Patch(str(values.get("dataset", "")), _by_path(map(_change, values["changes"])), columns)
    except FileNotFoundError:
        raise DatasetError(f"{path}: there is no such patch", f"name {JSON_NAME}, {CSV_NAME} or their folder") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(f"{path}: cannot be read as a label patch ({error})", "export it again") from error
    paths = [change.path for change in patch.changes]
    if len(set(paths)) < len(paths):
        raise DatasetError(f"{path}: names an image twice", "export it again")
    return patch


def list_some(changes: Iterable[str], count: int) -> str:
    """Return the first few of `count` items as text."""
    shown = [text for text, _ in zip(changes, range(SHOWN), strict=False)]
    return "; ".join(shown) + (f"; and {count - len(shown)} more" if count > len(shown) else "")


def _read_csv(path: Path) -> list[LabelChange]:
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        wanted = {item.name for item in fields(LabelChange)}
        if not wanted <= set(reader.fieldnames or ()):
            raise DatasetError(f"{path}: is not a label patch, its columns must be {', '.join(sorted(wanted))}")
        return [_change({name: (cell := row[name]) and unescape_cell(cell) for name in wanted}) for row in reader]


def _change(values: dict[str, str | None]) -> LabelChange:
    return LabelChange(
        path=str(values["path"]),
        content_hash=str(values["content_hash"]),
        old=values["old"] or None,
        new=values["new"] or None,
        verdict=values.get("verdict") or "",
        method=values.get("method") or "",
    )


def _by_path(changes: Iterable[LabelChange]) -> tuple[LabelChange, ...]:
    return tuple(sorted(changes, key=lambda change: change.path))
