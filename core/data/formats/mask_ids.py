"""The meaning of masks of ids: a class, IGNORE or nothing for every value, or black and white with smoothed edges.

Named classes are in the order of their ids unless their list has ids; without names every id is a class called by its
number. Values that fit only by a guess become questions.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from core.data.formats.questions import NO_MEANING, Answer, Decision, How, MaskMeaning, Question
from core.data.formats.source import READING, Problems, ReadOptions
from core.data.masks.classes import BACKGROUND, Declared, declare, is_nobody
from core.data.masks.colours import IGNORED, class_table
from core.data.masks.pixels import PixelCode
from core.data.masks.survey import Survey, survey
from core.types import IGNORE, WIDE_IGNORE, ClassTable, DatasetError

SAMPLED = 200  # masks that are looked at where classes are named
_SCANNED = 5_000  # masks whose ids are collected, spread over all, where nobody names the classes
_MOST_UNNAMED = 4_096  # ids beyond are instances or heights, not classes
_BINARY = {0, 255}
_BACKGROUNDS = {BACKGROUND, "_background_", "bg"}
_OFTEN = 0.5  # of the masks: a value that as many hold is no slip
_SHOWN = 6  # values named in a question
_SMOOTH_FROM = 32  # the largest grey of smoothed edges is above any usual id
_JPEG_NOISE = 32  # greys this near to black or white are black or white in a JPEG


@dataclass(frozen=True, slots=True)
class Usual:
    """Meaning of a format's masks where nobody declares anything: by colour, and by id while no id is larger."""

    colours: Declared | None = None
    ids: Declared | None = None
    largest_id: int = 0
    coloured: bool | None = None  # None: the files tell


@dataclass(frozen=True, slots=True)
class Meaning:
    """The classes of a source, how its mask files encode them, and what was decided and is to be asked."""

    table: ClassTable
    code: PixelCode
    shown: MaskMeaning = NO_MEANING


@dataclass(frozen=True, slots=True)
class MaskSource:
    """Everything that the meaning follows from."""

    masks: Sequence[str]
    declared: Declared | None
    options: ReadOptions
    usual: Usual
    problems: Problems
    peeked: Survey
    channel: str

    @property
    def name(self) -> str:
        """Return the name of the masks' folder, for messages."""
        return Path(self.masks[0]).parent.name if self.masks else "masks"

    @property
    def asks(self) -> bool:
        """Whether these rules apply, and not those of a dataset that was imported before them."""
        return self.options.reading >= READING


def of_values(told: MaskSource) -> Meaning:
    """Return the meaning of masks of ids.

    Raises:
        DatasetError: the ids are too large for classes that nobody names, or an option does not fit.
    """
    count = _SCANNED if told.declared is None else SAMPLED
    found = survey(
        spread(told.masks, count),
        grey_is_colour=told.declared is not None and bool(told.declared.colours),
        thrice=told.asks,
        channel=told.channel,
    )
    asked = _Asked(told, found)
    ramp = _ramp(asked)
    if ramp is not None:
        return _binary(asked, ramp)
    declared = _from_files(asked) if told.declared is None else _named(asked)
    code = PixelCode(
        coloured=False,
        colours=declared.colours,
        others_ignored=declared.others_ignored or told.options.unnamed_ids == "ignore",
        explicit=declared.explicit,
        values=declared.values,
        channel=told.channel,
        floats=told.options.float_masks == "ids",
    )
    code = ignoring(code, declared, told.options)
    shown = MaskMeaning(tuple(asked.decisions(declared, code)), tuple(asked.questions), found.files)
    return Meaning(declared.table, code, shown)


def ignoring(code: PixelCode, declared: Declared, options: ReadOptions) -> PixelCode:
    """Return the code with the value that the options ignore."""
    ignored = [] if options.ignore_id is None else [(options.ignore_id, IGNORED)]
    return replace(code, values=tuple({**dict(declared.values), **dict(ignored)}.items()))


