"""Meaning of masks of ids: a class, IGNORE or nothing for every value, or black and white with smoothed edges.

Named classes are in the order of their ids unless their list has ids; without names every id is a class named by its
number. Values that fit only by a guess become questions.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from core.data.formats.source import (
    NO_MEANING,
    READING,
    Answer,
    Grounds,
    MaskMeaning,
    Problems,
    Question,
    ReadOptions,
    ValueMeaning,
)
from core.data.masks.classes import BACKGROUND, Declared, declare, is_void
from core.data.masks.colours import IGNORED, class_table
from core.data.masks.files import Survey, survey
from core.data.masks.pixels import PixelCode
from core.data.reading import spread
from core.types import IGNORE, WIDE_IGNORE, ClassTable, Cure, DatasetError, counted

SAMPLED = 200  # masks examined if classes are named
_SCANNED = 5_000  # masks whose ids are collected, spread over all, if classes are not named
_MOST_UNNAMED = 4_096  # ids beyond are instances or heights, not classes
_BINARY = {0, 255}
_BACKGROUNDS = {BACKGROUND, "_background_", "bg"}
_OFTEN = 0.5  # share of the masks: a value in as many masks is no mistake
_SHOWN = 6  # values named in a question
_SMOOTH_FROM = 32  # the largest grey of smoothed edges is above any usual id
_JPEG_NOISE = 32  # greys this near to black or white are black or white in a JPEG


@dataclass(frozen=True, slots=True)
class DefaultClasses:
    """A format's classes for masks without declared ones: by colour, and by id if no id is larger."""

    colours: Declared | None = None
    ids: Declared | None = None
    largest_id: int = 0
    coloured: bool | None = None  # None: the files tell


@dataclass(frozen=True, slots=True)
class MaskEncoding:
    """Classes of a source, their encoding in its mask files, and the decisions and questions about them."""

    table: ClassTable
    code: PixelCode
    shown: MaskMeaning = NO_MEANING


@dataclass(frozen=True, slots=True)
class MaskSource:
    """Input for finding the meaning of masks."""

    masks: Sequence[str]
    declared: Declared | None
    options: ReadOptions
    usual: DefaultClasses
    problems: Problems
    peeked: Survey
    channel: str

    @property
    def name(self) -> str:
        """Return the name of the masks' folder, for messages."""
        return Path(self.masks[0]).parent.name if self.masks else "masks"

    @property
    def asks(self) -> bool:
        """Return whether the source is read with questions, not by the older rules of earlier imports."""
        return self.options.reading >= READING


def find_values(source: MaskSource) -> MaskEncoding:
    """Return the meaning of masks of ids.

    Raises:
        DatasetError: the ids are too large for classes without names, or an option does not fit.
    """
    count = _SCANNED if source.declared is None else SAMPLED
    found = survey(
        spread(source.masks, count),
        grey_is_colour=source.declared is not None and bool(source.declared.colours),
        thrice=source.asks,
        channel=source.channel,
    )
    surveyed = _SurveyedIds(source, found)
    ramp = _ramp(surveyed)
    if ramp is not None:
        return _binary(surveyed, ramp)
    declared = _from_files(surveyed) if source.declared is None else _declared_classes(surveyed)
    code = PixelCode(
        coloured=False,
        colours=declared.colours,
        others_ignored=declared.others_ignored or source.options.unnamed_ids == "ignore",
        explicit=declared.explicit,
        values=declared.values,
        channel=source.channel,
        floats=source.options.float_masks == "ids",
    )
    code = with_ignore_id(code, declared, source.options)
    shown = MaskMeaning(tuple(surveyed.decisions(declared, code)), tuple(surveyed.questions), found.files)
    return MaskEncoding(declared.table, code, shown)


def with_ignore_id(code: PixelCode, declared: Declared, options: ReadOptions) -> PixelCode:
    """Return the code with the options' value of IGNORE."""
    ignored = [] if options.ignore_id is None else [(options.ignore_id, IGNORED)]
    return replace(code, values=tuple({**dict(declared.values), **dict(ignored)}.items()))


