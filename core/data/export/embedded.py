"""Parquet with embedded images, as the `datasets` library writes it: shards of each split, class names in the schema.

`data/train-00000-of-00002.parquet`: `image` is a structure of bytes and path, `label` a ClassLabel, null if there is
none; the other columns are those of every table of labels. Images without a split are `train`, or `no_split` beside
others. Rows are in the plan's order, and two exports of one state are the same bytes.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pyarrow.lib as pa
import pyarrow.parquet as pq

from core.data.export.items import ExportItem, Row
from core.data.export.layouts import ExportLayout, file_name
from core.data.export.names import FileNames
from core.data.export.placing import HASH_BYTES, Report, ShouldStop, refuse_changed, stop_if
from core.data.export.tables import COLUMNS, cells
from core.data.formats.shards import CellReader, open_shards, text_rows
from core.data.formats.source import Problems, ReadOptions, group_name, split_name
from core.data.store import local
from core.types import ExportError

FOLDER = "data"
_IMAGE, _LABEL = "image", "label"
_STANDARD = {"val": "validation"}  # name in `datasets`
_SHARD_BYTES = 400 << 20
_GROUP_ROWS, _GROUP_BYTES = 100, 32 << 20  # of a row group, so that readers hold few images at once
_IMAGE_KIND = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_KINDS = {
    "round": (pa.int32(), "int32"),
    "confidence": (pa.float64(), "float64"),
    "changeset": (pa.int64(), "int64"),
    "decided_at": (pa.timestamp("us", tz="UTC"), "timestamp[us, tz=UTC]"),
}
_TEXT = (pa.string(), "string")
_OTHERS = tuple(name for name in COLUMNS if name not in ("path", _LABEL))


_Placed = tuple[Row, str]  # a row of a shard, and the name of its image there


def write_shards(folder: Path, laid: ExportLayout, report: Report, should_stop: ShouldStop) -> list[Path]:
    """Write all rows with their images and return the files.

    Raises:
        ExportError: an image is gone or changed since its import.
        RoundCancelledError: `should_stop` returned true.
    """
    shards = _shards(laid)
    classes = _classes(laid)
    (folder / FOLDER).mkdir()
    wrong: list[str] = []
    done = 0
    for name, rows in shards.items():
        path = folder / FOLDER / name
        with pq.ParquetWriter(
            path, _schema(classes), compression="snappy", use_dictionary=[_LABEL, *_OTHERS]
        ) as writer:  # type: ignore[no-untyped-call]
            for group in _groups(rows):
                stop_if(should_stop)
                images = [_read(row.item, wrong) for row, _ in group]
                writer.write_table(_table(group, images, classes))
                done += len(group)
                report(done, len(laid.plan.rows))
    refuse_changed(wrong, len(laid.plan.rows))
    return [folder / FOLDER / name for name in shards]


def check_shards(folder: Path, laid: ExportLayout) -> None:
    """Compare the written shards, read by the import's reader, with the plan.

    Raises:
        ExportError: they differ.
    """
    if not laid.plan.rows:
        return
    problems = Problems()
    shards = open_shards(folder, ReadOptions())
    images = CellReader({str(shard.path): shard for shard in shards}, (_IMAGE,), problems)
    found = []
    for shard in shards:
        names = shard.class_names(_LABEL) or {}
        columns = [_LABEL, "split", "group", f"{_IMAGE}.path"]
        for row, values in text_rows(shard, columns, problems):
            read = images.get(shard, row) or {}
            label = None if values[_LABEL] is None else names.get(values[_LABEL])
            key = (shard.path.name, values[_IMAGE]["path"])
            found.append((key, label, values["split"] or "", values["group"] or "", _hash(read.get(_IMAGE) or b"")))
    expected = [
        ((name, image), row.label, split_name(row.item.split), group_name(row.item.group), row.item.content_hash)
        for name, rows in _shards(laid).items()
        for row, image in rows
    ]
    if problems.counts or sorted(found, key=repr) != sorted(expected, key=repr):
        raise ExportError(
            "the Parquet files read back differently and were not kept. Choose another format, and please report this"
        )


def _shards(laid: ExportLayout) -> dict[str, list[_Placed]]:
    """Return the rows of each file, by its name."""
    by_split: dict[str, list[Row]] = {}
    for row in laid.plan.rows:
        by_split.setdefault(row.item.split, []).append(row)
    names, shards = FileNames(), {}
    for split, title in split_titles(by_split).items():
        parts = _parts(by_split[split])
        for number, part in enumerate(parts):
            placed = [(row, names.give(title, file_name(Path(row.item.path)), row.item.content_hash)) for row in part]
            shards[f"{title}-{number:05d}-of-{len(parts):05d}.parquet"] = placed
    return shards


def split_titles(splits: Iterable[str]) -> dict[str, str]:
    """Return the name of each split in `datasets` and of its files: distinct, of letters, digits and underscores."""
    found = sorted(set(splits))
    titles: dict[str, str] = {}
    for split in found:
        plain = _STANDARD.get(split) or re.sub(r"\W+", "_", split) or ("train" if len(found) == 1 else "no_split")
        title, attempt = plain, 1
        while title.casefold() in {other.casefold() for other in titles.values()}:
            attempt += 1
            title = f"{plain}_{attempt}"
        titles[split] = title
    return titles


def _parts(rows: Sequence[Row]) -> list[list[Row]]:
    parts: list[list[Row]] = [[]]
    size = 0
    for row in rows:
        if parts[-1] and size + row.item.bytes > _SHARD_BYTES:
            parts.append([])
            size = 0
        parts[-1].append(row)
        size += row.item.bytes
    return parts


def _groups(rows: Sequence[_Placed]) -> Iterator[list[_Placed]]:
    group: list[_Placed] = []
    size = 0
    for row, name in rows:
        if group and (len(group) == _GROUP_ROWS or size + row.item.bytes > _GROUP_BYTES):
            yield group
            group, size = [], 0
        group.append((row, name))
        size += row.item.bytes
    if group:
        yield group


def _read(item: ExportItem, wrong: list[str]) -> bytes:
    """Return an image's bytes; a file changed since its import is added to the list."""
    try:
        data = local(Path(item.path)).read_bytes()
    except FileNotFoundError:
        wrong.append(f"{item.path} is gone")
        return b""
    if _hash(data) != item.content_hash:
        wrong.append(f"{item.path} has changed")
    return data


