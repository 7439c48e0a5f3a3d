"""One import from its row to the stored samples.

The source is listed, every image is read on all cores, and only then one transaction stores everything. Until then
results are kept in files and in a staging table, so memory stays flat, others hardly wait, and a kill at any moment
leaves nothing half stored; the import is simply run again. Originals are only ever opened for reading.
"""

import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from functools import partial
from itertools import islice, repeat
from operator import attrgetter
from pathlib import Path
from typing import Any

from app.services.app_context import AppContext
from app.services.imports.buckets import path_in_rows, reading_buckets
from app.services.imports.classes import GoneClassesError, merge_spellings, rename_classes, with_present_names
from app.services.imports.masks import ImportedMasks, Rows, extend_table, with_present_class_names
from app.services.imports.report import note_window
from app.services.imports.request import ImportRequest
from app.services.imports.store import (
    ImportContent,
    clear_staged,
    extend_classes,
    find_target,
    former_class_names,
    refuse_class_acts,
    refuse_other_labels,
    store,
    write_problems,
)
from app.services.jobs import job_lock
from core.data.formats.detect import FORMATS, detect
from core.data.formats.source import MaskMeaning, Problems, Question, SourceFormat, existing_root
from core.data.images import ImageError
from core.data.masks.store import MaskStore
from core.data.reading import LOOKED_AT, find_window, read_many
from core.data.windows import parse_window, window_text
from core.types import (
    ClassTable,
    Cure,
    DatasetError,
    ImageFacts,
    JobStatus,
    RoundCancelledError,
    Severity,
    SourceSample,
    StorageAwayError,
)
from db.queries import imports
from db.queries.imports import ImportInfo

OPEN_QUESTIONS = "open_questions"  # in the report of an import that ended with them
_sample_values = attrgetter(*(item.name for item in fields(SourceSample)))  # astuple copies deeply, ten times slower
_facts_values = attrgetter(*(item.name for item in fields(ImageFacts)))
_MISSING = "missing file"  # a kind of `ImageError`
_EVERY_SECONDS = 0.4  # seconds between writes of progress and checks for cancellation


ReportImport = Callable[[int, int, str], None]
"""Images done, images in all (0 while the source is still being listed), and the stage."""


