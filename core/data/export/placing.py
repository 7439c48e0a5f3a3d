"""Place image files in an export by link or copy, and verify that they are unchanged since their import.

Originals are only read. A hard link shares its bytes with the original, so it costs no space; it cannot link to
another disk, and then the file is copied if that is allowed. Every placed file is read once and its content hash
compared with the imported one: a label belongs to a content, not to a path.
"""

import errno
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import TypeVar

from core.data.buckets import is_bucket_copy
from core.data.export.items import Link
from core.data.storage import size_text
from core.data.store import local
from core.types import ExportError, RoundCancelledError

Item = TypeVar("Item")
Report = Callable[[int, int], None]  # files done, files in all
ShouldStop = Callable[[], bool]

HASH_BYTES = 16
CHUNK = 256  # files between two checks of `should_stop`
SHOWN = 5  # files named in a message
NO_LINK = {errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


@dataclass(frozen=True, slots=True)
class Placement:
    """One file to place: its source, its target, and its content hash."""

    source: Path
    target: Path
    content_hash: str


def place_files(
    placements: list[Placement], link: Link, *, copy_if_needed: bool, report: Report, should_stop: ShouldStop
) -> Counter[Link]:
    """Place every file and return the numbers of linked and copied ones.

    Raises:
        ExportError: a file is gone or changed since its import, a link is impossible, or the disk is full.
        RoundCancelledError: `should_stop` returned true.
    """
    for folder in sorted({placement.target.parent for placement in placements}):
        folder.mkdir(parents=True, exist_ok=True)

    def checked(placement: Placement) -> tuple[Link | None, str]:
        try:
            done = bring(placement, link, copy_if_needed=copy_if_needed)
            return done, "" if content_hash(placement.target) == placement.content_hash else "has changed"
        except FileNotFoundError:
            return None, "is gone"

    counts: Counter[Link] = Counter()
    wrong: list[str] = []
    with ThreadPoolExecutor(min(16, 2 * (os.cpu_count() or 1))) as pool:
        for batch in _batches(placements, CHUNK):
            stop_if(should_stop)
            for placement, (how, fault) in zip(batch, pool.map(checked, batch), strict=True):
                if fault:
                    wrong.append(f"{placement.source} {fault}")
                elif how:
                    counts[how] += 1
            report(counts.total() + len(wrong), len(placements))
    refuse_changed(wrong, len(placements))
    return counts


def refuse_changed(wrong: list[str], total: int) -> None:
    """Raise ExportError if any image is missing or changed.

    Raises:
        ExportError: `wrong` has any entries.
    """
    if wrong:
        more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise ExportError(
            f"{len(wrong)} of {total} images are not what was imported: {'; '.join(wrong[:SHOWN])}{more}. "
            "Put them back, or import the dataset again: what vanished is then left out"
        )


def stop_if(should_stop: ShouldStop) -> None:
    """Stop a cancelled export.

    Raises:
        RoundCancelledError: `should_stop` returned true.
    """
    if should_stop():
        raise RoundCancelledError("the export was cancelled; nothing of it was left behind")


def content_hash(path: Path) -> str:
    """Return the content hash of a file, as in the import."""
    with path.open("rb") as file:
        digest = blake2b(digest_size=HASH_BYTES)
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def check_space(folder: Path, needed_bytes: int) -> None:
    """Check the free space before anything is written.

    Raises:
        ExportError: the disk of `folder` has less room.
    """
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if needed_bytes > free:
        raise ExportError(
            f"{existing} has {size_text(free)} left, the copies need {size_text(needed_bytes)}",
            "make room, choose another disk, or link the files instead of copying them",
        )


def bring(placement: Placement, link: Link, *, copy_if_needed: bool) -> Link:
    """Place one file without checking its content, and return the way used.

    Raises:
        ExportError: a link is impossible.
        OSError: the file is gone, or the disk full.
    """
    source = local(placement.source)
    if link is Link.SYMLINK and is_bucket_copy(source):
        raise ExportError(
            f"{placement.source}: it is fetched from a bucket and goes again, so a link to it would lead nowhere",
            "choose hard links or copies",
        )
    if link is Link.SYMLINK:
        placement.target.symlink_to(source.absolute())
        return Link.SYMLINK
    if link is Link.HARD_LINK:
        try:
            os.link(os.path.realpath(source), placement.target)
        except OSError as error:
            if error.errno not in NO_LINK:
                raise
            if not copy_if_needed:
                raise ExportError(
                    f"{placement.source} cannot be hard linked to {placement.target.parent} ({error.strerror}): "
                    "choose a folder on the same disk, or allow copies where links are impossible"
                ) from error
        else:
            return Link.HARD_LINK
    shutil.copyfile(source, placement.target)
    return Link.COPY


def _batches(values: Iterable[Item], size: int) -> Iterator[list[Item]]:
    remaining = iter(values)
    while batch := list(islice(remaining, size)):
        yield batch