def _hash(data: bytes) -> str:
    return blake2b(data, digest_size=HASH_BYTES).hexdigest()


def _classes(laid: ExportLayout) -> tuple[str, ...]:
    """Return the dataset's classes, followed by labels that are none of them."""
    labels = (row.label for row in laid.plan.rows if row.label is not None)
    return tuple(dict.fromkeys((*laid.plan.source.classes, *labels)))


def _schema(classes: Sequence[str]) -> pa.Schema:
    kinds = {name: _KINDS.get(name, _TEXT) for name in _OTHERS}
    label = {"names": list(classes), "_type": "ClassLabel"} if classes else {"dtype": "int64", "_type": "Value"}
    others = {name: {"dtype": dtype, "_type": "Value"} for name, (_, dtype) in kinds.items()}
    features = {_IMAGE: {"_type": "Image"}, _LABEL: label, **others}
    columns = [(_IMAGE, _IMAGE_KIND), (_LABEL, pa.int64()), *((name, kind) for name, (kind, _) in kinds.items())]
    return pa.schema(columns, metadata={"huggingface": json.dumps({"info": {"features": features}})})


def _table(group: Sequence[_Placed], images: Sequence[bytes], classes: Sequence[str]) -> pa.Table:
    numbers = {name: number for number, name in enumerate(classes)}
    records = [cells(row, "") for row, _ in group]
    columns: dict[str, list[Any]] = {
        _IMAGE: [{"bytes": data, "path": name} for (_, name), data in zip(group, images, strict=True)],
        _LABEL: [None if row.label is None else numbers[row.label] for row, _ in group],
    }
    columns |= {name: [_value(name, record[name]) for record in records] for name in _OTHERS}
    return pa.Table.from_pydict(columns, schema=_schema(classes))


def _value(name: str, value: object) -> object:
    """Return a cell; a split or group is normalised as readers do."""
    if name == "decided_at":
        return datetime.fromisoformat(value) if isinstance(value, str) and value else None
    if name in ("split", "group"):
        return (split_name if name == "split" else group_name)(str(value or ""))
    return value
