"""Names and colours of classes as people declare them beside their masks, and as Outfold writes them.

A line is a name, or a name with red, green, blue in either order, as in CamVid's `label_colors.txt`, CVAT's
`labelmap.txt` and tables with a header `name,r,g,b`. Several colours of one name are one class. A class called void,
ignore or unlabelled is no class: its pixels are IGNORE. Outfold's own `classes.csv` (id, name, r, g, b) says instead
which colour that is, in a row with the id `ignore`, so there any class may have any name.
"""

import csv
import io
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.data.masks.colours import IGNORED, Code, class_table, code_of, free_colour, rgb_of
from core.data.storage import write_atomically
from core.types import ClassTable, DatasetError

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
_LARGEST = 1 << 20  # bytes; no list of classes is larger
_RGB_FIRST = re.compile(r"(\d{1,3})[\s,;]+(\d{1,3})[\s,;]+(\d{1,3})[\s,;]+(.*\S)")
_NAME_FIRST = re.compile(r"(.*?\S)[\s,;:]+(\d{1,3})[\s,;]+(\d{1,3})[\s,;]+(\d{1,3})(?:[\s,;:].*)?")
_HEADER = {"name": "name", "class": "name", "label": "name", "class_name": "name", "id": "id"} | {
    word: word[0] for word in ("r", "red", "g", "green", "b", "blue")
}

Row = tuple[str | None, str | None]  # name (None: IGNORE) and colour


@dataclass(frozen=True, slots=True)
class Declared:
    """Classes as declared: the table, what each colour means, and what each id in a file means.

    `colours` is empty where only names were declared; `others_ignored`: any other colour is IGNORE.
    """

    table: ClassTable
    colours: tuple[Code, ...]
    values: tuple[tuple[int, int], ...]  # only those ids whose class has another id
    others_ignored: bool = False


def declare(rows: Iterable[Row], *, others_ignored: bool = False) -> Declared:
    """Return what these rows declare; the number of a row is the id of its class in files of ids."""
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


def without_values(declared: Declared) -> Declared:
    """Return the same for files of ids that are those of the table, whatever the order of the rows."""
    return replace(declared, values=())


def names_from(text: str) -> Declared:
    """Return the classes of a list of names with commas between."""
    return _without_nobody([(name.strip(), None) for name in text.split(",") if name.strip()])


def find_declared(*folders: Path) -> Path | None:
    """Return the first usual file of classes in these folders."""
    return next((folder / name for folder in folders for name in FILES if (folder / name).is_file()), None)


def read_declared(path: Path) -> Declared:
    """Return what a file declares.

    Raises:
        DatasetError: it cannot be read, or declares no class.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise DatasetError(f"{path}: is too large for a list of classes; name the right file")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror or error}); check path and rights") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path.name}: is not UTF-8 text ({error.reason}); save it as UTF-8") from error
    declared = _parsed(path.name, text)
    if not len(declared.table):
        raise DatasetError(f"{path.name}: declares no class; write one a line, as in: 128 0 0 Building")
    meanings: dict[int, int] = {}
    for code, number in declared.colours:
        if meanings.setdefault(code, number) != number:
            raise DatasetError(f"{path.name}: two classes have the colour #{code:06x}; give each its own")
    return declared


def write_classes(folder: Path, table: ClassTable, wanted: str = "#000000") -> tuple[ClassTable, str]:
    """Write a table so that `read_declared` returns it, whatever the names are.

    Return it as written, where every colour is of one class only, and the colour that means IGNORE: the `wanted` one
    where no class has it.
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


def _parsed(name: str, text: str) -> Declared:
    if name.lower().endswith(".json"):
        return _without_nobody(_rows_of_json(name, text))
    header, *rows = list(csv.reader(io.StringIO(text, newline=""))) or [[]]
    columns = [_HEADER.get(cell.strip().lower()) for cell in header]
    if "name" in columns and (len(columns) > 1 or name.lower().endswith(".csv")):
        cells = [dict(zip(columns, row, strict=False)) for row in rows if any(row)]
        own = any(row.get("id") == _IGNORE for row in cells)
        found = [_row_of_cells(name, row) for row in cells]
        if own:
            return without_values(declare(found))  # the row of IGNORE is no id
        return _without_nobody([(str(label).strip(), colour) for label, colour in found])
    lines = [line.strip() for line in text.splitlines()]
    return _without_nobody([_row_of_line(name, line) for line in lines if line and not _is_comment(line)])


def _without_nobody(rows: list[Row]) -> Declared:
    return declare((None if name is None or name.lower() in _NOBODY else name, colour) for name, colour in rows)


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


def _rows_of_json(file: str, text: str) -> list[Row]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{file}: is no JSON ({error}); correct it") from error
    if isinstance(values, dict):
        return [(str(name), _colour(file, colour)) for name, colour in values.items()]
    if isinstance(values, list):
        return [_row_of_value(file, value) for value in values]
    raise DatasetError(f'{file}: is neither a list of names nor {{"name": [r, g, b]}}; write one of them')


def _row_of_value(file: str, value: Any) -> Row:  # noqa: ANN401 whatever the file holds
    if not isinstance(value, dict):
        return str(value), None
    colour = value.get("color") or value.get("colour")
    return str(value.get("name", "")), None if colour is None else _colour(file, colour)


def _colour(file: str, values: Any) -> str:  # noqa: ANN401 whatever the file holds
    try:
        red, green, blue = bytes(int(value) for value in values)  # refuses what is no byte
    except (TypeError, ValueError) as error:
        raise DatasetError(f"{file}: {values!r} is no colour; write red, green, blue from 0 to 255") from error
    return f"#{red:02x}{green:02x}{blue:02x}"
