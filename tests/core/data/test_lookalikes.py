"""Images that look alike: every near pair of hashes is found, and the same picture in another file is."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image

from core.data import lookalikes
from core.data.images import read_facts
from core.data.lookalikes import find_similar, find_similar_within, look_hash, near_pairs

FLIPS = st.lists(st.sets(st.integers(0, 63), max_size=7), max_size=12)
HASHES = st.lists(st.integers(-(2**63), 2**63 - 1), max_size=12)


def scene(seed: int, size: int = 96) -> Image.Image:
    """Return a smooth picture of its own."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3)).astype(np.uint8)
    return Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)


def again(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


@settings(max_examples=200, deadline=None)
@given(
    first=HASHES,
    second=HASHES,
    flips=st.lists(st.sets(st.integers(0, 63), max_size=7), max_size=12),
    most=st.integers(0, 6),
)
def test_near_pairs_equal_those_of_brute_force_each_once(
    first: list[int], second: list[int], flips: list[set[int]], most: int
) -> None:
    own = np.array(first, np.int64)
    bent = [
        one ^ sum(1 << bit for bit in some) for one, some in zip((one % 2**64 for one in first), flips, strict=False)
    ]
    other = np.array([*second, *(one - 2**64 if one >= 2**63 else one for one in bent)], np.int64)
    found = [tuple(pair) for part in near_pairs(own, other, most) for pair in part.tolist()]
    distances = np.bitwise_count(own.view(np.uint64)[:, None] ^ other.view(np.uint64)[None])
    assert sorted(found) == [tuple(pair) for pair in np.argwhere(distances <= most).tolist()]


def test_large_buckets_are_compared_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookalikes, "_AT_ONCE", 7)
    same = np.zeros(10, np.int64)
    parts = list(near_pairs(same, same, 1))
    assert max(len(part) for part in parts) <= 10
    assert sum(len(part) for part in parts) == 100


def test_a_smaller_brighter_or_compressed_copy_is_found_and_no_other_image(tmp_path: Path) -> None:
    pictures = {f"{seed}": scene(seed) for seed in range(40)}
    copies = {
        "small": pictures["3"].resize((40, 40), Image.Resampling.LANCZOS),
        "bright": Image.eval(pictures["5"], lambda value: min(255, int(value * 0.9) + 12)),
        "worse": again(pictures["7"], 40),
        "other": scene(99),
    }
    everything = pictures | copies
    hashes = {name: look_hash(image) for name, image in everything.items()}
    alike, complete = find_similar(
        np.array([hashes[name] for name in pictures]), np.array([hashes[name] for name in copies]),
        list(pictures), list(copies), everything.__getitem__,
    )  # fmt: skip
    found = {(list(pictures)[own], list(copies)[other]) for own, other in alike.tolist()}
    assert found == {("3", "small"), ("5", "bright"), ("7", "worse")}
    assert complete


def test_equal_hashes_of_plain_images_are_verified_by_their_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawings that differ in one corner share their hash; what cannot be read is like nothing."""
    drawings = {str(place): np.zeros((28, 28), np.uint8) for place in range(4)}
    for place, pixels in enumerate(drawings.values()):
        pixels[14:20, 3 + 5 * place : 7 + 5 * place] = 255
    same = np.zeros(4, np.int64)
    names = list(drawings)

    def read(name: str) -> Image.Image:
        if name == "3":
            raise OSError("gone")
        return Image.fromarray(drawings[name])

    assert find_similar(same, same, names, names, read)[0].tolist() == [[0, 0], [1, 1], [2, 2]]
    monkeypatch.setattr(lookalikes, "_MOST_COMPARED", 10)
    assert not find_similar(same, same, names, names, read)[1]


def test_an_imported_file_is_hashed_as_people_see_it(tmp_path: Path) -> None:
    picture = scene(1)
    picture.save(tmp_path / "a.png")
    turned = picture.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "b.jpg", exif=exif, quality=95)
    picture.convert("RGBA").save(tmp_path / "c.png")
    hashes = [read_facts(tmp_path / name, 10**9).look_hash for name in ("a.png", "b.jpg", "c.png")]
    assert hashes[0] == hashes[2] == look_hash(picture)
    assert (hashes[0] ^ hashes[1]).bit_count() <= 2
    assert -(2**63) <= hashes[0] < 2**63


def test_pairs_within_a_set_are_found_once_and_no_image_pairs_with_itself(tmp_path: Path) -> None:
    images = [scene(seed) for seed in range(6)]
    images += [images[2].resize((64, 64)), again(images[4], 60)]
    paths = [str(tmp_path / f"{number}.png") for number in range(len(images))]
    for image, path in zip(images, paths, strict=True):
        image.save(path)
    hashes = np.array([look_hash(image) for image in images])
    found, complete = find_similar_within(hashes, paths, Image.open)
    assert sorted(map(tuple, found.tolist())) == [(2, 6), (4, 7)]
    assert complete
