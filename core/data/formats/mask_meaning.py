"""Meaning of a source's mask files: a class, IGNORE or nothing for every value or colour.

Options take precedence, then a file of classes beside the masks, then the format's convention, then the files
themselves (`mask_ids`). A guess becomes a question (`source.Question`), or, where only one reading makes sense, a
decision that is shown as guessed. Colours are never guessed.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from core.data.formats.mask_ids import (
    SAMPLED,
    DefaultClasses,
    MaskEncoding,
    MaskSource,
    find_values,
    with_ignore_id,
)
from core.data.formats.source import (
    READING,
    Answer,
    Grounds,
    MaskMeaning,
    Problems,
    Question,
    ReadOptions,
    ValueMeaning,
    is_allowed,
    refuse_leaving,
)
from core.data.masks import camvid_maps
from core.data.masks.classes import Declared, find_declared, parse_names, read_declared
from core.data.masks.colours import IGNORED, text_of
from core.data.masks.files import Survey, survey
from core.data.masks.pixels import PixelCode
from core.data.reading import spread
from core.types import Cure, DatasetError

__all__ = ["CAMVID", "DefaultClasses", "MaskEncoding", "find_classes", "find_meaning"]

_PEEKED = 24  # masks whose kind is examined
CAMVID = DefaultClasses(camvid_maps.MAPS[camvid_maps.EXACT], camvid_maps.SEGNET, camvid_maps.SEGNET_VOID)


def find_meaning(
    masks: Sequence[str],
    folders: Sequence[Path],
    options: ReadOptions,
    usual: DefaultClasses,
    problems: Problems,
    *,
    source: Path | None,
) -> MaskEncoding:
    """Return the meaning of the masks at these paths; files that declare classes are looked up in `folders`.

    `source` None: its files may be anywhere that the installation allows.

    Raises:
        DatasetError: the declaration cannot be read or leaves the source by a link, or colours have no declaration.
    """
    declared = find_classes(folders, options, source)
    grey_is_colour = declared is not None and bool(declared.colours)
    peeked = survey(spread(masks, _PEEKED), grey_is_colour=grey_is_colour)
    channel = "alpha" if peeked.is_alpha and options.reading >= READING else ""
    mask_source = MaskSource(masks, declared, options, usual, problems, peeked, channel)
    if channel:
        problems.warn(
            "mask in alpha",
            mask_source.name,
            "the masks have one colour everywhere; their alpha channel is read as the mask",
            "nothing, or write the masks as grey PNG",
        )
    coloured = peeked.kinds["colours"] >= max(peeked.kinds["values"], 1) if usual.coloured is None else usual.coloured
    meaning = _of_colours(mask_source) if coloured and not channel else find_values(mask_source)
    for decision in meaning.shown.decisions:
        if decision.how is Grounds.GUESSED and not meaning.shown.blocking:
            meant = "unlabelled" if not decision.name else f"the class {decision.name}"
            problems.warn(
                "meaning guessed",
                mask_source.name,
                f"{decision.value} is read as {meant} ({decision.pixels or 0:.1%} of the pixels)",
                f"nothing, or another meaning: {Cure.MEANING}, or ids in a classes.csv",
            )
    return meaning


def find_classes(folders: Sequence[Path], options: ReadOptions, source: Path | None) -> Declared | None:
    """Return the classes declared by the options or by a file in one of these folders, None if undeclared.

    Raises:
        DatasetError: the declaration cannot be read, or may not be, or leaves the source by a link.
    """
    numbered = options.reading >= READING
    if options.colour_map in camvid_maps.MAPS:
        return camvid_maps.MAPS[options.colour_map]
    if options.colour_map:
        declared = read_declared(_check_allowed(options.colour_map, options), numbered=numbered)
        if not declared.colours:
            raise DatasetError(
                f"{options.colour_map}: has no colours", "write one class per line, as in: 128 0 0 Building"
            )
        return declared
    if options.class_names:
        is_list = "," in options.class_names and not os.path.isfile(options.class_names)  # noqa: PTH113 any length
        if is_list:
            return parse_names(options.class_names)
        return read_declared(_check_allowed(options.class_names, options), numbered=numbered)
    found = find_declared(*folders)
    if found is None:
        return None
    path = _check_allowed(str(found), options) if source is None else refuse_leaving(found, source, options)
    return read_declared(path, numbered=numbered)


def _check_allowed(path: str, options: ReadOptions) -> Path:
    if not is_allowed(str(Path(path).expanduser()), options):
        raise DatasetError(f"{path}: this installation does not read there", "copy it into an allowed folder")
    return Path(path).expanduser()


def _of_colours(source: MaskSource) -> MaskEncoding:
    declared = source.declared if source.declared is not None and source.declared.colours else source.usual.colours
    if declared is None:
        raise DatasetError(
            f"{source.name}: the masks are colours, and the class of each colour is unknown",
            f"choose a colour map with {Cure.COLOUR_MAP}, or put a label_colors.txt with lines like "
            "`128 0 0 Building` beside the masks",
        )
    others = declared.others_ignored or source.options.unknown_colours == "ignore"
    code = with_ignore_id(
        PixelCode(coloured=True, colours=declared.colours, others_ignored=others), declared, source.options
    )
    found = survey(spread(source.masks, SAMPLED), grey_is_colour=True)
    known = dict(declared.colours)
    unknown = {colour: pixels for colour, pixels in found.colour_pixels.items() if colour not in known}
    questions: tuple[Question, ...] = ()
    if unknown and len(unknown) < len(found.colour_pixels) and not others and not source.options.unknown_colours:
        files = max(found.colour_files[colour] for colour in unknown)
        share = sum(unknown.values()) / max(found.colour_pixels.total(), 1)
        questions = (
            Question(
                "colours without a class",
                f"{share:.2%} of the pixels have colours of no class ({len(unknown):,} of them, as at smoothed edges), "
                f"in at least {files:,} of {found.files:,} masks. Are these pixels unlabelled?",
                (
                    Answer("yes, ignore their pixels", "unknown_colours", "ignore"),
                    Answer("no, leave these masks out", "unknown_colours", "refuse"),
                ),
                blocking=False,
            ),
        )
    decisions = _shown_colours(declared, found, others_ignored=others)
    return MaskEncoding(declared.table, code, MaskMeaning(tuple(decisions), questions, found.files))


def _shown_colours(declared: Declared, found: Survey, *, others_ignored: bool) -> Iterator[ValueMeaning]:
    total = max(found.colour_pixels.total(), 1)
    for colour, number in declared.colours:
        name = "" if number == IGNORED else declared.table.names[number]
        yield ValueMeaning(
            text_of(colour), name, Grounds.STATED, found.colour_pixels[colour] / total, found.colour_files[colour]
        )
    known = dict(declared.colours)
    others = [colour for colour in found.colour_pixels if colour not in known]
    if others:
        share = sum(found.colour_pixels[colour] for colour in others) / total
        files = max(found.colour_files[colour] for colour in others)
        yield ValueMeaning("other colours", "" if others_ignored else None, Grounds.STATED, share, files)
