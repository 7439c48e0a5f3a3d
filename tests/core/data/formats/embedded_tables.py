"""Small Parquet files with images in them, as the `datasets` library writes them."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

Cell = dict[str, Any] | bytes | None
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
NAMES = ["cat", "dog", "bird"]


def png(seed: int, size: tuple[int, int] = (6, 5)) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (*size[::-1], 3), np.uint8)
    return encoded(Image.fromarray(pixels))


def encoded(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def cell(seed: int, path: str | None = None) -> Cell:
    return {"bytes": png(seed), "path": path}


def class_label(names: Sequence[str] = NAMES) -> dict[str, Any]:
    return {"names": list(names), "_type": "ClassLabel"}


def write(
    path: Path, columns: Mapping[str, Any], features: Mapping[str, Any] | None = None, rows_a_group: int = 10
) -> Path:
    """Write a table; lists of image cells become structures of bytes and path, as they are read by `datasets`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {
        name: pa.array(values, IMAGE) if _are_cells(values) else pa.array(values) for name, values in columns.items()
    }
    table = pa.table(arrays)
    if features is not None:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, path, row_group_size=rows_a_group, compression="snappy")
    return path


def _are_cells(values: Sequence[object]) -> bool:
    return any(isinstance(value, dict) and "bytes" in value for value in values)
