"""Images of no dataset, found in folders or named one by one, and decoded ahead by threads with flat memory.

A fault of a file becomes a problem with its cure; the file is left out and the work continues.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TypeVar

from core.data.children import cores
from core.data.formats.source import Problems, ReadOptions, existing_root, is_storable
from core.data.formats.walk import is_image_name, walk
from core.data.images import ImageError
from core.types import DatasetError, SourceSample

Read = TypeVar("Read")
_AHEAD = 2  # images decoded ahead, for each core


def find_images(sources: Sequence[Path], options: ReadOptions, problems: Problems) -> list[SourceSample]:
    """Return the images in these folders and those named themselves, each once, in the order found.

    The name of an image is its path below the folder it was found in.

    Raises:
        DatasetError: a source does not exist, or there are no images.
    """
    found: dict[str, SourceSample] = {}
    for source in sources:
        for image in _images_of(existing_root(source), options, problems):
            found.setdefault(image.path, image)
    if not found:
        raise DatasetError(f"{', '.join(map(str, sources))}: no image is there", "name a folder of images, or images")
    return list(found.values())


def decode_ahead(
    images: Sequence[SourceSample], read: Callable[[Path], Read], problems: Problems, at_once: int
) -> Iterator[list[tuple[SourceSample, Read]]]:
    """Yield up to `at_once` images at a time, in order, with the results of `read`; unreadable ones are left out.

    `read` runs in several threads, and raises ImageError for a faulty file.
    """
    outcomes = _in_threads(images, read)
    while batch := list(islice(outcomes, at_once)):
        read_well = []
        for image, outcome in batch:
            if isinstance(outcome, ImageError):
                problems.error(outcome.kind, image.name, str(outcome), outcome.cure)
            else:
                read_well.append((image, outcome))
        yield read_well


def _images_of(source: Path, options: ReadOptions, problems: Problems) -> Iterator[SourceSample]:
    if source.is_dir():
        for name in walk(source, options, problems):
            yield SourceSample(str(source / name), name)
    elif not is_storable(str(source)):
        problems.error("name is not UTF-8", source.name, "its path holds bytes that are not text", "rename it")
    elif not is_image_name(source.name):
        problems.error("not an image", source.name, "its ending is of no image", "convert it to PNG or JPEG")
    else:
        yield SourceSample(str(source), source.name)


def _in_threads(
    images: Sequence[SourceSample], read: Callable[[Path], Read]
) -> Iterator[tuple[SourceSample, Read | ImageError]]:
    def tried(image: SourceSample) -> Read | ImageError:
        try:
            return read(Path(image.path))
        except ImageError as error:
            return error

    waiting: deque[tuple[SourceSample, Future[Read | ImageError]]] = deque()
    remaining = iter(images)
    with ThreadPoolExecutor(cores()) as threads:
        while True:
            for image in islice(remaining, _AHEAD * cores() - len(waiting)):
                waiting.append((image, threads.submit(tried, image)))
            if not waiting:
                return
            image, outcome = waiting.popleft()
            yield image, outcome.result()
