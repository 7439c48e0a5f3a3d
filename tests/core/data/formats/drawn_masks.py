"""Masks with everything in them that a format might lose, and the way through a format and back."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from core.data.formats.source import Problems, ReadOptions
from core.data.images import MaskError
from core.data.masks.items import MaskItem
from core.data.masks.reading import read_masks
from core.types import ClassTable, IntArray, SourceSample, ignore_of, mask_dtype

_LETTERS = st.characters(codec="utf-8", exclude_categories=["Cs"], exclude_characters="\0")
_COLOURS = st.integers(0, (1 << 24) - 1).map(lambda code: f"#{code:06x}")


@st.composite
def tables(draw: st.DrawFn, most: int = 6) -> ClassTable:
    """Classes of any names and colours; sometimes more than a byte holds, where `most` allows it."""
    count = draw(st.sampled_from([1, 2, most, 255, 300]).filter(lambda count: count <= most))
    names = draw(st.lists(st.text(_LETTERS, min_size=1, max_size=12), min_size=1, max_size=min(count, 4), unique=True))
    names += [f"class {number}" for number in range(len(names), count)]
    colours = (
        draw(st.lists(_COLOURS, min_size=len(names), max_size=len(names), unique=True))
        if count < 10
        else [f"#{7 * number:06x}" for number in range(len(names))]
    )
    return ClassTable(tuple(dict.fromkeys(names)), tuple(colours[: len(set(names))]))


@st.composite
def masks(draw: st.DrawFn, table: ClassTable) -> IntArray:
    """Blocks, holes, single pixels, IGNORE; any size."""
    height, width = draw(st.integers(1, 23)), draw(st.integers(1, 23))
    random = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    mask = np.full((height, width), random.integers(len(table)), dtype=mask_dtype(len(table)))
    for _ in range(draw(st.integers(0, 5))):
        top, left = random.integers(height), random.integers(width)
        label = ignore_of(mask) if random.random() < 0.3 else random.integers(len(table))
        tall, wide = (1, 1) if random.random() < 0.4 else random.integers(1, 12, 2)
        mask[top : top + tall, left : left + wide] = label
    return mask


def write(
    root: Path,
    module: ModuleType,
    labelled: Mapping[str, IntArray | None],
    table: ClassTable,
    splits: Sequence[str] = ("",),
) -> list[str]:
    """Export images with these names and masks through a format; return where the images went."""
    items = []
    for number, (name, mask) in enumerate(labelled.items()):
        height, width = (5, 7) if mask is None else mask.shape
        reader = None if mask is None else (lambda mask=mask: mask)
        items.append(MaskItem(name, splits[number % len(splits)], Path(name), width, height, reader))
    files: list[str] = module.place(items)
    for item, file in zip(items, files, strict=True):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(len(file)).integers(0, 255, (item.height, item.width, 3), np.uint8)
        Image.fromarray(noise).save(root / file, "PNG")
    module.write(root, items, table, files)
    return files


class Source:
    """A source as read: its samples, masks, faults and problems, by the samples' names."""

    def __init__(self, root: Path, module: ModuleType, options: ReadOptions | None = None) -> None:
        listing = module.read(root, options or ReadOptions())
        self.table: ClassTable = listing.table
        self.samples: dict[str, SourceSample] = {sample.name: sample for sample in listing.samples}
        self.problems: Problems = listing.problems
        named = [sample for sample in self.samples.values() if sample.mask is not None]
        references = []
        for sample in named:
            with Image.open(sample.path) as image:
                references.append((sample.mask, *image.size))
        self.warnings: dict[str, MaskError] = {}
        read = read_masks(references, self.table, warn=lambda at, said: self.warnings.update({named[at].name: said}))
        found = {sample.name: mask for sample, mask in zip(named, read, strict=True)}
        self.masks = {name: mask for name, mask in found.items() if not isinstance(mask, MaskError)}
        self.faults = {name: mask for name, mask in found.items() if isinstance(mask, MaskError)}

    @property
    def kinds(self) -> dict[str, str]:
        return {problem.path: problem.kind for problem in self.problems.kept}

    @property
    def fault(self) -> MaskError:
        (only,) = self.faults.values()
        return only


def assert_equal(found: IntArray, wanted: IntArray) -> None:
    assert found.dtype == wanted.dtype
    np.testing.assert_array_equal(found, wanted)
