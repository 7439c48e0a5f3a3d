"""Read the facts of many images on all cores, in order, with flat memory; children as in `core.data.children`."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from itertools import chain, islice
from operator import attrgetter
from pathlib import Path
from typing import IO, TypeVar

import numpy as np

from core.data.children import Work, ask_all, cores, serve
from core.data.images import ImageError, grey_values, has_deep_greys, read_facts
from core.data.windows import Window, parse_window, survey_window, written
from core.types import ImageFacts

Found = ImageFacts | ImageError
Item = TypeVar("Item")
LOOKED_AT = 500  # files whose kind is looked at
_COUNTED = 64  # images whose grey values are counted
_CHUNK = 64  # images; small enough that stopping is quick with large ones
_values = attrgetter(*(item.name for item in fields(ImageFacts)))


def read_many(
    paths: Iterable[str], max_pixels: int, processes: int = 0, window: Window | None = None
) -> Iterator[Found]:
    """Yield the facts of each path, or why it has none, in the order of `paths`; 0 processes: one a core.

    Deep greys are compared by the `window` of their dataset.
    """
    chunks = _chunked(paths)
    first = next(chunks, [])
    if len(first) < _CHUNK:  # a child costs more than it brings
        yield from (read_one(path, max_pixels, window) for path in first)
        return
    work = Work("core.data.reading", (str(max_pixels), written(window)), _take, _deadly)
    yield from ask_all(work, chain([first], chunks), processes)


def read_one(path: str, max_pixels: int, window: Window | None = None) -> Found:
    """Return the facts of one path, or why it has none."""
    try:
        return read_facts(Path(path), max_pixels, window)
    except ImageError as error:
        return error


def find_window(paths: Sequence[str]) -> Window | None:
    """Return the window of a dataset's greys by some of its images; None where none has more than 8 bits, or all 16."""
    with ThreadPoolExecutor(cores()) as threads:  # decoding needs no lock of the interpreter
        some = [Path(path) for path in spread(paths, LOOKED_AT)]
        deep = [path for path, is_deep in zip(some, threads.map(has_deep_greys, some), strict=True) if is_deep]
        found = threads.map(grey_values, spread(deep, _COUNTED))
        return survey_window([np.bincount(values.ravel(), minlength=1 << 16) for values in found if values is not None])


def spread(items: Sequence[Item], most: int) -> Sequence[Item]:
    """Return at most so many of them, evenly spread."""
    return items[:: max(1, -(-len(items) // most))]


def _chunked(paths: Iterable[str]) -> Iterator[list[str]]:
    iterator = iter(paths)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk


def _deadly(_: str) -> Found:
    return ImageError("corrupt image", "it crashes the decoder", "copy it again from its source, or remove it")


def _take(answers: IO[bytes]) -> list[Found]:
    line = answers.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    return [ImageFacts(*values) if good else ImageError(*values) for good, values in json.loads(line)]


def _answer(paths: list[str], answers: IO[bytes]) -> None:
    window = parse_window(sys.argv[2])
    found = [read_one(path, int(sys.argv[1]), window) for path in paths]
    told = [
        (False, (item.kind, str(item), item.cure)) if isinstance(item, ImageError) else (True, _values(item))
        for item in found
    ]
    answers.write(json.dumps(told).encode() + b"\n")


if __name__ == "__main__":
    serve(_answer)
