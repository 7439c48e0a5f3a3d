"""Read many masks on all cores, in order, with flat memory; children as in `core.data.children`.

A reference is the value of `SourceSample.mask`: JSON values with the files of a mask and the meaning of its values, in
the class ids of the listing's own table. With `into` the masks have the ids of another table with classes of the same
names, such as that of an existing dataset.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import IO, Any

import numpy as np

from core.data.children import ChildSpec, ask_all, first_line, serve
from core.data.images import MaskError
from core.data.masks.pixels import Mask, read_pixels, read_stack
from core.data.masks.segments import read_segments
from core.types import ClassTable, DatasetError, IntArray, mask_dtype

Reference = tuple[dict[str, Any], int, int]  # the reader's dict, width and height of the image
Warn = Callable[[int, MaskError], None]
_READERS = {"pixels": read_pixels, "segments": read_segments, "stack": read_stack}
_CHUNK = 32  # masks
_CHUNK_PIXELS = 8 << 20  # so that a chunk of large masks stays small in memory


def read_masks(
    references: Iterable[Reference],
    table: ClassTable,
    processes: int = 0,
    *,
    into: ClassTable | None = None,
    warn: Warn = lambda _number, _warning: None,
) -> Iterator[IntArray | MaskError]:
    """Yield each mask, (height, width) in `mask_dtype(len(into or table))`, or its error; in order.

    `warn` is called with the number of a reference and a warning, before its mask is yielded. 0 processes: one per
    core.

    Raises:
        DatasetError: a class of `table` is not in `into`.
    """
    renumber = _renumbering(table, into)
    for number, found in enumerate(_read(references, len(table), processes)):
        if isinstance(found, MaskError):
            yield found
            continue
        mask, warning = found
        if warning is not None:
            warn(number, warning)
        yield mask if renumber is None else renumber[mask]


def read_mask(reference: dict[str, Any], width: int, height: int, classes: int) -> Mask | MaskError:
    """Return one mask and a warning or None, or its error."""
    try:
        return _READERS[reference["kind"]](reference, width, height, classes)
    except MaskError as error:
        return error


def _read(references: Iterable[Reference], classes: int, processes: int) -> Iterator[Mask | MaskError]:
    chunks = _chunks(references)
    first = next(chunks, [])
    second = next(chunks, [])
    if not second:  # a child costs more than it brings
        yield from (read_mask(*question, classes) for question in first)
        return
    work = ChildSpec("core.data.masks.reading", (str(classes),), _take, _deadly)
    yield from ask_all(work, chain([first, second], chunks), processes)


def _chunks(references: Iterable[Reference]) -> Iterator[list[Reference]]:
    chunk: list[Reference] = []
    pixels = 0
    for reference in references:
        chunk.append(reference)
        pixels += reference[1] * reference[2]
        if len(chunk) >= _CHUNK or pixels >= _CHUNK_PIXELS:
            yield chunk
            chunk, pixels = [], 0
    if chunk:
        yield chunk


def _renumbering(table: ClassTable, into: ClassTable | None) -> IntArray | None:
    """Return the new value of every old one, None if nothing changes."""
    if into is None or (into.names[: len(table)] == table.names and mask_dtype(len(into)) == mask_dtype(len(table))):
        return None
    missing = set(table.names) - set(into.names)
    if missing:
        raise DatasetError(
            f"the classes {', '.join(sorted(missing))} are not in the dataset", "import them into it first"
        )
    old, new = mask_dtype(len(table)), mask_dtype(len(into))
    values = np.full(int(np.iinfo(old).max) + 1, np.iinfo(new).max, dtype=new)
    values[: len(table)] = [into.names.index(name) for name in table.names]
    return values


def _deadly(_: Reference) -> MaskError:
    return MaskError("corrupt mask", "it crashes the decoder", "copy it again from its source, or remove it")


def _take(answers: IO[bytes]) -> list[Mask | MaskError]:
    found: list[Mask | MaskError] = []
    for shape, itemsize, fault in first_line(answers):
        error = None if fault is None else MaskError(*fault)
        if shape is None:
            assert error is not None
            found.append(error)
            continue
        size = shape[0] * shape[1] * itemsize
        data = answers.read(size)
        if len(data) < size:
            raise EOFError
        found.append((np.frombuffer(bytearray(data), dtype=f"u{itemsize}").reshape(shape), error))
    return found


def _answer(questions: list[Reference], answers: IO[bytes]) -> None:
    found = [read_mask(*question, int(sys.argv[1])) for question in questions]
    headers = []
    for item in found:
        error = item if isinstance(item, MaskError) else item[1]
        words = None if error is None else (error.kind, str(error), error.cure)
        headers.append((None, 0, words) if isinstance(item, MaskError) else (item[0].shape, item[0].itemsize, words))
    answers.write(json.dumps(headers).encode() + b"\n")
    for item in found:
        if not isinstance(item, MaskError):
            answers.write(np.ascontiguousarray(item[0]).data)


if __name__ == "__main__":
    serve(_answer)
