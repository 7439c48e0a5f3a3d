"""Read the facts of many images on all cores, in order, with flat memory; children as in `core.data.children`."""

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import fields
from itertools import chain, islice
from operator import attrgetter
from pathlib import Path
from typing import IO

from core.data.children import Work, ask_all, serve
from core.data.images import ImageError, read_facts
from core.types import ImageFacts

Found = ImageFacts | ImageError
_CHUNK = 64  # images; small enough that stopping is quick with large ones
_values = attrgetter(*(item.name for item in fields(ImageFacts)))


def read_many(paths: Iterable[str], max_pixels: int, processes: int = 0) -> Iterator[Found]:
    """Yield the facts of each path, or why it has none, in the order of `paths`; 0 processes: one a core."""
    chunks = _chunked(paths)
    first = next(chunks, [])
    if len(first) < _CHUNK:  # a child costs more than it brings
        yield from (read_one(path, max_pixels) for path in first)
        return
    work = Work("core.data.reading", (str(max_pixels),), _take, _deadly)
    yield from ask_all(work, chain([first], chunks), processes)


def read_one(path: str, max_pixels: int) -> Found:
    """Return the facts of one path, or why it has none."""
    try:
        return read_facts(Path(path), max_pixels)
    except ImageError as error:
        return error


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
    found = [read_one(path, int(sys.argv[1])) for path in paths]
    told = [
        (False, (item.kind, str(item), item.cure)) if isinstance(item, ImageError) else (True, _values(item))
        for item in found
    ]
    answers.write(json.dumps(told).encode() + b"\n")


if __name__ == "__main__":
    serve(_answer)
