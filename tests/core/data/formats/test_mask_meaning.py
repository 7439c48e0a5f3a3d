"""Meanings of mask values that people of the field bring: decided, or asked, but never given in silence."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.data.formats import mask_pairs
from core.data.formats.source import ANSWERS, CHOICES, Grounds, MaskMeaning, ReadOptions
from core.types import Cure, DatasetError, IntArray
from tests.core.data.formats.drawn import draw_all
from tests.core.data.formats.drawn_masks import Source

BASE = np.zeros((32, 48), np.uint8)
BASE[8:24, 10:30] = 1
ADE = np.where(BASE == 1, 11, 0).astype(np.uint8)
ADE[:3], ADE[4:6] = 1, 5
NAMES = ",".join(f"class{number}" for number in range(1, 13))


def put(root: Path, *masks: IntArray | Image.Image, suffix: str = ".png") -> Path:
    """Write images of 48 x 32 pixels with these masks."""
    draw_all(root, [f"images/{number}.png" for number in range(len(masks))], size=(48, 32))
    (root / "masks").mkdir(parents=True)
    for number, mask in enumerate(masks):
        image = mask if isinstance(mask, Image.Image) else Image.fromarray(mask)
        image.save(root / "masks" / f"{number}{suffix}")
    return root


def read(root: Path, **options: Any) -> Source:
    return Source(root, mask_pairs, ReadOptions(**options))


def meaning(root: Path, **options: Any) -> MaskMeaning:
    return mask_pairs.read(root, ReadOptions(**options)).meaning


def asked(root: Path, **options: Any) -> dict[str, list[str]]:
    return {
        question.kind: [f"{answer.option} {answer.value}" for answer in question.answers]
        for question in meaning(root, **options).questions
    }


def kept(source: Source) -> list[int]:
    """Return every value of all masks."""
    assert not source.faults
    return sorted({int(value) for mask in source.masks.values() for value in np.unique(mask)})


def smoothed() -> IntArray:
    image = Image.fromarray(BASE * 255).resize((96, 64), Image.Resampling.BILINEAR)
    return np.asarray(image.resize((48, 32), Image.Resampling.BILINEAR))


def test_255_is_the_second_of_two_named_classes(tmp_path: Path) -> None:
    root = put(tmp_path, BASE * 255, BASE * 255, BASE * 0, np.full_like(BASE, 255))
    source = read(root, class_names="ground,thing")
    assert source.table.names == ("ground", "thing")
    assert (source.masks["images/0.png"] == BASE).all()
    assert (source.masks["images/3.png"] == 1).all()
    assert [(one.value, one.name, one.how) for one in meaning(root, class_names="ground,thing").decisions] == [
        ("0", "ground", Grounds.STATED),
        ("255", "thing", Grounds.CONVENTION),
    ]


def test_255_stays_ignored_with_more_than_two_names_or_when_chosen(tmp_path: Path) -> None:
    root = put(tmp_path, BASE * 255)
    assert kept(read(root, class_names="ground,thing,more")) == [0, 255]
    assert kept(read(root, class_names="ground,thing", ignore_id=255)) == [0, 255]


@pytest.mark.parametrize("depth", [3, 4])
def test_black_and_white_colours_are_read_as_grey(tmp_path: Path, depth: int) -> None:
    pixels = np.dstack([BASE * 255] * 3 + [np.full_like(BASE, 255)] * (depth - 3))
    source = read(put(tmp_path, pixels, pixels))
    assert source.table.names == ("background", "object")
    assert (source.masks["images/0.png"] == BASE).all()


def test_ids_repeated_in_three_channels_are_read_as_ids(tmp_path: Path) -> None:
    mask = BASE * 2
    mask[0] = 1
    source = read(put(tmp_path, np.dstack([mask] * 3)))
    assert source.table.names == ("0", "1", "2")
    assert (source.masks["images/0.png"] == mask).all()


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_smoothed_black_and_white_masks_are_asked_about(tmp_path: Path, suffix: str) -> None:
    root = put(tmp_path, smoothed() if suffix == ".png" else BASE * 255, suffix=suffix)
    assert list(asked(root)) == ["smoothed masks"]
    assert meaning(root).blocking
    for choice in ("ignore", "half"):
        source = read(root, threshold_masks=choice)
        assert source.table.names == ("background", "object")
        mask = source.masks["images/0.png"]
        assert (mask[10:22, 12:28] == 1).all()
        assert (mask[:6] == 0).all()
        assert asked(root, threshold_masks=choice) == {}
    assert kept(read(root, threshold_masks="half")) == [0, 1]


def test_values_between_black_and_white_can_be_ignored(tmp_path: Path) -> None:
    trimap = BASE * 255
    trimap[8:24, 9] = 127
    root = put(tmp_path, trimap)
    assert "smoothed masks" in asked(root)
    assert (read(root, threshold_masks="ignore").masks["images/0.png"][8:24, 9] == 255).all()
    assert (read(root, threshold_masks="half").masks["images/0.png"][8:24, 9] == 0).all()
    assert len(read(root, threshold_masks="off").table) == 128


def test_ids_with_a_border_of_255_are_not_asked_about(tmp_path: Path) -> None:
    border = BASE.copy()
    border[:2] = 255
    wide = (BASE.astype(np.uint16)) * 300
    wide[:2] = 65_535
    for number, mask in enumerate((border, BASE, 2 - BASE, wide)):
        assert asked(put(tmp_path / str(number), mask)) == {}


def test_a_mask_in_the_alpha_channel_is_read(tmp_path: Path) -> None:
    pixels = np.zeros((32, 48, 4), np.uint8)
    pixels[..., 3] = BASE * 255
    source = read(put(tmp_path, pixels, pixels))
    assert source.table.names == ("background", "object")
    assert (source.masks["images/0.png"] == BASE).all()
    assert "mask in alpha" in [problem.kind for problem in source.problems.kept]


def test_a_mask_in_the_alpha_channel_can_be_empty(tmp_path: Path) -> None:
    pixels, empty = np.zeros((32, 48, 4), np.uint8), np.zeros((32, 48, 4), np.uint8)
    pixels[..., 3] = BASE * 255
    source = read(put(tmp_path, empty, pixels))
    assert (source.masks["images/0.png"] == 0).all()
    assert (source.masks["images/1.png"] == BASE).all()


def test_a_threshold_requires_two_classes(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="name two classes"):
        read(put(tmp_path, BASE * 255), class_names="a,b,c", threshold_masks="half")


def test_an_ignored_id_stays_ignored_beside_unnamed_ones(tmp_path: Path) -> None:
    root = put(tmp_path, BASE * 3)
    assert asked(root, class_names="ground,thing", ignore_id=0)["ids without a name"] == [
        "unnamed_ids ignore",
        "unnamed_ids class",
    ]


def test_floating_point_masks_are_asked_about_and_read_as_ids(tmp_path: Path) -> None:
    root = put(tmp_path, Image.fromarray(BASE.astype(np.float32)), suffix=".tif")
    assert asked(root) == {"floating-point masks": ["float_masks ids"]}
    assert [fault.kind for fault in read(root).faults.values()] == ["floating-point mask"]
    source = read(root, float_masks="ids")
    assert source.table.names == ("0", "1")
    assert (source.masks["images/0.png"] == BASE).all()


def test_floats_that_are_not_ids_are_not_masks(tmp_path: Path) -> None:
    root = put(tmp_path, Image.fromarray(BASE.astype(np.float32) / 3), suffix=".tif")
    assert asked(root) == {}
    source = read(root, float_masks="ids")
    assert "floating-point masks" in source.kinds.values() or source.faults
    assert [fault.kind for fault in source.faults.values()] == ["floating-point mask"]


@pytest.mark.parametrize("listing", ["id,name\n1,cat\n2,dog\n3,bird\n", "name,id\ndog,2\nbird,3\ncat,1\n"])
def test_ids_in_a_class_table_are_used(tmp_path: Path, listing: str) -> None:
    mask = BASE * 2
    mask[:4] = 1
    root = put(tmp_path, mask)
    (root / "classes.csv").write_text(listing)
    source = read(root)
    assert source.table.names == ("cat", "dog", "bird")
    assert (source.masks["images/0.png"][:4] == 0).all()
    assert (source.masks["images/0.png"][8:24, 10:30] == 1).all()
    assert source.masks["images/0.png"][30, 0] == 255
    assert source.kinds["masks"] == "meaning guessed"
    assert asked(root) == {"id 0 without a name": ["ignore_id 0", "unnamed_ids class"]}
    assert not meaning(root).blocking
    assert read(root, unnamed_ids="class").table.names == ("cat", "dog", "bird", "0")
    assert asked(root, ignore_id=0) == {}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("classes.csv", "id,name\n2,dog\n0,background\n1,cat\n"),
        ("classes.txt", "0: background\n1: cat\n2: dog\n"),
        ("classes.txt", "2: dog\n0: background\n1: cat\n"),
        ("classes.txt", "0 background\n1 cat\n2 dog\n"),
        ("classes.json", '{"background": 0, "cat": 1, "dog": 2}'),
        ("classes.json", '{"0": "background", "1": "cat", "2": "dog"}'),
    ],
)
def test_ids_in_class_files_are_used(tmp_path: Path, name: str, text: str) -> None:
    root = put(tmp_path, BASE * 2)
    (root / name).write_text(text)
    source = read(root)
    assert source.table.names == ("background", "cat", "dog")
    assert (source.masks["images/0.png"] == BASE * 2).all()
    assert asked(root) == {}


def test_class_names_start_at_id_1_when_0_is_ignored(tmp_path: Path) -> None:
    root = put(tmp_path, np.where(BASE == 1, 12, ADE).astype(np.uint8))
    source = read(root, class_names=NAMES, ignore_id=0)
    assert source.table.names[-1] == "class12"
    mask = source.masks["images/0.png"]
    assert (mask[:3] == 0).all()  # the id 1 is class1
    assert (mask[8:24, 10:30] == 11).all()
    assert mask[30, 0] == 255


def test_whether_class_names_start_at_0_or_1_is_asked(tmp_path: Path) -> None:
    root = put(tmp_path, ADE)
    assert asked(root, class_names=NAMES) == {}
    assert asked(root, class_names=NAMES, ignore_id=0) == {"first id": ["first_id 1", "first_id 0"]}
    first = read(root, class_names=NAMES, ignore_id=0, first_id=1).masks["images/0.png"]
    assert (first[:3] == 0).all()
    zero = read(root, class_names=NAMES, ignore_id=0, first_id=0).masks["images/0.png"]
    assert (zero[:3] == 1).all()
    assert first[30, 0] == zero[30, 0] == 255


def test_a_frequent_id_without_a_name_is_asked_about(tmp_path: Path) -> None:
    mask = BASE * 3
    mask[:4] = 11
    root = put(tmp_path, mask, mask)
    names = "sky,building,pole,road,pavement,tree,sign,fence,car,pedestrian,bicyclist"
    assert asked(root, class_names=names) == {"ids without a name": ["ignore_id 11", "first_id 1", "unnamed_ids class"]}
    assert meaning(root, class_names=names).blocking
    ignored = read(root, class_names=names, ignore_id=11)
    assert len(ignored.table) == 11
    assert kept(ignored) == [0, 3, 255]
    own = read(root, class_names=names, unnamed_ids="class")
    assert own.table.names[11] == "11"
    assert kept(own) == [0, 3, 11]


def test_masks_with_rare_ids_without_a_name_are_left_out_without_blocking_the_import(tmp_path: Path) -> None:
    odd = BASE.copy()
    odd[0, 0] = 9
    root = put(tmp_path, BASE, BASE, odd)
    found = meaning(root, class_names="ground,thing")
    assert [question.kind for question in found.questions] == ["ids without a name"]
    assert not found.blocking
    source = read(root, class_names="ground,thing")
    assert list(source.faults) == ["images/2.png"]
    assert str(Cure.UNNAMED_IDS_IGNORE) in source.faults["images/2.png"].cure
    assert kept(read(root, class_names="ground,thing", unnamed_ids="ignore")) == [0, 1, 255]


def test_smoothed_edges_in_colour_masks_are_asked_about(tmp_path: Path) -> None:
    clean = np.zeros((32, 48, 3), np.uint8)
    clean[8:24, 10:30] = 128, 0, 0
    edges = clean.copy()
    edges[8, 10:22] = 64, 0, 0
    root = put(tmp_path, edges, clean)
    (root / "masks" / "label_colors.txt").write_text("0 0 0 Background\n128 0 0 Building\n")
    assert asked(root) == {"colours without a class": ["unknown_colours ignore", "unknown_colours refuse"]}
    assert not meaning(root).blocking
    assert str(Cure.UNKNOWN_COLOURS_IGNORE) in read(root).fault.cure
    assert kept(read(root, unknown_colours="ignore")) == [0, 1, 255]
    assert asked(root, unknown_colours="refuse") == {}


def turned(root: Path, orientation: int, mask: IntArray) -> Path:
    put(root, mask)
    (root / "images" / "0.png").unlink()
    exif = Image.Exif()
    exif[0x0112] = orientation
    noise = np.random.default_rng(0).integers(0, 255, (32, 48, 3), np.uint8)
    Image.fromarray(noise).save(root / "images" / "0.jpg", exif=exif)
    return root


def photo_mask(root: Path, **options: Any) -> IntArray:
    listing = mask_pairs.read(root, ReadOptions(**options))
    (sample,) = listing.samples
    from core.data.images import read_facts
    from core.data.masks.reading import read_mask

    facts = read_facts(Path(sample.path), 1 << 30)
    assert listing.table is not None
    found = read_mask(sample.mask or {}, facts.width, facts.height, len(listing.table))
    assert isinstance(found, tuple), found
    return found[0]


@pytest.mark.parametrize("orientation", [2, 3, 4, 5, 6, 7, 8])
def test_masks_of_images_with_exif_rotation_are_asked_about_and_rotated(tmp_path: Path, orientation: int) -> None:
    root = turned(tmp_path, orientation, BASE)
    assert asked(root) == {"turned photos": ["exif_masks turn", "exif_masks keep"]}
    assert meaning(root).blocking
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(BASE).save(tmp_path / "whole.png", exif=exif)
    from PIL import ImageOps

    with Image.open(tmp_path / "whole.png") as image:
        wanted = np.asarray(ImageOps.exif_transpose(image))
    assert (photo_mask(root, exif_masks="turn") == wanted).all()
    assert asked(root, exif_masks="turn") == {}


def test_a_mask_of_an_unrotated_image_is_reported_with_the_cause(tmp_path: Path) -> None:
    from core.data.images import MaskError
    from core.data.masks.reading import read_mask

    listing = mask_pairs.read(turned(tmp_path, 6, BASE), ReadOptions(exif_masks="keep"))
    (sample,) = listing.samples
    found = read_mask(sample.mask or {}, 32, 48, 2)
    assert isinstance(found, MaskError)
    assert found.kind == "mask not turned"
    assert str(Cure.EXIF_MASKS_TURN) in found.cure


def test_masks_of_the_displayed_size_are_not_asked_about(tmp_path: Path) -> None:
    root = turned(tmp_path, 6, np.ascontiguousarray(BASE.T))
    assert asked(root) == {}
    assert (photo_mask(root) == BASE.T).all()


OLDER: list[tuple[str, Callable[[Path], Path], dict[str, Any]]] = [
    ("two names", lambda root: put(root, BASE * 255), {"class_names": "ground,thing"}),
    ("smoothed", lambda root: put(root, smoothed()), {}),
    ("colours", lambda root: put(root, np.dstack([BASE * 255] * 3)), {}),
    ("first id", lambda root: put(root, ADE), {"class_names": NAMES, "ignore_id": 0}),
    ("turned", lambda root: turned(root, 3, BASE), {}),
]


@pytest.mark.parametrize(("name", "make", "options"), OLDER, ids=[name for name, *_ in OLDER])
def test_datasets_of_former_releases_keep_their_meaning_without_a_question(
    tmp_path: Path, name: str, make: Callable[[Path], Path], options: dict[str, Any]
) -> None:
    root = make(tmp_path)
    assert asked(root, reading=1, **options) == {}
    names = mask_pairs.read(root, ReadOptions(reading=1, **options)).table
    assert names is not None
    wanted = {"two names": ("ground", "thing"), "colours": ("0",), "first id": tuple(NAMES.split(",")), "turned": None}
    if wanted.get(name):
        assert names.names == wanted[name]
    if name == "two names":
        assert kept(read(root, reading=1, **options)) == [0, 255]
    if name == "smoothed":
        assert len(names) > 100


def test_every_answer_is_a_read_option() -> None:
    known = {field.name for field in fields(ReadOptions)}
    assert set(ANSWERS) <= known
    assert set(CHOICES) <= set(ANSWERS)