class _SurveyedIds:
    """Surveyed masks of ids, with the questions and the grounds of the decisions."""

    def __init__(self, source: MaskSource, found: Survey) -> None:
        self.source = source
        self.found = found
        self.questions: list[Question] = []
        self.how: dict[int, Grounds] = {}  # of values with a meaning other than their class
        self._ask_of_floats()

    @property
    def ids(self) -> set[int]:
        """Return the values found, without those ignored by an option or by convention."""
        few = self.source.declared is None or len(self.source.declared.table) <= IGNORE
        usual = {IGNORE, WIDE_IGNORE} if few else {WIDE_IGNORE}
        return self.found.values - usual - {self.source.options.ignore_id}

    def ask(self, kind: str, text: str, *answers: Answer, blocking: bool = True) -> None:
        """Add a question, except for datasets imported by the older rules."""
        if self.source.asks:
            self.questions.append(Question(kind, text, answers, blocking))

    def share(self, values: set[int]) -> float:
        """Return the share of pixels with one of these values."""
        pixels = self.found.value_pixels
        return sum(pixels[value] for value in values) / max(pixels.total(), 1)

    def files(self, values: set[int]) -> int:
        """Return the number of masks with the most frequent of these values."""
        return max((self.found.value_files[value] for value in values), default=0)

    def is_often(self, values: set[int]) -> bool:
        """Return whether these values are in enough masks to be intended."""
        return self.files(values) >= _OFTEN * max(self.found.files, 1)

    def decisions(self, declared: Declared, code: PixelCode) -> Iterator[ValueMeaning]:
        """Yield the meaning of every value found."""
        by_id = declared.by_id
        grounds = Grounds.STATED if self.source.declared is not None else Grounds.CONVENTION
        usual = {IGNORE} if len(declared.table) <= IGNORE else set()
        for value in sorted(self.found.values):
            share, files = self.share({value}), self.found.value_files[value]
            how = self.how.get(value, grounds)
            if value == self.source.options.ignore_id:
                yield ValueMeaning(str(value), "", Grounds.STATED, share, files)
            elif value in by_id:
                number = by_id[value]
                name = "" if number == IGNORED else declared.table.names[number]
                yield ValueMeaning(str(value), name, how, share, files)
            elif value in usual | {WIDE_IGNORE}:
                yield ValueMeaning(str(value), "", Grounds.CONVENTION, share, files)
            else:
                yield ValueMeaning(str(value), "" if code.others_ignored else None, Grounds.STATED, share, files)

    def _ask_of_floats(self) -> None:
        if not self.found.floats or self.source.options.float_masks:
            return
        text = f"{self.found.floats:,} of {self.found.files:,} masks store floating-point numbers"
        if self.found.whole:
            values = _value_list(self.found.values)
            self.ask(
                "floating-point masks",
                f"{text}, all of them whole ({values}). Are they ids of classes?",
                Answer("yes, read them as ids", "float_masks", "ids"),
            )
        else:
            self.source.problems.warn(
                "floating-point masks",
                self.source.name,
                f"{text} that are not ids",
                "write them again as PNG, with the id of the class in each pixel",
            )


def _ramp(surveyed: _SurveyedIds) -> tuple[int, int] | None:
    """Return the range of greys that are IGNORE if the masks are black and white, smoothed; None if they are not.

    Usual ids are small, and 255 beside them is a thin border; in smoothed masks the greys between are the thin ones.

    Raises:
        DatasetError: an option demands it, but more than two classes are named.
    """
    source, found = surveyed.source, surveyed.found
    between = {value for value in found.values if 0 < value < IGNORE}
    noise = _JPEG_NOISE if found.lossy else 0
    chosen = source.options.threshold_masks
    names = 2 if source.declared is None else len(source.declared.table)
    if chosen in {"ignore", "half"}:
        if names != 2:  # noqa: PLR2004
            raise DatasetError(
                f"{source.name}: {names} classes are named, but cutting greys is for black and white masks of two",
                "leave it out, or name two classes",
            )
        return (127, 128) if chosen == "half" else (noise, IGNORE - noise)
    is_lost = 2 * found.lossy > found.files and names == 2 and max(found.values, default=0) >= IGNORE - _JPEG_NOISE  # noqa: PLR2004
    is_smooth = (
        found.values >= _BINARY
        and max(found.values) == IGNORE
        and bool(between)
        and max(between) >= _SMOOTH_FROM
        and surveyed.share(between) < surveyed.share({IGNORE})
        and names == 2  # noqa: PLR2004 background and object
    )
    if chosen or not source.asks or not (is_smooth or is_lost):
        return None
    lost = ", stored as JPEG" if found.lossy else ""
    surveyed.ask(
        "smoothed masks",
        f"{counted(len(between), 'grey')} between 0 and 255, {surveyed.share(between):.1%} of the pixels: this looks "
        f"like black and white masks with smoothed edges{lost}. Is it so?",
        Answer("yes, and what lies between is unlabelled", "threshold_masks", "ignore"),
        Answer("yes, cut them at 128", "threshold_masks", "half"),
        *(() if found.lossy else (Answer("no, every grey is a class of its own", "threshold_masks", "off"),)),
    )
    return noise, IGNORE - noise


