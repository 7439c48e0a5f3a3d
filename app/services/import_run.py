"""One import from its row to the stored samples.

The source is listed, every image is read on all cores, and only then one transaction stores everything. Until then
results wait in files and in a table nobody looks at, so memory stays flat, others hardly wait, and a kill at any moment
leaves nothing half stored; the import is simply run again. Originals are only ever opened for reading.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import islice, repeat
from operator import attrgetter
from pathlib import Path
from typing import Any

from app.services.import_classes import GoneClassesError, merged, renamed
from app.services.import_masks import Masks, Rows, grown_table
from app.services.import_report import note_window
from app.services.import_request import ImportRequest
from app.services.import_store import (
    Ground,
    Incoming,
    Labels,
    clear_staged,
    find_ground,
    grown,
    refuse_other_labels,
    store,
    write_problems,
)
from app.services.import_unlabelled import as_unlabelled
from app.services.job_locks import holding
from app.services.workspace import Workspace
from core.data.formats.detect import FORMATS, detect
from core.data.formats.questions import MaskMeaning
from core.data.formats.source import Problems, existing_root
from core.data.images import ImageError
from core.data.masks.store import MaskStore
from core.data.reading import LOOKED_AT, find_window, read_many
from core.data.spool import spool, unspool
from core.data.windows import parse_window, written
from core.types import ClassTable, DatasetError, ImageFacts, RoundCancelledError, RoundStatus, Severity, SourceSample
from db.queries import imports
from db.queries.imports import ImportInfo

_sample_values = attrgetter(*(item.name for item in fields(SourceSample)))  # astuple copies deeply, ten times slower
_facts_values = attrgetter(*(item.name for item in fields(ImageFacts)))
_MISSING = "missing file"  # a kind of `ImageError`
_EVERY_SECONDS = 0.4  # progress is written and a cancellation noticed this often


@dataclass(frozen=True, slots=True)
class ImportProgress:
    """How far an import is; `total` is 0 while the source is still being listed."""

    stage: str
    done: int
    total: int


def run_import(
    workspace: Workspace,
    import_id: int,
    report: Callable[[ImportProgress], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> ImportInfo:
    """Run a queued import, or again one that was killed, and return how it ended; bad data never raises."""
    with holding(workspace, "import", import_id, should_stop):
        with workspace.database.read() as session:
            info = imports.get_import(session, import_id)
        if not info.status.ended:
            work = _Work(workspace, import_id, ImportRequest.from_json(info.request), report, should_stop)
            work.run()
    with workspace.database.read() as session:
        return imports.get_import(session, import_id)


class _Work:
    """One run: what is passed from step to step, and the way to tell how far it is."""

    def __init__(
        self,
        workspace: Workspace,
        import_id: int,
        request: ImportRequest,
        report: Callable[[ImportProgress], None],
        should_stop: Callable[[], bool],
    ) -> None:
        self.workspace = workspace
        self.import_id = import_id
        self.request = request
        self.report = report
        self.should_stop = should_stop
        self.problems = Problems()
        self.started = time.monotonic()
        self.noted = 0.0

    def run(self) -> None:
        """Read, store, and write how it ended."""
        try:
            with _own_folder(self.workspace.files / "imports" / str(self.import_id)) as folder:
                clear_staged(self.workspace, self.import_id)
                self._import(folder)
        except RoundCancelledError:
            self._end(RoundStatus.CANCELLED, "Cancelled; nothing was stored.")
        except GoneClassesError as error:
            self._end(RoundStatus.FAILED, str(error), error.report)
        except DatasetError as error:
            self._end(RoundStatus.FAILED, str(error))
        except Exception as error:
            self._end(RoundStatus.FAILED, f"Stopped by {type(error).__name__}: {error}. Nothing was stored.")
            raise
        finally:
            clear_staged(self.workspace, self.import_id)

    def _import(self, folder: Path) -> None:
        self.note("looking for images", 0, 0, at_once=True)
        root = existing_root(Path(self.request.source))
        options = self.request.options(self.workspace)
        chosen = self.request.format or detect(root, options).format
        listing = FORMATS[chosen].read(root, options)
        self.problems = listing.problems
        self._refuse_unanswered(listing.meaning, root)
        listed, facts = folder / "listed.jsonl", folder / "facts.jsonl"
        samples = listing.unpack(listing.samples)
        if self.request.unlabelled:
            samples = as_unlabelled(samples, root)
        samples = merged(samples, self.request.merged_classes)
        total = spool(listed, map(_sample_values, self._counted(samples)))
        self._find_window(listed, total)
        classes = set(listing.empty_classes)
        good = spool(facts, self._read(listed, total, classes))
        if not good:
            raise DatasetError(f"{root}: no image could be read out of {total:,} found{self._first_problem()}")
        ground = find_ground(self.workspace, self.request, root)
        if not self.request.unlabelled:
            refuse_other_labels(ground, listing.table)
        if self.request.take_masks and listing.table is None:
            raise DatasetError(f"the labels of {root} are classes; --take-masks is for masks, so leave it out")
        rows = partial(unspool, facts)
        hashes: Iterator[list[Any]] = repeat([None], good)
        if self.request.unlabelled:
            labels = Labels(ground.classes, ground.colours)
        elif listing.table is None:
            labels = Labels(grown(renamed(ground.classes, self.request.renamed_classes), classes))
        else:
            masks = folder / "masks.jsonl"
            labels = self._keep_masks(rows, listing.table, ground, masks, good)
            hashes = unspool(masks)
        self.note("storing", 0, good, at_once=True)
        complete = (row + found for row, found in zip(rows(), hashes, strict=True))
        seconds = time.monotonic() - self.started
        incoming = Incoming(root, ground, chosen, labels, complete, self.problems, seconds)
        store(self.workspace, self.import_id, self.request, incoming, partial(self.note, "storing", total=good))

    def _find_window(self, listed: Path, total: int) -> None:
        """Decide how greys of more than 8 bits are seen, where that is not known yet."""
        if not self.request.window:
            paths = [row[0] for row in islice(unspool(listed), 0, None, max(1, -(-total // LOOKED_AT)))]
            window = find_window(paths)
            self.request = replace(self.request, window=written(window))
            note_window(self.problems, window)

    def _refuse_unanswered(self, meaning: MaskMeaning, root: Path) -> None:
        """Check that nothing has to be guessed of a new dataset's masks; one that exists keeps its meaning.

        Raises:
            DatasetError: a question is open.
        """
        if meaning.blocking and not find_ground(self.workspace, self.request, root).dataset_id:
            raise DatasetError(" ".join(map(str, meaning.blocking)))
        for question in meaning.questions:
            cure = "; ".join(f"{answer.flag}: {answer.text}" for answer in question.answers)
            self.problems.warn("open question", question.kind, question.text, cure)

    def _keep_masks(self, rows: Rows, table: ClassTable, ground: Ground, names: Path, total: int) -> Labels:
        """Put every mask into the store and its name into a file, and return what the labels are."""
        self.note("reading masks", 0, total, at_once=True)
        complete = grown_table(ground.classes, ground.colours or (), table)
        masks = Masks(MaskStore(self.workspace.masks))
        spool(names, masks.keep(rows, table, complete, self.problems, partial(self.note, "reading masks", total=total)))
        return Labels(complete.names, complete.colours, masks)

    def _counted(self, samples: Iterator[SourceSample]) -> Iterator[SourceSample]:
        for count, sample in enumerate(samples, start=1):
            yield sample
            self.note("looking for images", count, 0)

    def _read(self, listed: Path, total: int, classes: set[str]) -> Iterator[tuple[object, ...]]:
        """Yield samples with their facts, note the classes of what could be read and why the others could not."""
        paths = (row[0] for row in unspool(listed))
        window = parse_window(self.request.window)
        found = read_many(paths, self.workspace.settings.max_pixels, window=window)
        for done, (row, facts) in enumerate(zip(unspool(listed), found, strict=True), start=1):
            sample = SourceSample(*row)
            if isinstance(facts, ImageFacts):
                if sample.label is not None:
                    classes.add(sample.label)
                yield (*row, *_facts_values(facts))
            else:
                self._note_bad(sample, facts)
            self.note("reading images", done, total)

    def _first_problem(self) -> str:
        if not self.problems.kept:
            return ""
        errors = (one for one in self.problems.kept if one.severity is Severity.ERROR)
        first = next(errors, self.problems.kept[0])
        told = f"; the first: {first.path}: {first.message}; to cure it, {first.cure}"
        if first.kind == _MISSING and Path(self.request.source).is_file() and not self.request.image_root:
            told += "; where a table names the images as another machine does, name their folder: --image-root"
        return told

    def _note_bad(self, sample: SourceSample, error: ImageError) -> None:
        self.problems.error(error.kind, sample.name, str(error), error.cure)

    def note(self, stage: str, done: int, total: int, *, at_once: bool = False) -> None:
        """Write how far the import is, not too often.

        Raises:
            RoundCancelledError: somebody ended it.
        """
        now = time.monotonic()
        if not at_once and now - self.noted < _EVERY_SECONDS:
            return
        self.noted = now
        self.report(ImportProgress(stage, done, total))
        if self.should_stop():
            raise RoundCancelledError("the import was asked to stop")
        with self.workspace.database.write() as session:
            if not imports.note_progress(session, self.import_id, done, total, stage):
                raise RoundCancelledError("the import was cancelled elsewhere")

    def _end(self, status: RoundStatus, message: str, question: dict[str, Any] | None = None) -> None:
        write_problems(self.workspace, self.import_id, self.problems)
        with self.workspace.database.write() as session:
            imports.finish_import(session, self.import_id, status, message, report=question)


@contextmanager
def _own_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder; what a killed run left in it goes first, and it goes at the end."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
