"""A patch: old -> new for every image whose label changed, and nothing of the others.

An image is named by its path within the dataset and by the hash of its content, so a patch never relabels another
file that happens to have the same name. `new` is None where the label is taken away (ambiguous, excluded), `old`
where there was none. A patch is written as JSON or CSV; both read back to the same value. In CSV an apostrophe stands
before what spreadsheets would run as a formula.
"""

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from hashlib import blake2b
from pathlib import Path

from core.data.export.items import ExportFormat, Plan
from core.data.formats.cells import escaped, unescaped
from core.types import DatasetError

KIND = "label patch"
JSON_NAME, CSV_NAME = "patch.json", "patch.csv"
SHOWN = 5  # changes named in a message


@dataclass(frozen=True, slots=True)
class Change:
    """One image's change; `verdict` and `method` say why and by whom (a person, or a bulk act)."""

    path: str
    content_hash: str
    old: str | None
    new: str | None
    verdict: str = ""
    method: str = ""

    def reversed(self) -> "Change":
        """Return what takes this change back."""
        return Change(self.path, self.content_hash, self.new, self.old, self.verdict, self.method)


@dataclass(frozen=True, slots=True)
class Patch:
    """Changes to one dataset, each path once, ordered by path."""

    dataset: str
    changes: tuple[Change, ...]
    columns: Mapping[str, str] = field(default_factory=dict)  # of the table it was imported from, where chosen by name

    @property
    def fingerprint(self) -> str:
        """Name the patch by its changes: the same changes, the same name."""
        text = json.dumps([[each.path, each.content_hash, each.old, each.new] for each in self.changes])
        return blake2b(text.encode(errors="surrogatepass"), digest_size=8).hexdigest()

    def reversed(self) -> "Patch":
        """Return the patch that takes this one back."""
        return Patch(self.dataset, tuple(change.reversed() for change in self.changes), self.columns)


def changes_of(plan: Plan) -> tuple[Change, ...]:
    """Return the changed images of a plan."""
    changed = (row for row in plan.rows if row.item.given != row.label)
    return _ordered(
        Change(row.item.name, row.item.content_hash, row.item.given, row.label, row.item.verdict, row.item.method.value)
        for row in changed
    )


def write_patch(folder: Path, plan: Plan) -> str:
    """Write the changes of a plan into `folder` and return the file's name."""
    changes = changes_of(plan)
    if plan.options.format is ExportFormat.PATCH_CSV:
        with (folder / CSV_NAME).open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, [item.name for item in fields(Change)], lineterminator="\n")
            writer.writeheader()
            raw = plan.options.raw
            writer.writerows(
                {name: cell and escaped(cell, raw=raw) for name, cell in asdict(change).items()} for change in changes
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
        DatasetError: there is none, or it is damaged.
    """
    if path.is_dir():
        path = next((path / name for name in (JSON_NAME, CSV_NAME) if (path / name).is_file()), path / JSON_NAME)
    try:
        if path.suffix.lower() == ".csv":
            patch = Patch("", _ordered(_read_csv(path)))
        else:
            values = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(values, dict) or values.get("kind") != KIND:
                raise DatasetError(f"{path}: is no label patch; export one with the format `patch`")
            columns = {str(name): str(column) for name, column in values.get("columns", {}).items()}
            patch = Patch(str(values.get("dataset", "")), _ordered(map(_change, values["changes"])), columns)
    except FileNotFoundError:
        raise DatasetError(f"{path}: there is no such patch; name {JSON_NAME}, {CSV_NAME} or their folder") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(f"{path}: cannot be read as a label patch ({error}); export it again") from error
    paths = [change.path for change in patch.changes]
    if len(set(paths)) < len(paths):
        raise DatasetError(f"{path}: names an image twice; export it again")
    return patch


def described(changes: Iterable[str], count: int) -> str:
    """Name the first few of `count` things."""
    shown = [text for text, _ in zip(changes, range(SHOWN), strict=False)]
    return "; ".join(shown) + (f"; and {count - len(shown)} more" if count > len(shown) else "")


def _read_csv(path: Path) -> list[Change]:
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        wanted = {item.name for item in fields(Change)}
        if not wanted <= set(reader.fieldnames or ()):
            raise DatasetError(f"{path}: is no label patch, its columns must be {', '.join(sorted(wanted))}")
        return [_change({name: (cell := row[name]) and unescaped(cell) for name in wanted}) for row in reader]


def _change(values: dict[str, str | None]) -> Change:
    return Change(
        path=str(values["path"]),
        content_hash=str(values["content_hash"]),
        old=values["old"] or None,
        new=values["new"] or None,
        verdict=values.get("verdict") or "",
        method=values.get("method") or "",
    )


def _ordered(changes: Iterable[Change]) -> tuple[Change, ...]:
    return tuple(sorted(changes, key=lambda change: change.path))