def run_import(
    app_context: AppContext,
    import_id: int,
    report: ReportImport = lambda _done, _total, _stage: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> ImportInfo:
    """Run a queued or killed import and return its end; bad data never raises."""
    with app_context.using_files(), job_lock(app_context, "import", import_id, should_stop):
        with app_context.database.read() as session:
            info = imports.get_import(session, import_id)
        if info.status.ended:
            clear_staged(app_context, import_id)  # if the database was lost right after its end
        else:
            work = _ImportRun(app_context, import_id, ImportRequest.from_json(info.request), report, should_stop)
            work.run()
    with app_context.database.read() as session:
        return imports.get_import(session, import_id)


class OpenQuestionsError(DatasetError):
    """Open questions about the masks of a new dataset; nothing was stored."""

    def __init__(self, questions: Sequence[Question]) -> None:
        """Repeat the questions; `report` has their answers."""
        self.questions = tuple(questions)
        texts = " ".join(question.text for question in questions)
        super().__init__(f"{texts} Nothing was stored; import again with an answer")

    @property
    def report(self) -> dict[str, Any]:
        """Return the questions as JSON values."""
        return {OPEN_QUESTIONS: [asdict(question) for question in self.questions]}


class _ImportRun:
    """One run of an import: values shared by its steps, and its progress."""

    def __init__(
        self,
        app_context: AppContext,
        import_id: int,
        request: ImportRequest,
        report: ReportImport,
        should_stop: Callable[[], bool],
    ) -> None:
        self.app_context = app_context
        self.import_id = import_id
        self.request = request
        self.report = report
        self.should_stop = should_stop
        self.problems = Problems()
        self.is_table = False
        self.started = time.monotonic()
        self.noted = 0.0

    def run(self) -> None:
        """Read and store the images, and write the end."""
        try:
            with _own_folder(self.app_context.files / "imports" / str(self.import_id)) as folder:
                clear_staged(self.app_context, self.import_id)
                self.note("looking for images", 0, 0, at_once=True)
                fetching = partial(self.note, "fetching labels")
                with reading_buckets(self.app_context, self.request, fetching) as readable:
                    self._import(folder, readable)
        except RoundCancelledError:
            self._end(JobStatus.CANCELLED, "Cancelled; nothing was stored.")
        except (GoneClassesError, OpenQuestionsError) as error:
            self._end(JobStatus.FAILED, str(error), error.report)
        except DatasetError as error:
            self._end(JobStatus.FAILED, str(error))
        except StorageAwayError:
            raise  # to be run again, once it answers
        except Exception as error:
            self._end(JobStatus.FAILED, f"Stopped by {type(error).__name__}: {error}. Nothing was stored.")
            raise
        finally:
            clear_staged(self.app_context, self.import_id)

    def _import(self, folder: Path, readable: ImportRequest) -> None:
        root = existing_root(Path(readable.source))
        self.is_table = root.is_file()
        options = readable.options(self.app_context)
        chosen = self.request.format or detect(root, options).format
        listing = FORMATS[chosen].read(root, options)
        self.problems = listing.problems
        root = Path(path_in_rows(self.app_context, str(root)))
        self._refuse_unanswered(listing.meaning, root)
        listed, facts = folder / "listed.jsonl", folder / "facts.jsonl"
        samples = self._as_in_rows(listing.unpack(listing.samples))
        if self.request.unlabelled:
            samples = _as_unlabelled(samples, root)
        present = former_class_names(self.app_context, self.request)
        samples = with_present_names(merge_spellings(samples, self.request.merged_classes), present)
        total = _spool(listed, map(_sample_values, self._counted(samples)))
        self._find_window(listed, total)
        classes = {present.get(name, name) for name in listing.empty_classes}
        good = _spool(facts, self._read(listed, total, classes))
        if not good:
            raise DatasetError(f"{root}: no image could be read out of {total:,} found{self._first_problem()}")
        target = find_target(self.app_context, self.request, root)
        bare = chosen is SourceFormat.UNLABELLED and chosen == target.format and target.colours is not None
        stays = self.request.unlabelled or bare
        if not stays:
            refuse_other_labels(target, listing.table)
            brought = classes if listing.table is None else listing.table.names
            refuse_class_acts(self.app_context, self.request, present, brought)
        if self.request.take_masks and listing.table is None:
            raise DatasetError(f"the labels of {root} are classes, so there are no masks to take", "import it as it is")
        rows = partial(_unspool, facts)
        hashes: Iterator[list[Any]] = repeat([None], good)
        names, colours = target.classes, target.colours  # images without labels leave them as they are
        masks: ImportedMasks | None = None
        if listing.table is not None and not stays:
            table = with_present_class_names(listing.table, present)
            complete = extend_table(target.classes, target.colours or (), table)
            names, colours = complete.names, complete.colours
            masks = self._keep_masks(rows, table, complete, folder / "masks.jsonl", good)
            hashes = _unspool(folder / "masks.jsonl")
        elif not stays:
            names = extend_classes(rename_classes(target.classes, self.request.renamed_classes), classes)
        self.note("storing", 0, good, at_once=True)
        content = ImportContent(
            root=root,
            target=target,
            format=chosen,
            classes=names,
            colours=colours,
            masks=masks,
            rows=(row + found for row, found in zip(rows(), hashes, strict=True)),
            problems=self.problems,
            seconds=time.monotonic() - self.started,
        )
        store(self.app_context, self.import_id, self.request, content, partial(self.note, "storing", total=good))

    def _as_in_rows(self, samples: Iterator[SourceSample]) -> Iterator[SourceSample]:
        if self.app_context.shared is None:
            return samples
        return (replace(sample, path=path_in_rows(self.app_context, sample.path)) for sample in samples)

    def _find_window(self, listed: Path, total: int) -> None:
        """Choose the window of greys of more than 8 bits, unless it is known."""
        if not self.request.window:
            paths = [row[0] for row in islice(_unspool(listed), 0, None, max(1, -(-total // LOOKED_AT)))]
            window = find_window(paths)
            self.request = replace(self.request, window=window_text(window))
            note_window(self.problems, window)

    def _refuse_unanswered(self, meaning: MaskMeaning, root: Path) -> None:
        """Check that a new dataset's masks leave no open question; an existing dataset keeps its meaning.

        Raises:
            DatasetError: a question is open.
        """
        if meaning.blocking and not find_target(self.app_context, self.request, root).dataset_id:
            raise OpenQuestionsError(meaning.blocking)
        for question in meaning.questions:
            answers = "; or ".join(answer.text for answer in question.answers)
            cure = f"answer it {Cure.ANSWER_PREVIEW}: {answers}"
            self.problems.warn("open question", question.kind, question.text, cure)

    def _keep_masks(
        self, rows: Rows, table: ClassTable, complete: ClassTable, names: Path, total: int
    ) -> ImportedMasks:
        """Put every mask into the store, in the classes of the complete table, and its name into a file."""
        self.note("reading masks", 0, total, at_once=True)
        masks = ImportedMasks(MaskStore(self.app_context.masks))
        _spool(
            names, masks.keep(rows, table, complete, self.problems, partial(self.note, "reading masks", total=total))
        )
        return masks

    def _counted(self, samples: Iterator[SourceSample]) -> Iterator[SourceSample]:
        for count, sample in enumerate(samples, start=1):
            yield sample
            self.note("looking for images", count, 0)

    def _read(self, listed: Path, total: int, classes: set[str]) -> Iterator[tuple[object, ...]]:
        """Yield samples with their facts; note the classes of readable images, and the problems of the others."""
        paths = (row[0] for row in _unspool(listed))
        window = parse_window(self.request.window)
        found = read_many(paths, self.app_context.settings.max_pixels, window=window)
        for done, (row, facts) in enumerate(zip(_unspool(listed), found, strict=True), start=1):
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
        cause = f"; the first: {first.path}: {first.message}; to cure it, {first.cure}"
        if first.kind == _MISSING and self.is_table and not self.request.image_root:
            cause += f"; where a table names the images as another machine does, name their folder: {Cure.IMAGE_ROOT}"
        return cause

    def _note_bad(self, sample: SourceSample, error: ImageError) -> None:
        self.problems.error(error.kind, sample.name, str(error), error.cure)

    def note(self, stage: str, done: int, total: int, *, at_once: bool = False) -> None:
        """Write the progress of the import, not too often.

        Raises:
            RoundCancelledError: it was cancelled.
        """
        now = time.monotonic()
        if not at_once and now - self.noted < _EVERY_SECONDS:
            return
        self.noted = now
        self.report(done, total, stage)
        if self.should_stop():
            raise RoundCancelledError("the import was asked to stop")
        with self.app_context.database.write() as session:
            if not imports.note_progress(session, self.import_id, done, total, stage):
                raise RoundCancelledError("the import was cancelled elsewhere")

    def _end(self, status: JobStatus, message: str, question: dict[str, Any] | None = None) -> None:
        write_problems(self.app_context, self.import_id, self.problems)
        with self.app_context.database.write() as session:
            imports.finish_import(session, self.import_id, status, message, report=question)


@contextmanager
def _own_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder, cleared of files of a killed run, and removed at the end."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _spool(path: Path, rows: Iterable[tuple[Any, ...]]) -> int:
    """Write rows of plain values, which a source may have too many of to keep in memory; return their number."""
    count = 0
    with path.open("w", encoding="ascii") as file:
        for count, row in enumerate(rows, start=1):  # noqa: B007 the last number is the answer
            file.write(json.dumps(row) + "\n")
    return count


def _unspool(path: Path) -> Iterator[list[Any]]:
    """Yield the rows in the order they were written."""
    with path.open(encoding="ascii") as file:
        for line in file:
            yield json.loads(line)


def _as_unlabelled(samples: Iterator[SourceSample], root: Path) -> Iterator[SourceSample]:
    """Yield the samples of an added folder, with names that differ from those of the dataset's own."""
    for sample in samples:
        yield replace(sample, name=f"{root.name}/{sample.name}", split=imports.UNLABELLED_SPLIT, label=None, mask=None)
