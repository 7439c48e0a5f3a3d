"""Names and colours of classes in files beside the masks, as other programs and Outfold write them.

A line is a name, or a name with red, green, blue in either order, as in CamVid's `label_colors.txt`, CVAT's
`labelmap.txt` and tables with a header `name,r,g,b`. Several colours of one name are one class. A class called void,
ignore or unlabelled is no class: its pixels are IGNORE. Outfold's own `classes.csv` (id, name, r, g, b) has the colour
of IGNORE in a row with the id `ignore`, so that there any class may have any name.

Ids in a file are respected: a column `id`, lines like `2: dog`, JSON like {"dog": 2} or {"2": "dog"}. The classes are
then in the order of their ids, and an id that is not in the file is not a class. Elsewhere the id is the row.
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.data.masks.colours import IGNORED, Code, class_table, code_of, free_colour, rgb_of
from core.data.storage import write_atomically
from core.types import ClassTable, DatasetError

BACKGROUND = "background"  # the class of uncovered pixels
OWN = "classes.csv"
FILES = (
    OWN,
    "label_colors.txt",
    "label_colours.txt",
    "labelmap.txt",
    "class_dict.csv",
    "classes.txt",
    "class_names.txt",
    "labels.txt",
    "classes.json",
)
_NOBODY = {"void", "ignore", "ignored", "unlabelled", "unlabeled"}
_IGNORE = "ignore"
_LARGEST_ID = 65_534
_LARGEST = 1 << 20  # bytes; no list of classes is larger
_RGB_FIRST = re.compile(r"(\d{1,3})[\s,;]+(\d{1,3})[\s,;]+(\d{1,3})[\s,;]+(.*\S)")
_NAME_FIRST = re.compile(r"(.*?\S)[\s,;:]+(\d{1,3})[\s,;]+(\d{1,3})[\s,;]+(\d{1,3})(?:[\s,;:].*)?")
_NUMBERED = re.compile(r"(\d{1,5})\s*(?:[:;,=\t]|\s)\s*(.*\S)")
_IDS = ("id", "class_id", "label_id", "value", "index")
_HEADER = (
    {"name": "name", "class": "name", "label": "name", "class_name": "name"}
    | dict.fromkeys(_IDS, "id")
    | {word: word[0] for word in ("r", "red", "g", "green", "b", "blue")}
)

Row = tuple[str | None, str | None]  # name (None: IGNORE) and colour


@dataclass(frozen=True, slots=True)
class Declared:
    """Declared classes: the table, the class of each colour, and the class of each id in a file.

    `colours` is empty if only names were declared; `others_ignored`: any other colour is IGNORE. `explicit`: the file
    has the ids, so that `values` has all of them; else only those whose class has another id. `complete`: the file was
    written by Outfold and also declares IGNORE, so no guess is needed.
    """

    table: ClassTable
    colours: tuple[Code, ...]
    values: tuple[tuple[int, int], ...]
    others_ignored: bool = False
    explicit: bool = False
    complete: bool = False

    @property
    def by_id(self) -> dict[int, int]:
        """Return the class of every id with a class, IGNORED included."""
        return ({} if self.explicit else {number: number for number in range(len(self.table))}) | dict(self.values)


def declare(rows: Iterable[Row], *, others_ignored: bool = False) -> Declared:
    """Return the classes that these rows declare; the number of a row is the id of its class in files of ids."""
    ids: dict[str, int] = {}
    colours: list[str | None] = []
    codes: list[Code] = []
    values = []
    for value, (name, colour) in enumerate(rows):
        number = IGNORED if name is None else ids.setdefault(name, len(ids))
        if number == len(colours):
            colours.append(colour)
        if colour is not None:
            codes.append((code_of(colour), number))
        if number != value:
            values.append((value, number))
    return Declared(class_table(list(ids), colours), tuple(codes), tuple(values), others_ignored)


def declare_ids(rows: Mapping[int, Row]) -> Declared:
    """Return the classes that rows with ids declare, in the order of their ids."""
    numbers = sorted(rows)
    declared = declare(rows[number] for number in numbers)
    meant = declared.by_id
    return replace(
        declared, values=tuple((number, meant[place]) for place, number in enumerate(numbers)), explicit=True
    )


def without_values(declared: Declared) -> Declared:
    """Return the same classes with file ids equal to those of the table."""
    return replace(declared, values=())


def parse_names(text: str) -> Declared:
    """Return the classes of a comma-separated list of names."""
    return _declare_named([(name.strip(), None) for name in text.split(",") if name.strip()])


def find_declared(*folders: Path) -> Path | None:
    """Return the first usual file of classes in these folders."""
    return next((folder / name for folder in folders for name in FILES if (folder / name).is_file()), None)


def read_declared(path: Path, *, numbered: bool = True) -> Declared:
    """Return the classes that a file declares; `numbered`: its ids are respected.

    Raises:
        DatasetError: it cannot be read, or declares no class.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise DatasetError(f"{path}: is too large for a list of classes", "name the right file")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror or error})", "check path and rights") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path.name}: is not UTF-8 text ({error.reason})", "save it as UTF-8") from error
    declared = _parse(path.name, text, numbered=numbered)
    if not len(declared.table):
        raise DatasetError(f"{path.name}: declares no class", "write one per line, as in: 128 0 0 Building")
    meanings: dict[int, int] = {}
    for code, number in declared.colours:
        if meanings.setdefault(code, number) != number:
            raise DatasetError(f"{path.name}: two classes have the colour #{code:06x}", "give each its own")
    return declared


