"""The meaning of a source's mask files: a class, IGNORE or nothing for every value or colour.

Options count most, then a file of classes beside the masks, then what is usual for the format, then the files
themselves (`mask_ids`). What would have to be guessed is asked (`questions`), or, where only one reading makes sense,
decided and shown as guessed. Colours are never guessed.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from core.data.formats.mask_ids import SAMPLED, MaskSource, Meaning, Usual, ignoring, of_values, spread
from core.data.formats.questions import Answer, Decision, How, MaskMeaning, Question
from core.data.formats.source import READING, Problems, ReadOptions, is_allowed, refuse_leaving
from core.data.masks import camvid_maps
from core.data.masks.classes import Declared, find_declared, names_from, read_declared
from core.data.masks.colours import IGNORED, text_of
from core.data.masks.pixels import PixelCode
from core.data.masks.survey import Survey, survey
from core.types import DatasetError

__all__ = ["CAMVID", "Meaning", "Usual", "find_classes", "find_meaning"]

_PEEKED = 24  # masks whose kind is looked at
CAMVID = Usual(camvid_maps.MAPS[camvid_maps.EXACT], camvid_maps.SEGNET, camvid_maps.SEGNET_VOID)


def find_meaning(
    masks: Sequence[str],
    folders: Sequence[Path],
    options: ReadOptions,
    usual: Usual,
    problems: Problems,
    *,
    source: Path | None,
) -> Meaning:
    """Return what the masks at these paths mean; files that declare classes are looked for in `folders`.

    `source` None: its files may lie anywhere that the installation allows.

    Raises:
        DatasetError: what is declared cannot be read or leaves the source by a link, or nothing says what colours mean.
    """
    declared = find_classes(folders, options, source)
    grey_is_colour = declared is not None and bool(declared.colours)
    peeked = survey(spread(masks, _PEEKED), grey_is_colour=grey_is_colour)
    channel = "alpha" if peeked.is_alpha and options.reading >= READING else ""
    told = MaskSource(masks, declared, options, usual, problems, peeked, channel)
    if channel:
        problems.warn(
            "mask in alpha",
            told.name,
            "the masks have one colour everywhere; their alpha channel is read as the mask",
            "nothing, or write the masks as grey PNG",
        )
    coloured = peeked.kinds["colours"] >= max(peeked.kinds["values"], 1) if usual.coloured is None else usual.coloured
    meaning = _of_colours(told) if coloured and not channel else of_values(told)
    for decision in meaning.shown.decisions:
        if decision.how is How.GUESSED and not meaning.shown.blocking:
            said = "unlabelled" if not decision.name else f"the class {decision.name}"
            problems.warn(
                "meaning guessed",
                told.name,
                f"{decision.value} is read as {said} ({decision.pixels or 0:.1%} of the pixels)",
                "nothing, or say it otherwise: --ignore-id, --first-id, --unnamed-ids, or ids in a classes.csv",
            )
    return meaning


def find_classes(folders: Sequence[Path], options: ReadOptions, source: Path | None) -> Declared | None:
    """Return the classes as the options or a file in one of these folders declare them; None: nothing does.

    Raises:
        DatasetError: what declares them cannot be read, or may not be, or leaves the source by a link.
    """
    numbered = options.reading >= READING
    if options.colour_map in camvid_maps.MAPS:
        return camvid_maps.MAPS[options.colour_map]
    if options.colour_map:
        declared = read_declared(_allowed(options.colour_map, options), numbered=numbered)
        if not declared.colours:
            raise DatasetError(f"{options.colour_map}: has no colours; write one class a line, as in: 128 0 0 Building")
        return declared
    if options.class_names:
        is_list = "," in options.class_names and not os.path.isfile(options.class_names)  # noqa: PTH113 any length
        if is_list:
            return names_from(options.class_names)
        return read_declared(_allowed(options.class_names, options), numbered=numbered)
    found = find_declared(*folders)
    if found is None:
        return None
    path = _allowed(str(found), options) if source is None else refuse_leaving(found, source, options)
    return read_declared(path, numbered=numbered)


def _allowed(path: str, options: ReadOptions) -> Path:
    if not is_allowed(str(Path(path).expanduser()), options):
        raise DatasetError(f"{path}: this installation does not read there; copy it into an allowed folder")
    return Path(path).expanduser()


def _of_colours(told: MaskSource) -> Meaning:
    declared = told.declared if told.declared is not None and told.declared.colours else told.usual.colours
    if declared is None:
        raise DatasetError(
            f"{told.name}: the masks are colours, and nothing says which colour is which class; choose a colour "
            "map (--colour-map), or put a label_colors.txt with lines like `128 0 0 Building` beside the masks"
        )
    others = declared.others_ignored or told.options.unknown_colours == "ignore"
    code = ignoring(PixelCode(coloured=True, colours=declared.colours, others_ignored=others), declared, told.options)
    found = survey(spread(told.masks, SAMPLED), grey_is_colour=True)
    known = dict(declared.colours)
    unknown = {colour: pixels for colour, pixels in found.colour_pixels.items() if colour not in known}
    questions: tuple[Question, ...] = ()
    if unknown and len(unknown) < len(found.colour_pixels) and not others and not told.options.unknown_colours:
        files = max(found.colour_files[colour] for colour in unknown)
        share = sum(unknown.values()) / max(found.colour_pixels.total(), 1)
        questions = (
            Question(
                "colours without a class",
                f"{share:.2%} of the pixels have colours of no class ({len(unknown):,} of them, as at smoothed edges), "
                f"in at least {files:,} of {found.files:,} masks. Are these pixels unlabelled?",
                (
                    Answer("yes, ignore them", "unknown_colours", "ignore"),
                    Answer("no, leave these masks out", "unknown_colours", "refuse"),
                ),
                blocking=False,
            ),
        )
    decisions = _shown_colours(declared, found, others_ignored=others)
    return Meaning(declared.table, code, MaskMeaning(tuple(decisions), questions, found.files))


def _shown_colours(declared: Declared, found: Survey, *, others_ignored: bool) -> Iterator[Decision]:
    total = max(found.colour_pixels.total(), 1)
    for colour, number in declared.colours:
        name = "" if number == IGNORED else declared.table.names[number]
        yield Decision(text_of(colour), name, How.TOLD, found.colour_pixels[colour] / total, found.colour_files[colour])
    known = dict(declared.colours)
    others = [colour for colour in found.colour_pixels if colour not in known]
    if others:
        share = sum(found.colour_pixels[colour] for colour in others) / total
        files = max(found.colour_files[colour] for colour in others)
        yield Decision("other colours", "" if others_ignored else None, How.TOLD, share, files)
