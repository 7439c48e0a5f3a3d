import io
import os
import pickle
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data import images
from core.data.images import IMAGE_SUFFIXES, ImageError, load_image, load_small, read_facts, thumbnail

LIMIT = 1_000_000


def ramp(height: int = 6, width: int = 9) -> Image.Image:
    values = np.linspace(0, 255, height * width * 3).reshape(height, width, 3)
    return Image.fromarray(values.astype(np.uint8))


def seen(image: Image.Image, path: Path, **options: object) -> np.ndarray:
    image.save(path, **options)
    facts = read_facts(path, LIMIT)
    colour, grey = load_image(path, grey=False), load_image(path, grey=True)
    assert colour.shape == (facts.height, facts.width, 3)
    assert grey.shape == (facts.height, facts.width)
    assert colour.dtype == grey.dtype == np.uint8
    return colour


@pytest.mark.parametrize(
    ("mode", "ending"),
    [
        ("1", "png"),
        ("L", "png"),
        ("LA", "png"),
        ("P", "png"),
        ("P", "gif"),
        ("RGB", "png"),
        ("RGB", "jpg"),
        ("RGB", "bmp"),
        ("RGB", "webp"),
        ("RGB", "tga"),
        ("RGBA", "png"),
        ("CMYK", "jpg"),
        ("CMYK", "tif"),
        ("YCbCr", "jpg"),
        ("LAB", "tif"),
        ("I;16", "png"),
        ("I;16", "tif"),
        ("I", "tif"),
        ("F", "tif"),
    ],
)
def test_every_mode_and_format_is_read(mode: str, ending: str, tmp_path: Path) -> None:
    source = ramp().convert("L") if mode in {"I;16", "I", "F"} else ramp()
    seen(source.convert(mode), tmp_path / f"a.{ending}")


def test_transparent_pixels_are_white(tmp_path: Path) -> None:
    image = Image.new("RGBA", (2, 1), (255, 0, 0, 0))
    image.putpixel((1, 0), (0, 0, 255, 255))
    np.testing.assert_array_equal(seen(image, tmp_path / "a.png"), [[[255, 255, 255], [0, 0, 255]]])