class _Asked:
    """The masks of ids as surveyed, with the questions that arise and the grounds of what is decided."""

    def __init__(self, told: MaskSource, found: Survey) -> None:
        self.told = told
        self.found = found
        self.questions: list[Question] = []
        self.how: dict[int, How] = {}  # of values decided otherwise than the classes say
        self._ask_of_floats()

    @property
    def ids(self) -> set[int]:
        """Return the values found that are neither ignored by an option nor by convention."""
        few = self.told.declared is None or len(self.told.declared.table) <= IGNORE
        usual = {IGNORE, WIDE_IGNORE} if few else {WIDE_IGNORE}
        return self.found.values - usual - {self.told.options.ignore_id}

    def ask(self, kind: str, text: str, *answers: Answer, blocking: bool = True) -> None:
        """Note a question, but for datasets imported before there were any."""
        if self.told.asks:
            self.questions.append(Question(kind, text, answers, blocking))

    def share(self, values: set[int]) -> float:
        """Return the share of pixels that have one of these values."""
        pixels = self.found.value_pixels
        return sum(pixels[value] for value in values) / max(pixels.total(), 1)

    def files(self, values: set[int]) -> int:
        """Return the number of masks that have the most frequent of these values."""
        return max((self.found.value_files[value] for value in values), default=0)

    def is_often(self, values: set[int]) -> bool:
        """Whether these values are in so many masks that they are meant."""
        return self.files(values) >= _OFTEN * max(self.found.files, 1)

    def decisions(self, declared: Declared, code: PixelCode) -> Iterator[Decision]:
        """Yield the meaning of every value found."""
        named = declared.named
        told = How.TOLD if self.told.declared is not None else How.CONVENTION
        usual = {IGNORE} if len(declared.table) <= IGNORE else set()
        for value in sorted(self.found.values):
            share, files = self.share({value}), self.found.value_files[value]
            how = self.how.get(value, told)
            if value == self.told.options.ignore_id:
                yield Decision(str(value), "", How.TOLD, share, files)
            elif value in named:
                number = named[value]
                name = "" if number == IGNORED else declared.table.names[number]
                yield Decision(str(value), name, how, share, files)
            elif value in usual | {WIDE_IGNORE}:
                yield Decision(str(value), "", How.CONVENTION, share, files)
            else:
                yield Decision(str(value), "" if code.others_ignored else None, How.TOLD, share, files)

    def _ask_of_floats(self) -> None:
        if not self.found.floats or self.told.options.float_masks:
            return
        text = f"{self.found.floats:,} of {self.found.files:,} masks store floating-point numbers"
        if self.found.whole:
            values = _listed(self.found.values)
            self.ask(
                "floating-point masks",
                f"{text}, all of them whole ({values}). Are they ids of classes?",
                Answer("yes, read them as ids", "float_masks", "ids"),
            )
        else:
            self.told.problems.warn(
                "floating-point masks",
                self.told.name,
                f"{text} that are no ids",
                "write them again as PNG, with the id of the class in each pixel",
            )


def _ramp(asked: _Asked) -> tuple[int, int] | None:
    """Return between which greys pixels are IGNORE, where the masks are black and white, smoothed; None: they are not.

    Usual ids are small, and 255 beside them is a thin border; of smoothed masks the greys between are the thin ones.

    Raises:
        DatasetError: an option says so, but more than two classes are named.
    """
    told, found = asked.told, asked.found
    between = {value for value in found.values if 0 < value < IGNORE}
    noise = _JPEG_NOISE if found.lossy else 0
    chosen = told.options.threshold_masks
    names = 2 if told.declared is None else len(told.declared.table)
    if chosen in {"ignore", "half"}:
        if names != 2:  # noqa: PLR2004
            raise DatasetError(
                f"{told.name}: {names} classes are named, but --threshold-masks is for black and white masks of two; "
                "leave it out, or name two classes"
            )
        return (127, 128) if chosen == "half" else (noise, IGNORE - noise)
    is_lost = 2 * found.lossy > found.files and names == 2 and max(found.values, default=0) >= IGNORE - _JPEG_NOISE  # noqa: PLR2004
    is_smooth = (
        found.values >= _BINARY
        and max(found.values) == IGNORE
        and bool(between)
        and max(between) >= _SMOOTH_FROM
        and asked.share(between) < asked.share({IGNORE})
        and names == 2  # noqa: PLR2004 background and object
    )
    if chosen or not told.asks or not (is_smooth or is_lost):
        return None
    lost = ", stored as JPEG" if found.lossy else ""
    asked.ask(
        "smoothed masks",
        f"{len(between):,} greys between 0 and 255, {asked.share(between):.1%} of the pixels: this looks like black "
        f"and white masks with smoothed edges{lost}. Is it so?",
        Answer("yes, and what lies between is unlabelled", "threshold_masks", "ignore"),
        Answer("yes, cut them at 128", "threshold_masks", "half"),
        *(() if found.lossy else (Answer("no, every grey is a class of its own", "threshold_masks", "off"),)),
    )
    return noise, IGNORE - noise