def write_classes(folder: Path, table: ClassTable, wanted: str = "#000000") -> tuple[ClassTable, str]:
    """Write a table so that `read_declared` returns it, with any names.

    Return the table as written, in which every colour is of one class only, and the colour of IGNORE: the `wanted` one
    if no class has it.
    """
    table = class_table(table.names, table.colours)
    ignore_colour = free_colour(table, [wanted, "#ffffff"])
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(("id", "name", "r", "g", "b"))
    writer.writerows((number, name, *rgb_of(table.colours[number])) for number, name in enumerate(table.names))
    writer.writerow((_IGNORE, "", *rgb_of(ignore_colour)))
    write_atomically(folder / OWN, text.getvalue().encode())
    return table, ignore_colour


def _parse(name: str, text: str, *, numbered: bool) -> Declared:
    if name.lower().endswith(".json"):
        return _parse_json(name, text)
    header, *rows = list(csv.reader(io.StringIO(text, newline=""))) or [[]]
    columns = _columns(header, rows if numbered else [])
    if "name" in columns and (len(columns) > 1 or name.lower().endswith(".csv")):
        cells = [dict(zip(columns, row, strict=False)) for row in rows if any(row)]
        own = any(row.get("id") == _IGNORE for row in cells)
        found = [_row_of_cells(name, row) for row in cells]
        if own:
            return replace(without_values(declare(found)), complete=True)  # the row of IGNORE is not an id
        entries: list[Row] = [(str(label).strip(), colour) for label, colour in found]
        if numbered and "id" in columns:
            return _by_ids(name, [(row.get("id", ""), *row_) for row, row_ in zip(cells, entries, strict=True)])
        return _declare_named(entries)
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not _is_comment(line)]
    if numbered and (found_ids := _numbered_lines(lines)):
        return _by_ids(name, found_ids)
    return _declare_named([_row_of_line(name, line) for line in lines])


def _columns(header: list[str], rows: list[list[str]]) -> list[str | None]:
    """Return the role of each column; of two candidates for the names, one of digits only is the id."""
    columns = [_HEADER.get(cell.strip().lower()) for cell in header]
    names = [at for at, column in enumerate(columns) if column == "name"]
    if len(names) == 2 and "id" not in columns:  # noqa: PLR2004 label,name
        cells = {at: [row[at].strip() for row in rows if any(row) and at < len(row)] for at in names}
        numbered = [at for at in names if cells[at] and all(cell.isascii() and cell.isdigit() for cell in cells[at])]
        if len(numbered) == 1:
            columns[numbered[0]] = "id"
    return columns


