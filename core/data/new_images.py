"""Images that belong to no dataset: found in folders or named one by one, decoded ahead by threads, memory flat.

Nothing wrong with a file ends the work: it is noted with its cure, and the file left out.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

from core.data.children import cores
from core.data.formats.source import Problems, ReadOptions, existing_root, is_storable
from core.data.formats.walk import is_image_name, walk
from core.data.images import ImageError
from core.types import DatasetError

Read = TypeVar("Read")
_AHEAD = 2  # images that are decoded while others are looked at, for each core


@dataclass(frozen=True, slots=True)
class NewImage:
    """An image by its absolute path, and as people call it: the path below the folder it was found in."""

    path: Path
    name: str


def find_images(sources: Sequence[Path], options: ReadOptions, problems: Problems) -> list[NewImage]:
    """Return the images in these folders, and those named by themselves, each once and in the order they are met.

    Raises:
        DatasetError: a source does not exist, or there is no image at all.
    """
    found: dict[Path, NewImage] = {}
    for source in sources:
        for image in _images_of(existing_root(source), options, problems):
            found.setdefault(image.path, image)
    if not found:
        raise DatasetError(f"{', '.join(map(str, sources))}: no image is there; name a folder of images, or images")
    return list(found.values())


def decoded_ahead(
    images: Sequence[NewImage], read: Callable[[Path], Read], problems: Problems, at_once: int
) -> Iterator[list[tuple[NewImage, Read]]]:
    """Yield up to `at_once` images at a time, in their order, with what `read` made of each; it may refuse one.

    `read` runs in several threads, and raises ImageError for what is wrong with a file.
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


def _images_of(source: Path, options: ReadOptions, problems: Problems) -> Iterator[NewImage]:
    if source.is_dir():
        for name in walk(source, options, problems):
            yield NewImage(source / name, name)
    elif not is_storable(str(source)):
        problems.error("name is not UTF-8", source.name, "its path holds bytes that are no text", "rename it")
    elif not is_image_name(source.name):
        problems.error("not an image", source.name, "its ending is of no image", "convert it to PNG or JPEG")
    else:
        yield NewImage(source, source.name)


def _in_threads(
    images: Sequence[NewImage], read: Callable[[Path], Read]
) -> Iterator[tuple[NewImage, Read | ImageError]]:
    def tried(image: NewImage) -> Read | ImageError:
        try:
            return read(image.path)
        except ImageError as error:
            return error

    waiting: deque[tuple[NewImage, Future[Read | ImageError]]] = deque()
    remaining = iter(images)
    with ThreadPoolExecutor(cores()) as threads:
        while True:
            for image in islice(remaining, _AHEAD * cores() - len(waiting)):
                waiting.append((image, threads.submit(tried, image)))
            if not waiting:
                return
            image, outcome = waiting.popleft()
            yield image, outcome.result()