def _binary(asked: _Asked, ramp: tuple[int, int]) -> Meaning:
    """Return the meaning of black and white masks: background and object, or the two classes that are named."""
    told, found = asked.told, asked.found
    declared = told.declared
    if declared is None or len(declared.table) != 2:  # noqa: PLR2004
        declared = declare([(BACKGROUND, None), ("object", None)])
    how = How.GUESSED if asked.questions else How.TOLD
    low = {value for value in found.values if value <= ramp[0]}
    high = {value for value in found.values if ramp[1] <= value <= IGNORE}
    parts = [
        (f"0 to {ramp[0]}" if ramp[0] else "0", declared.table.names[0], low),
        (f"{ramp[0] + 1} to {ramp[1] - 1}", "", found.values - low - high),
        (f"{ramp[1]} to 255" if ramp[1] < IGNORE else "255", declared.table.names[1], high),
    ]
    decisions = [
        Decision(text, name, how, asked.share(values), asked.files(values)) for text, name, values in parts if values
    ]
    code = PixelCode(coloured=False, ramp=ramp, channel=told.channel)
    return Meaning(declared.table, code, MaskMeaning(tuple(decisions), tuple(asked.questions), found.files))


def _named(asked: _Asked) -> Declared:
    """Return the declared classes with the ids that the files use."""
    told, options = asked.told, asked.told.options
    declared = told.declared
    assert declared is not None
    unnamed = asked.ids - declared.named.keys()
    if options.first_id is not None and not declared.explicit:
        return _from(declared, options.first_id)
    if not told.asks or declared.complete or options.unnamed_ids == "ignore":
        return declared
    if options.unnamed_ids == "class":
        return _with_numbers(declared, unnamed)
    return _with_zero(asked, declared, unnamed) if declared.explicit else _in_order(asked, declared, unnamed)


def _in_order(asked: _Asked, declared: Declared, unnamed: set[int]) -> Declared:
    """Return classes that are named in the order of their ids, from 0 on, or from 1 on where only that fits."""
    found, options = asked.found, asked.told.options
    count = len(declared.named)
    is_pair = len(declared.table) == count == 2  # noqa: PLR2004 background and object
    if is_pair and found.values <= _BINARY and IGNORE in found.values and options.ignore_id is None:
        asked.how[IGNORE] = How.CONVENTION
        return replace(declared, values=((IGNORE, 1),))
    background = declared.table.names[0].strip().lower() in _BACKGROUNDS or 0 in dict(declared.values)
    if not background and (unnamed == {count} and (0 not in found.values or options.ignore_id == 0)):
        asked.how |= dict.fromkeys(asked.ids, How.GUESSED if options.ignore_id is None else How.TOLD)
        return _from(declared, 1)
    if not background and options.ignore_id == 0 and asked.ids and not unnamed:
        asked.ask(
            "first id",
            f"There are {count:,} names and the id 0 is unlabelled. Is the first name, {declared.table.names[0]}, "
            "that of the id 1?",
            Answer(f"yes, 1 is {declared.table.names[0]}", "first_id", 1),
            Answer(f"no, the names begin with that of 0, so 1 is {_second(declared)}", "first_id", 0),
        )
    elif unnamed:
        _ask_of_unnamed(asked, declared, unnamed, background=background)
    return declared


def _ask_of_unnamed(asked: _Asked, declared: Declared, unnamed: set[int], *, background: bool) -> None:
    count = len(declared.named)
    them = "it" if len(unnamed) == 1 else "them"
    answers = [
        Answer("yes, ignore it", "ignore_id", next(iter(unnamed)))
        if len(unnamed) == 1 and asked.told.options.ignore_id is None
        else Answer(f"yes, ignore {them}", "unnamed_ids", "ignore")
    ]
    if unnamed == {count} and not background:
        first = declared.table.names[0]
        answers.append(Answer(f"no, the names begin at the id 1 ({first}), and 0 is unlabelled", "first_id", 1))
    answers.append(Answer(f"no, make {them} a class", "unnamed_ids", "class"))
    asked.ask(
        "ids without a name",
        f"There are {count:,} names, for the ids 0 to {count - 1}, but the masks also hold {_listed(unnamed)}: "
        f"{asked.share(unnamed):.1%} of the pixels, in {asked.files(unnamed):,} of {asked.found.files:,} masks. "
        f"{'Is it' if len(unnamed) == 1 else 'Are they'} unlabelled?",
        *answers,
        blocking=asked.is_often(unnamed),
    )