def _binary(surveyed: _SurveyedIds, ramp: tuple[int, int]) -> MaskEncoding:
    """Return the meaning of black and white masks: background and object, or the two named classes."""
    source, found = surveyed.source, surveyed.found
    declared = source.declared
    if declared is None or len(declared.table) != 2:  # noqa: PLR2004
        declared = declare([(BACKGROUND, None), ("object", None)])
    how = Grounds.GUESSED if surveyed.questions else Grounds.STATED
    low = {value for value in found.values if value <= ramp[0]}
    high = {value for value in found.values if ramp[1] <= value <= IGNORE}
    parts = [
        (f"0 to {ramp[0]}" if ramp[0] else "0", declared.table.names[0], low),
        (f"{ramp[0] + 1} to {ramp[1] - 1}", "", found.values - low - high),
        (f"{ramp[1]} to 255" if ramp[1] < IGNORE else "255", declared.table.names[1], high),
    ]
    decisions = [
        ValueMeaning(text, name, how, surveyed.share(values), surveyed.files(values))
        for text, name, values in parts
        if values
    ]
    code = PixelCode(coloured=False, ramp=ramp, channel=source.channel)
    return MaskEncoding(declared.table, code, MaskMeaning(tuple(decisions), tuple(surveyed.questions), found.files))


def _declared_classes(surveyed: _SurveyedIds) -> Declared:
    """Return the declared classes with the ids that the files use."""
    source, options = surveyed.source, surveyed.source.options
    declared = source.declared
    assert declared is not None
    unnamed = surveyed.ids - declared.by_id.keys()
    if options.first_id is not None and not declared.explicit:
        return _shift_ids(declared, options.first_id)
    if not source.asks or declared.complete or options.unnamed_ids == "ignore":
        return declared
    if options.unnamed_ids == "class":
        return _with_numbers(declared, unnamed)
    return _with_zero(surveyed, declared, unnamed) if declared.explicit else _in_order(surveyed, declared, unnamed)


def _in_order(surveyed: _SurveyedIds, declared: Declared, unnamed: set[int]) -> Declared:
    """Return classes named in the order of their ids, from 0 on, or from 1 on if only that fits."""
    found, options = surveyed.found, surveyed.source.options
    count = len(declared.by_id)
    is_pair = len(declared.table) == count == 2  # noqa: PLR2004 background and object
    if is_pair and found.values <= _BINARY and IGNORE in found.values and options.ignore_id is None:
        surveyed.how[IGNORE] = Grounds.CONVENTION
        return replace(declared, values=((IGNORE, 1),))
    background = declared.table.names[0].strip().lower() in _BACKGROUNDS or 0 in dict(declared.values)
    if not background and (unnamed == {count} and (0 not in found.values or options.ignore_id == 0)):
        surveyed.how |= dict.fromkeys(surveyed.ids, Grounds.GUESSED if options.ignore_id is None else Grounds.STATED)
        return _shift_ids(declared, 1)
    if not background and options.ignore_id == 0 and surveyed.ids and not unnamed:
        surveyed.ask(
            "first id",
            f"There are {count:,} names and the id 0 is unlabelled. Is the first name, {declared.table.names[0]}, "
            "that of the id 1?",
            Answer(f"yes, 1 is {declared.table.names[0]}", "first_id", 1),
            Answer(f"no, the names begin with that of 0, so 1 is {_second(declared)}", "first_id", 0),
        )
    elif unnamed:
        _ask_of_unnamed(surveyed, declared, unnamed, background=background)
    return declared


def _ask_of_unnamed(surveyed: _SurveyedIds, declared: Declared, unnamed: set[int], *, background: bool) -> None:
    count = len(declared.by_id)
    them = "it" if len(unnamed) == 1 else "them"
    answers = [
        Answer("yes, ignore it", "ignore_id", next(iter(unnamed)))
        if len(unnamed) == 1 and surveyed.source.options.ignore_id is None
        else Answer(f"yes, ignore {them}", "unnamed_ids", "ignore")
    ]
    if unnamed == {count} and not background:
        first = declared.table.names[0]
        answers.append(Answer(f"no, the names begin at the id 1 ({first}), and 0 is unlabelled", "first_id", 1))
    answers.append(Answer(f"no, make {them} a class", "unnamed_ids", "class"))
    surveyed.ask(
        "ids without a name",
        f"There are {count:,} names, for the ids 0 to {count - 1}, but the masks also hold {_value_list(unnamed)}: "
        f"{surveyed.share(unnamed):.1%} of the pixels, in {surveyed.files(unnamed):,} of {surveyed.found.files:,} "
        "masks. "
        f"{'Is it' if len(unnamed) == 1 else 'Are they'} unlabelled?",
        *answers,
        blocking=surveyed.is_often(unnamed),
    )


