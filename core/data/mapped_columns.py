"""Columns of an uncompressed .npz file, mapped into memory: what is not looked at is not read."""

from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

_LENGTHS = slice(26, 30)  # in a member's own header: those of its name and of its extra field
_HEADER = 30


def mapped_column(path: Path, name: str) -> NDArray[Any]:
    """Return one column of a file that `np.savez` wrote, read-only; an empty or compressed one is read.

    Raises:
        KeyError: the file has no such column.
    """
    with ZipFile(path) as archive, path.open("rb") as file:
        member = archive.getinfo(f"{name}.npy")
        file.seek(member.header_offset)
        lengths = np.frombuffer(file.read(_HEADER)[_LENGTHS], "<u2")
        file.seek(int(lengths.sum()), 1)
        npy.read_magic(file)  # version 1.0, since a column has a plain type
        shape, _, dtype = npy.read_array_header_1_0(file)
        offset = file.tell()
        if member.compress_type == ZIP_STORED and np.prod(shape):
            return np.memmap(path, dtype, "r", offset, shape)
        with archive.open(member) as stored:
            read: NDArray[Any] = npy.read_array(stored, allow_pickle=False)
            return read