def test_a_transparent_palette_entry_is_white(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    np.testing.assert_array_equal(seen(image, tmp_path / "a.png", transparency=0), [[[255, 255, 255], [40, 50, 60]]])


def test_sixteen_bits_are_scaled_by_their_full_range(tmp_path: Path) -> None:
    values = np.array([[0, 257 * 100, 65535]], dtype=np.uint16)
    np.testing.assert_array_equal(seen(Image.fromarray(values), tmp_path / "a.png")[..., 0], [[0, 100, 255]])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 0.5, 1], [0, 128, 255]),
        ([0, 100, 255], [0, 100, 255]),
        ([-1, 0, 1], [0, 128, 255]),
        ([7, 7, 7], [7] * 3),
        ([1000, 1000, 1000], [0] * 3),  # one value in no range has nothing to be stretched
    ],
)
def test_floats_are_scaled_by_the_range_that_contains_them(
    values: list[float], expected: list[int], tmp_path: Path
) -> None:
    image = Image.fromarray(np.array([values], dtype=np.float32))
    np.testing.assert_array_equal(seen(image, tmp_path / "a.tif")[0, :, 0], expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_with_exif_rotation_is_read_upright(orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "a.png"
    ramp(6, 9).save(path, exif=exif)
    facts = read_facts(path, LIMIT)
    assert (facts.width, facts.height) == ((6, 9) if orientation >= 5 else (9, 6))
    assert load_image(path, grey=True).shape == (facts.height, facts.width)


def test_greyscale_is_detected_in_any_mode(tmp_path: Path) -> None:
    ramp().convert("L").convert("RGB").save(tmp_path / "grey.png")
    ramp().save(tmp_path / "colour.png")
    assert read_facts(tmp_path / "grey.png", LIMIT).grey
    assert not read_facts(tmp_path / "colour.png", LIMIT).grey


def test_equal_bytes_have_equal_hashes_and_different_bytes_different_ones(tmp_path: Path) -> None:
    for name, width in (("a", 9), ("b", 9), ("c", 8)):
        ramp(6, width).save(tmp_path / f"{name}.png")
    a, b, c = (read_facts(tmp_path / f"{name}.png", LIMIT).content_hash for name in "abc")
    assert a == b != c
    assert len(a) == 32


def kind_of(path: Path, limit: int = LIMIT) -> str:
    with pytest.raises(ImageError) as caught:
        read_facts(path, limit)
    assert caught.value.cure
    return caught.value.kind


def test_an_unusable_image_is_refused_with_reason_and_cure(tmp_path: Path) -> None:
    good = tmp_path / "good.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 50, 3), np.uint8)).save(good)
    (tmp_path / "cut.png").write_bytes(good.read_bytes()[:2000])
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("no image")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    kinds = {path.stem: kind_of(path) for path in tmp_path.iterdir() if path != good}
    assert kinds == {
        "cut": "truncated image",
        "empty": "empty file",
        "text": "corrupt image",
        "pipe": "unreadable file",
        "folder": "unreadable file",
    }
    assert kind_of(tmp_path / "missing.png") == "missing file"
    assert kind_of(good, limit=2_499) == "too large"
    with pytest.raises(ImageError, match="its content is not an image, or of a format that is not read"):
        read_facts(tmp_path / "text.png", LIMIT)


def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    Image.new("1", (20_000, 10_000)).save(path)
    assert kind_of(path, limit=10**12) == "too large"


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_truncated_and_corrupted_files_never_crash(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for ending in ("png", "jpg", "gif", "tif", "webp", "bmp", "tga"):
        original = tmp_path / f"good.{ending}"
        ramp(20, 20).save(original)
        data = original.read_bytes()
        path = tmp_path / f"a.{ending}"
        for _ in range(40):
            broken = bytearray(data[: int(random.integers(1, len(data) + 1))])
            broken[int(random.integers(len(broken)))] ^= int(random.integers(1, 256))
            path.write_bytes(bytes(broken))
            with suppress(ImageError):
                read_facts(path, LIMIT)


def test_an_image_error_keeps_message_and_cure_across_processes() -> None:
    error = pickle.loads(pickle.dumps(ImageError("kind", "message", "cure")))
    assert (error.kind, str(error), error.cure) == ("kind", "message", "cure")


@pytest.mark.parametrize(("edge", "size"), [(96, (96, 64)), (384, (300, 200)), (0, (300, 200))])
def test_a_thumbnail_is_never_enlarged(edge: int, size: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    ramp(200, 300).save(path)
    with Image.open(io.BytesIO(thumbnail(path, edge))) as small:
        assert small.format == "WEBP"
        assert small.size == size


def test_a_thumbnail_of_a_small_image_is_exact(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    ramp(8, 8).save(path)
    with Image.open(io.BytesIO(thumbnail(path, 96))) as small:
        np.testing.assert_array_equal(np.asarray(small), load_image(path, grey=False))


@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_a_small_image_is_a_grey_reduction_and_never_enlarged(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{ending}"
    across = np.linspace(0, 255, 400).astype(np.uint8)
    Image.fromarray(np.broadcast_to(across, (300, 400)).copy()).convert("RGB").save(path)
    small = load_small(path, 64)
    assert small.shape == (48, 64)
    np.testing.assert_allclose(small.mean(axis=0), np.linspace(2, 253, 64), atol=4)
    assert load_small(path, 1000).shape == (300, 400)
    with pytest.raises(ImageError, match="the limit is 1,000"):
        load_small(path, 64, max_pixels=1000)


def test_the_first_image_of_a_file_with_two_is_read(tmp_path: Path) -> None:
    photos = [Image.new("RGB", (6, 4), colour) for colour in ("red", "blue")]
    photos[0].save(tmp_path / "a.mpo", "MPO", save_all=True, append_images=photos[1:])
    facts = read_facts(tmp_path / "a.mpo", LIMIT)
    assert (facts.width, facts.height) == (6, 4)


def test_a_large_jpeg_decoded_at_reduced_size_looks_the_same(tmp_path: Path) -> None:
    y, x = np.mgrid[:600, :901]
    whole = np.stack([x % 256, y % 256, (x + y) // 8 % 256], axis=2).astype(np.uint8)
    for name, turned in (("plain", 1), ("turned", 6)):
        path = tmp_path / f"{name}.jpg"
        exif = Image.Exif()
        exif[0x0112] = turned
        Image.fromarray(whole).save(path, quality=95, exif=exif)
        small = load_image(path, grey=False, least_edge=128)
        full = load_image(path, grey=False)
        assert min(small.shape[:2]) >= 128
        assert small.size < full.size / 4
        assert (small.shape[0] > small.shape[1]) == (full.shape[0] > full.shape[1])
        shrunk = np.asarray(Image.fromarray(full).resize((90, 90), Image.Resampling.BOX)).astype(int)
        again = np.asarray(Image.fromarray(small).resize((90, 90), Image.Resampling.BOX)).astype(int)
        assert np.abs(shrunk - again).mean() < 3
    assert load_image(tmp_path / "plain.jpg", grey=False, least_edge=600).shape == (600, 901, 3)


@pytest.mark.parametrize("ending", sorted(images.HEIC_SUFFIXES))
def test_heic_without_its_reader_is_refused_with_the_package_to_install(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "READS_HEIC", False)
    (tmp_path / f"a{ending}").write_bytes(b"\0\0\0\x18ftypheic")
    with pytest.raises(ImageError) as caught:
        read_facts(tmp_path / f"a{ending}", LIMIT)
    assert (caught.value.kind, caught.value.cure) == ("HEIC", "install the package pillow-heif")
    assert ending in IMAGE_SUFFIXES


def test_heic_is_read_if_its_reader_is_installed(tmp_path: Path) -> None:
    ramp().convert("RGB").resize((64, 48)).save(tmp_path / "a.heic")
    facts = read_facts(tmp_path / "a.heic", LIMIT)
    assert (facts.width, facts.height) == (64, 48)