def _numbered_lines(lines: list[str]) -> list[tuple[str, str | None, str | None]]:
    """Return id, name and no colour of each line like `2: dog`; empty unless all lines are like this.

    If only a blank separates them, as in `2 dog`, the ids must also count from 0 or 1, else they are parts of names.
    """
    found = [_NUMBERED.fullmatch(line) for line in lines]
    if not all(found) or any(_RGB_FIRST.fullmatch(line) for line in lines):
        return []
    whole = [match for match in found if match]
    ids = [int(match[1]) for match in whole]
    marked = all(re.match(r"\d+\s*[:;,=\t]", line) for line in lines)
    if len(set(ids)) < len(ids) or not (marked or ids in ([*range(len(ids))], [*range(1, len(ids) + 1)])):
        return []
    return [(match[1], match[2], None) for match in whole]


def _by_ids(file: str, rows: Iterable[tuple[str, str | None, str | None]]) -> Declared:
    found: dict[int, Row] = {}
    for written, name, colour in rows:
        text = written.strip()
        if not (text.isascii() and text.isdigit() and int(text) <= _LARGEST_ID):
            raise DatasetError(
                f"{file}: the id {text[:40]!r} is not a whole number from 0 to {_LARGEST_ID}", "correct it"
            )
        if int(text) in found:
            raise DatasetError(f"{file}: the id {text} is given twice", "give each class its own")
        found[int(text)] = _row(name, colour)
    return declare_ids(found)


def _declare_named(rows: list[Row]) -> Declared:
    return declare(_row(name, colour) for name, colour in rows)


def is_void(name: str) -> bool:
    """Return whether a class of this name means IGNORE."""
    return name.strip().lower() in _NOBODY


def _row(name: str | None, colour: str | None) -> Row:
    return (None if name is None or is_void(name) else name), colour


def _is_comment(line: str) -> bool:
    return line.startswith("#")


def _row_of_cells(file: str, row: dict[str | None, str]) -> Row:
    colour = None
    if all(row.get(letter, "").strip() for letter in "rgb"):
        colour = _colour(file, [row[letter].strip() for letter in "rgb"])
    return (None if row.get("id") == _IGNORE else row.get("name", "")), colour


def _row_of_line(file: str, line: str) -> Row:
    if found := _RGB_FIRST.fullmatch(line):
        return found[4], _colour(file, [found[1], found[2], found[3]])
    if found := _NAME_FIRST.fullmatch(line):
        return found[1], _colour(file, [found[2], found[3], found[4]])
    return line.rstrip(":"), None


def _parse_json(file: str, text: str) -> Declared:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{file}: is no JSON ({error})", "correct it") from error
    if isinstance(values, list):
        return _declare_named([_row_of_value(file, value) for value in values])
    if not isinstance(values, dict):
        raise DatasetError(f'{file}: is neither a list of names nor {{"name": [r, g, b]}}', "write one of them")
    if values and all(isinstance(value, str) and key.strip().isdigit() for key, value in values.items()):
        return _by_ids(file, [(key, value, None) for key, value in values.items()])
    if values and all(isinstance(value, int) and not isinstance(value, bool) for value in values.values()):
        return _by_ids(file, [(str(value), key, None) for key, value in values.items()])
    return _declare_named([(str(name), _colour(file, colour)) for name, colour in values.items()])


def _row_of_value(file: str, value: Any) -> Row:  # noqa: ANN401 whatever the file holds
    if not isinstance(value, dict):
        return str(value), None
    colour = value.get("color") or value.get("colour")
    return str(value.get("name", "")), None if colour is None else _colour(file, colour)


def _colour(file: str, values: Any) -> str:  # noqa: ANN401 whatever the file holds
    try:
        red, green, blue = bytes(int(value) for value in values)  # raises for values outside a byte
    except (TypeError, ValueError) as error:
        raise DatasetError(f"{file}: {values!r} is not a colour", "write red, green, blue from 0 to 255") from error
    return f"#{red:02x}{green:02x}{blue:02x}"
