"""Read a written export with the readers anybody would use and compare it with what was to be written."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from core.data.export.embedded import check_shards
from core.data.export.items import ExportFormat
from core.data.export.layouts import LaidOut
from core.data.formats import huggingface, imagefolder, label_studio, manifest
from core.data.formats.source import ReadOptions, SourceListing, group_name, split_name
from core.data.patch.change import changes_of, read_patch
from core.types import ExportError, Severity

Seen = Mapping[str, tuple[str | None, ...]]  # path: (label, split, group)
Reader = Callable[[Path, ReadOptions], SourceListing]

# class folders are recognised by their table, and read by their folders when somebody asks for that: both must agree
READERS: Mapping[ExportFormat, tuple[Reader, ...]] = {
    ExportFormat.CLASS_FOLDERS: (imagefolder.read, manifest.read),
    ExportFormat.CSV: (manifest.read,),
    ExportFormat.PARQUET: (manifest.read,),
    ExportFormat.HUGGING_FACE: (huggingface.read, manifest.read),
    ExportFormat.HUGGING_FACE_JSONL: (huggingface.read, manifest.read),
    ExportFormat.LABEL_STUDIO_CHOICES: (label_studio.read, manifest.read),
}
_TABLES: frozenset[Reader] = frozenset({huggingface.read, manifest.read})  # have groups, and no blanks around a label


@dataclass(frozen=True, slots=True)
class _Expected:
    path: str
    label: str | None
    split: str
    group: str


def check_written(folder: Path, laid: LaidOut, table: str) -> None:
    """Compare what lies in `folder` with what was to be written.

    Raises:
        ExportError: it is not the same.
    """
    if laid.plan.options.format.is_patch:
        if read_patch(folder / table).changes != changes_of(laid.plan):
            raise ExportError(f"{table} reads back differently; nothing was kept. Please report this with the dataset")
        return
    if laid.plan.options.format.embeds:
        check_shards(folder, laid)
        return
    root = folder.resolve()
    expected = list(_expected(root, laid))
    if not expected:
        return
    for read in READERS[laid.plan.options.format]:
        listing = read(root, ReadOptions(allow_outside_links=True))
        if read is label_studio.read and not any(each.label for each in expected):
            continue  # no task has an annotation, by which the file is recognised
        with_groups = read in _TABLES
        found = {
            sample.path: (sample.label, sample.split, sample.group if with_groups else "") for sample in listing.samples
        }
        refuse_problems(listing)
        _compare(
            {
                each.path: (_plain(each.label, tables=with_groups), each.split, each.group if with_groups else "")
                for each in expected
            },
            found,
        )


def refuse_problems(listing: SourceListing) -> None:
    """Refuse a written export that a reader complains of.

    Raises:
        ExportError: a file of it was kept out.
    """
    for problem in listing.problems.kept:
        if problem.severity is Severity.ERROR:
            raise ExportError(
                f"the written export cannot be read back: {problem.path}: {problem.message}. Nothing of it was kept; "
                f"to cure it, {problem.cure}"
            )


def _expected(root: Path, laid: LaidOut) -> Iterator[_Expected]:
    for row, file in zip(laid.plan.rows, laid.files, strict=True):
        path = f"{root}/{file}" if file else row.item.path
        yield _Expected(path, row.label, split_name(row.item.split), group_name(row.item.group))


def _plain(label: str | None, *, tables: bool) -> str | None:
    """Return a label as readers of tables see it: without the blanks around it."""
    return label.strip() if label and tables else label


def _compare(expected: Seen, found: Seen) -> None:
    if expected == found:
        return
    missing = [path for path in expected if path not in found]
    added = [path for path in found if path not in expected]
    other = [path for path in expected if path in found and expected[path] != found[path]]
    example = (other or missing or added)[0]
    raise ExportError(
        f"the export reads back differently and was not kept: {len(missing)} images are missing, {len(added)} are "
        f"unexpected, {len(other)} have another label or split, for example {example} "
        f"(meant {expected.get(example)}, read {found.get(example)}). Choose another format, and please report this"
    )
