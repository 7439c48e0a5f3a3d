"""Write the masks of an export beside its placed images, with two tables, and read them back.

`regions.csv` has a line for every verdict on a region, `images.csv` one for every image with the hashes of its masks
before and after. Every mask is read back by the import's reader and compared pixel by pixel.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from core.data.export.items import ExportFormat
from core.data.export.layouts import file_name
from core.data.export.mask_plan import MaskExportItem, MaskPlan, RegionRecord, changed_pixels
from core.data.export.placing import Report, ShouldStop, stop_if
from core.data.export.readback import refuse_problems
from core.data.export.tables import Cell, write_csv
from core.data.formats import camvid, coco, label_studio, mask_pairs, voc
from core.data.formats.source import SPLITS, ReadOptions
from core.data.images import MaskError
from core.data.masks.items import MaskItem, Per
from core.data.masks.reading import read_masks
from core.types import ExportError, IntArray, SourceSample

FORMATS: Mapping[ExportFormat, ModuleType] = {
    ExportFormat.MASK_PAIRS: mask_pairs,
    ExportFormat.CAMVID: camvid,
    ExportFormat.VOC: voc,
    ExportFormat.COCO: coco,
    ExportFormat.LABEL_STUDIO: label_studio,
}
IMAGES, REGIONS = "images.csv", "regions.csv"
_IMAGE_COLUMNS = (
    "file", "width", "height", "given_mask", "mask", "pixels_changed", "split", "group", "name", "content_hash",
)  # fmt: skip
_REGION_COLUMNS = ("image", *(item.name for item in fields(RegionRecord)))


@dataclass(frozen=True, slots=True)
class MaskExportLayout:
    """A plan with a place for every image."""

    plan: MaskPlan
    files: tuple[str, ...]  # as long as plan.images


def lay_out_masks(plan: MaskPlan) -> MaskExportLayout:
    """Return the place of every image, as its format requires."""
    items = [_item(plan, image, None) for image in plan.images]
    return MaskExportLayout(plan, tuple(FORMATS[plan.options.format].place(items)))


def write_masks(folder: Path, laid: MaskExportLayout, report: Report, should_stop: ShouldStop) -> None:
    """Write the masks beside the placed images, and the two tables.

    Raises:
        ExportError: the format cannot hold them.
        RoundCancelledError: `should_stop` returned true.
    """
    plan = laid.plan
    done = 0

    def read(name: str) -> IntArray:
        nonlocal done
        stop_if(should_stop)
        report(done, len(plan.images))
        done += 1
        return plan.store.get(name)

    items = [_item(plan, image, read) for image in plan.images]
    more = {} if plan.options.per is Per.USUAL else {"per": plan.options.per}
    FORMATS[plan.options.format].write(folder, items, plan.table, laid.files, **more)
    raw = plan.options.raw
    write_csv(folder / IMAGES, _image_cells(laid), _IMAGE_COLUMNS, raw=raw)
    write_csv(folder / REGIONS, _region_cells(laid), _REGION_COLUMNS, raw=raw)


def check_masks(folder: Path, laid: MaskExportLayout, should_stop: ShouldStop) -> None:
    """Read the written masks and compare them with the plan, pixel by pixel.

    Raises:
        ExportError: they differ.
        RoundCancelledError: `should_stop` returned true.
    """
    plan, root = laid.plan, folder.resolve()
    if not plan.images:
        return
    expected = {f"{root}/{file}": image for image, file in zip(plan.images, laid.files, strict=True)}
    listing = FORMATS[plan.options.format].read(root, ReadOptions(allow_outside_links=True))
    samples = list(listing.samples)
    refuse_problems(listing)
    if listing.table is None or listing.table.names != plan.table.names:
        raise _different("the classes", plan.table.names, listing.table and listing.table.names)
    found = {sample.path: sample for sample in samples}
    for path, image in expected.items():
        _check_sample(path, image, found.pop(path, None))
    if found:
        raise _different(next(iter(found)), "no image", "one")
    masked = [(sample, expected[sample.path]) for sample in samples if sample.mask is not None]
    references = ((sample.mask or {}, image.width, image.height) for sample, image in masked)
    masks = read_masks(references, listing.table, into=plan.table)
    for (sample, image), mask in zip(masked, masks, strict=True):
        stop_if(should_stop)
        if isinstance(mask, MaskError):
            raise ExportError(f"the written export cannot be read back: {mask}. Nothing of it was kept")
        meant = plan.store.get(image.mask or "")
        if mask.dtype != meant.dtype or not np.array_equal(mask, meant):
            raise _different(f"the mask of {sample.path}", "the resolved mask", "another one")


def _check_sample(path: str, image: MaskExportItem, sample: SourceSample | None) -> None:
    if sample is None:
        raise _different(path, "an image", "none")
    if (sample.mask is None) != (image.mask is None):
        raise _different(path, "a mask" if image.mask else "no mask", "a mask" if sample.mask else "none")
    if image.split in SPLITS.values() and sample.split != image.split:  # formats have no place for other splits
        raise _different(f"the split of {path}", image.split, sample.split)


def _different(what: str, meant: object, read: object) -> ExportError:
    return ExportError(
        f"the export reads back differently and was not kept: {what} should be {meant}, but was read as {read}. "
        "Choose another format, and please report this"
    )


def _item(plan: MaskPlan, image: MaskExportItem, read: Callable[[str], IntArray] | None) -> MaskItem:
    mask = image.mask

    def labels() -> IntArray:
        return (read or plan.store.get)(mask or "")

    path = Path(image.path)
    return MaskItem(file_name(path), image.split, path, image.width, image.height, None if mask is None else labels)


def _image_cells(laid: MaskExportLayout) -> Iterable[dict[str, Cell]]:
    for image, file in zip(laid.plan.images, laid.files, strict=True):
        known = asdict(image)
        masks = {"given_mask": image.given, "mask": image.mask, "pixels_changed": changed_pixels(laid.plan, image)}
        yield {"file": file, **{name: known[name] for name in _IMAGE_COLUMNS if name in known}, **masks}


def _region_cells(laid: MaskExportLayout) -> Iterator[dict[str, Any]]:
    for image, file in zip(laid.plan.images, laid.files, strict=True):
        for region in image.regions:
            yield {"image": file, **asdict(region), "method": region.method.value}
