"""Read many masks on all cores, in order, with flat memory; children as in `core.data.children`.

A reference is what a reader put into `SourceSample.mask`: JSON values that say where a mask is and what its values
mean, in the class ids of the listing's own table. With `into` the masks come out in the ids of another table that has
classes of the same names, as a dataset's own that was imported before.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import IO, Any

import numpy as np

from core.data.children import Work, ask_all, serve
from core.data.masks.faults import MaskError
from core.data.masks.pixels import Mask, read_pixels
from core.data.masks.segments import read_segments
from core.data.masks.stacks import read_stack
from core.types import ClassTable, DatasetError, IntArray, mask_dtype

__all__ = ["MaskError", "read_mask", "read_masks"]

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
    """Yield each mask, (height, width) in `mask_dtype(len(into or table))`, or why there is none; in order.

    `warn` is told the number of a reference and what deserves a look, before its mask is yielded. 0 processes: one a
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
    """Return one mask and what deserves a look, or why there is none."""
    try:
        return _READERS[reference["kind"]](reference, width, height, classes)
    except MaskError as error:
        return error


def _read(references: Iterable[Reference], classes: int, processes: int) -> Iterator[Mask | MaskError]:
    chunks = _chunked(references)
    first = next(chunks, [])
    second = next(chunks, [])
    if not second:  # a child costs more than it brings
        yield from (read_mask(*question, classes) for question in first)
        return
    work = Work("core.data.masks.reading", (str(classes),), _take, _deadly)
    yield from ask_all(work, chain([first, second], chunks), processes)


def _chunked(references: Iterable[Reference]) -> Iterator[list[Reference]]:
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
    """Return the new value of every old one; None: nothing changes."""
    if into is None or (into.names[: len(table)] == table.names and mask_dtype(len(into)) == mask_dtype(len(table))):
        return None
    missing = set(table.names) - set(into.names)
    if missing:
        raise DatasetError(
            f"the classes {', '.join(sorted(missing))} are not in the dataset; import them into it first"
        )
    old, new = mask_dtype(len(table)), mask_dtype(len(into))
    values = np.full(int(np.iinfo(old).max) + 1, np.iinfo(new).max, dtype=new)
    values[: len(table)] = [into.names.index(name) for name in table.names]
    return values


def _deadly(_: Reference) -> MaskError:
    return MaskError("corrupt mask", "it crashes the decoder", "copy it again from its source, or remove it")


def _take(answers: IO[bytes]) -> list[Mask | MaskError]:
    line = answers.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    found: list[Mask | MaskError] = []
    for shape, itemsize, told in json.loads(line):
        said = None if told is None else MaskError(*told)
        if shape is None:
            assert said is not None
            found.append(said)
            continue
        size = shape[0] * shape[1] * itemsize
        data = answers.read(size)
        if len(data) < size:
            raise EOFError
        found.append((np.frombuffer(bytearray(data), dtype=f"u{itemsize}").reshape(shape), said))
    return found


def _answer(questions: list[Reference], answers: IO[bytes]) -> None:
    found = [read_mask(*question, int(sys.argv[1])) for question in questions]
    told = []
    for item in found:
        said = item if isinstance(item, MaskError) else item[1]
        words = None if said is None else (said.kind, str(said), said.cure)
        told.append((None, 0, words) if isinstance(item, MaskError) else (item[0].shape, item[0].itemsize, words))
    answers.write(json.dumps(told).encode() + b"\n")
    for item in found:
        if not isinstance(item, MaskError):
            answers.write(np.ascontiguousarray(item[0]).data)


if __name__ == "__main__":
    serve(_answer)