def _with_zero(asked: _Asked, declared: Declared, unnamed: set[int]) -> Declared:
    """Return classes with ids of their own; 0 is IGNORE where the list does not have it, as lists from 1 on mean it."""
    if 0 in unnamed:
        asked.how[0] = How.GUESSED
        declared = replace(declared, values=((0, IGNORED), *declared.values))
        asked.ask(
            "id 0 without a name",
            f"The list of classes does not have the id 0 ({asked.share({0}):.1%} of the pixels); it is read as "
            "unlabelled. Is it so?",
            Answer("yes, ignore it", "ignore_id", 0),
            Answer("no, make it a class", "unnamed_ids", "class"),
            blocking=False,
        )
    rest = unnamed - {0}
    if rest:
        asked.ask(
            "ids without a name",
            f"The list of classes does not have {_listed(rest)}: {asked.share(rest):.1%} of the pixels, in "
            f"{asked.files(rest):,} of {asked.found.files:,} masks. Are these pixels unlabelled?",
            Answer("yes, ignore them", "unnamed_ids", "ignore"),
            Answer("no, each is a class", "unnamed_ids", "class"),
            blocking=asked.is_often(rest),
        )
    return declared


def _from(declared: Declared, first: int) -> Declared:
    """Return the same names from another id on; ids below are IGNORE."""
    rows = {number + first: meant for number, meant in declared.named.items()}
    below = dict.fromkeys(range(first), IGNORED)
    return replace(declared, values=tuple(sorted((below | rows).items())), explicit=True)


def _with_numbers(declared: Declared, unnamed: set[int]) -> Declared:
    """Return the classes with one more for each id without a name, called by its number."""
    names, colours = list(declared.table.names), list(declared.table.colours)
    values = dict(declared.named)
    for number in sorted(unnamed):
        values[number] = len(names)
        names.append(str(number) if str(number) not in names else f"id {number}")
    table = class_table(names, [*colours, *[None] * (len(names) - len(colours))])
    return replace(declared, table=table, values=tuple(sorted(values.items())), explicit=True)


def _from_files(asked: _Asked) -> Declared:
    """Return the usual classes where they hold every id that the files do, else one class for each id."""
    told, found, options = asked.told, asked.found.values, asked.told.options
    problems = told.problems
    if found == _BINARY and options.ignore_id is None:
        problems.warn(
            "only 0 and 255",
            told.name,
            "the masks hold 0 and 255 only, so 255 is read as a class",
            "nothing; or say that 255 means unlabelled (--ignore-id 255)",
        )
        return replace(declare([(BACKGROUND, None), ("object", None)]), values=((255, 1),))
    ids = {value for value in found if value != options.ignore_id} - {IGNORE, WIDE_IGNORE}
    largest = max(ids, default=0)
    if told.usual.ids is not None and largest <= told.usual.largest_id:
        return told.usual.ids
    if largest >= _MOST_UNNAMED:
        raise DatasetError(
            f"{told.name}: the masks hold ids up to {largest}; if these are classes, name all of them in a "
            "classes.txt, one a line"
        )
    if len(told.masks) > _SCANNED:
        problems.warn(
            "classes not named",
            told.name,
            f"the ids of {_SCANNED:,} of {len(told.masks):,} masks were looked at; a rarer one would be missing",
            "put a classes.txt with one name a line beside the masks",
        )
    palette = asked.found.palette
    table = class_table([str(number) for number in range(largest + 1)], palette)
    return declare(zip(table.names, table.colours if palette else [None] * len(table), strict=True))


def _second(declared: Declared) -> str:
    return next((name for name in declared.table.names[1:] if not is_nobody(name)), "the second name")


def _listed(values: set[int]) -> str:
    shown = [str(value) for value in sorted(values)]
    return ", ".join(shown[:_SHOWN]) + (f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else "")


def spread(masks: Sequence[str], count: int) -> Sequence[str]:
    """Return at most so many of them, evenly spread."""
    step = max(1, -(-len(masks) // count))
    return masks[::step]