def _with_zero(surveyed: _SurveyedIds, declared: Declared, unnamed: set[int]) -> Declared:
    """Return classes with ids of their own; 0 is IGNORE if the list does not have it, as in lists from 1 on."""
    if 0 in unnamed:
        surveyed.how[0] = Grounds.GUESSED
        declared = replace(declared, values=((0, IGNORED), *declared.values))
        surveyed.ask(
            "id 0 without a name",
            f"The list of classes does not have the id 0 ({surveyed.share({0}):.1%} of the pixels); it is read as "
            "unlabelled. Is it so?",
            Answer("yes, ignore it", "ignore_id", 0),
            Answer("no, make it a class", "unnamed_ids", "class"),
            blocking=False,
        )
    rest = unnamed - {0}
    if rest:
        surveyed.ask(
            "ids without a name",
            f"The list of classes does not have {_value_list(rest)}: {surveyed.share(rest):.1%} of the pixels, in "
            f"{surveyed.files(rest):,} of {surveyed.found.files:,} masks. Are these pixels unlabelled?",
            Answer("yes, ignore them", "unnamed_ids", "ignore"),
            Answer("no, each is a class", "unnamed_ids", "class"),
            blocking=surveyed.is_often(rest),
        )
    return declared


def _shift_ids(declared: Declared, first: int) -> Declared:
    """Return the same names from another id on; ids below are IGNORE."""
    rows = {number + first: meant for number, meant in declared.by_id.items()}
    below = dict.fromkeys(range(first), IGNORED)
    return replace(declared, values=tuple(sorted((below | rows).items())), explicit=True)


def _with_numbers(declared: Declared, unnamed: set[int]) -> Declared:
    """Return the classes with one more for each id without a name, named by its number."""
    names, colours = list(declared.table.names), list(declared.table.colours)
    values = dict(declared.by_id)
    for number in sorted(unnamed):
        values[number] = len(names)
        names.append(str(number) if str(number) not in names else f"id {number}")
    table = class_table(names, [*colours, *[None] * (len(names) - len(colours))])
    return replace(declared, table=table, values=tuple(sorted(values.items())), explicit=True)


def _from_files(surveyed: _SurveyedIds) -> Declared:
    """Return the usual classes if they have every id of the files, else one class for each id."""
    source, found, options = surveyed.source, surveyed.found.values, surveyed.source.options
    problems = source.problems
    if found == _BINARY and options.ignore_id is None:
        problems.warn(
            "only 0 and 255",
            source.name,
            "the masks hold 0 and 255 only, so 255 is read as a class",
            f"nothing; or say that 255 means unlabelled: {Cure.IGNORE_255}",
        )
        return replace(declare([(BACKGROUND, None), ("object", None)]), values=((255, 1),))
    ids = {value for value in found if value != options.ignore_id} - {IGNORE, WIDE_IGNORE}
    largest = max(ids, default=0)
    if source.usual.ids is not None and largest <= source.usual.largest_id:
        return source.usual.ids
    if largest >= _MOST_UNNAMED:
        raise DatasetError(
            f"{source.name}: the masks hold ids up to {largest}",
            "if these are classes, name all of them in a classes.txt, one per line",
        )
    if len(source.masks) > _SCANNED:
        problems.warn(
            "classes not named",
            source.name,
            f"the ids of {_SCANNED:,} of {len(source.masks):,} masks were examined; a rarer one would be missing",
            "put a classes.txt with one name per line beside the masks",
        )
    palette = surveyed.found.palette
    table = class_table([str(number) for number in range(largest + 1)], palette)
    return declare(zip(table.names, table.colours if palette else [None] * len(table), strict=True))


def _second(declared: Declared) -> str:
    return next((name for name in declared.table.names[1:] if not is_void(name)), "the second name")


def _value_list(values: set[int]) -> str:
    shown = [str(value) for value in sorted(values)]
    return ", ".join(shown[:_SHOWN]) + (f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else "")
