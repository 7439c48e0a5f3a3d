"""Read a written export with the import's readers and compare it with the plan."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from core.data.export.embedded import check_shards
from core.data.export.items import ExportFormat
from core.data.export.layouts import ExportLayout
from core.data.formats import huggingface, imagefolder, label_studio, manifest
from core.data.formats.source import ReadOptions, SourceListing, group_name, split_name
from core.data.patch.change import changes_of, read_patch
from core.types import ExportError, Severity

Seen = Mapping[str, tuple[str | None, ...]]  # path: (label, split, group)
Reader = Callable[[Path, ReadOptions], SourceListing]

# class folders are recognised by their table, and read by their folders on request: both must agree
READERS: Mapping[ExportFormat, tuple[Reader, ...]] = {
    ExportFormat.CLASS_FOLDERS: (imagefolder.read, manifest.read),
    ExportFormat.CSV: (manifest.read,),
    ExportFormat.PARQUET: (manifest.read,),
    ExportFormat.HUGGING_FACE: (huggingface.read, manifest.read),
    ExportFormat.HUGGING_FACE_JSONL: (huggingface.read, manifest.read),
    ExportFormat.LABEL_STUDIO_CHOICES: (label_studio.read, manifest.read),
}
_TABLES: frozenset[Reader] = frozenset({huggingface.read, manifest.read})  # have groups, and no blanks around a label


def check_written(folder: Path, laid: ExportLayout, table: str) -> None:
    """Compare the written export in `folder` with the plan.

    Raises:
        ExportError: they differ.
    """
    if laid.plan.options.format.is_patch:
        if read_patch(folder / table).changes != changes_of(laid.plan):
            raise ExportError(
                f"{table} reads back differently", "nothing was kept. Please report this with the dataset"
            )
        return
    if laid.plan.options.format.embeds:
        check_shards(folder, laid)
        return
    root = folder.resolve()
    expected = dict(_expected_rows(root, laid))
    if not expected:
        return
    for read in READERS[laid.plan.options.format]:
        listing = read(root, ReadOptions(allow_outside_links=True))
        if read is label_studio.read and not any(label for label, _, _ in expected.values()):
            continue  # no task has an annotation, by which the file is recognised
        with_groups = read in _TABLES
        found = {
            sample.path: (sample.label, sample.split, sample.group if with_groups else "") for sample in listing.samples
        }
        refuse_problems(listing)
        _compare(
            {
                path: (_plain(label, tables=with_groups), split, group if with_groups else "")
                for path, (label, split, group) in expected.items()
            },
            found,
        )


def refuse_problems(listing: SourceListing) -> None:
    """Raise ExportError if the reader reports problems of a written export.

    Raises:
        ExportError: a file of it cannot be read back.
    """
    for problem in listing.problems.kept:
        if problem.severity is Severity.ERROR:
            raise ExportError(
                f"the written export cannot be read back: {problem.path}: {problem.message}. Nothing of it was kept",
                f"to cure it, {problem.cure}",
            )


def _expected_rows(root: Path, laid: ExportLayout) -> Iterator[tuple[str, tuple[str | None, str, str]]]:
    for row, file in zip(laid.plan.rows, laid.files, strict=True):
        path = f"{root}/{file}" if file else row.item.path
        yield path, (row.label, split_name(row.item.split), group_name(row.item.group))


def _plain(label: str | None, *, tables: bool) -> str | None:
    """Return a label as readers of tables return it: without surrounding blanks."""
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
