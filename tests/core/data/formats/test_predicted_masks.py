"""Masks predicted elsewhere: every form gives the same pixels, each file finds its image, faults are named."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image

from core.data.formats.predicted_masks import (
    MaskPrediction,
    WrittenMask,
    files_of,
    find_predicted,
    read_predicted,
    write_predicted,
)
from core.data.formats.probabilities import rows_of_files
from core.types import IGNORE, ByteArray, ClassTable, DatasetError, FloatArray, IntArray, SourceSample

CLASSES = ["sky", "road", "car"]
SHAPE = (6, 8)
TABLE = ClassTable(tuple(CLASSES), ("#000001", "#000002", "#000003"))


def drawn(seed: int = 0) -> FloatArray:
    """Return probabilities, (K, H, W)."""
    probs = np.random.default_rng(seed).dirichlet(np.ones(3), size=SHAPE)
    return np.moveaxis(probs, -1, 0).astype(np.float32)


def save(path: Path, values: IntArray | ByteArray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def classes_of(probs: FloatArray) -> ByteArray:
    return probs.argmax(axis=0).astype(np.uint8)


def as_pngs(folder: Path, probs: FloatArray) -> None:
    save(folder / "labels" / "a.png", classes_of(probs))
    save(folder / "confidence" / "a.png", np.rint(probs.max(axis=0) * 255).astype(np.uint8))


def as_palette_and_wide(folder: Path, probs: FloatArray) -> None:
    coloured = Image.fromarray(classes_of(probs))
    coloured.putpalette([9, 8, 7] * 3)
    folder.mkdir(exist_ok=True)
    coloured.save(folder / "a.png")
    save(folder / "a_confidence.png", np.rint(probs.max(axis=0) * 65535).astype(np.uint16))


def as_archive(folder: Path, probs: FloatArray) -> None:
    np.savez(folder / "a.npz", confidence=probs.max(axis=0), **{"class": classes_of(probs)})  # type: ignore[arg-type]


def as_probs(folder: Path, probs: FloatArray) -> None:
    np.savez(folder / "a.npz", probs=probs)


def as_named_probs(folder: Path, probs: FloatArray) -> None:
    np.savez(folder / "a.npz", probs=probs[[2, 0, 1]], classes=np.array(["car", "sky", "road"]))


def as_declared(folder: Path, probs: FloatArray) -> None:
    (folder / "classes.csv").write_text("id,name\n7,road\n9,sky\n30,car\n")
    save(folder / "labels" / "a.png", np.array([9, 7, 30], np.uint8)[classes_of(probs)])
    save(folder / "confidence" / "a.png", np.rint(probs.max(axis=0) * 255).astype(np.uint8))


FORMS = [as_pngs, as_palette_and_wide, as_archive, as_probs, as_named_probs, as_declared]


def read_one(folder: Path, shape: tuple[int, int] = SHAPE) -> MaskPrediction:
    found = find_predicted(folder, CLASSES)
    (files,) = files_of(found, [SourceSample("/data/a.jpg", "a.jpg")])
    return read_predicted(found, files, shape, CLASSES)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_has_the_same_classes_and_confidences(
    tmp_path: Path, form: Callable[[Path, FloatArray], None]
) -> None:
    probs = drawn()
    form(tmp_path, probs)
    found = read_one(tmp_path)
    np.testing.assert_array_equal(found.predicted, classes_of(probs))
    assert np.abs(found.confidence - probs.max(axis=0) * 255).max() <= 1


@given(seed=st.integers(0, 1000))
def test_the_given_probability_is_the_models_own_if_known(seed: int) -> None:
    probs = drawn(seed)
    mask = np.random.default_rng(seed).integers(0, 3, SHAPE).astype(np.uint8)
    mask[0] = IGNORE
    confidence = np.rint(probs.max(axis=0) * 255).astype(np.uint8)
    exact = MaskPrediction(classes_of(probs), confidence, 3, probs=probs).given_probability(mask)
    spread = MaskPrediction(classes_of(probs), confidence, 3).given_probability(mask)
    kept = MaskPrediction(classes_of(probs), confidence, 3, other=(mask, exact)).given_probability(mask)
    assert (exact[0] == 255).all()
    np.testing.assert_array_equal(kept, exact)
    agree = (mask == classes_of(probs)) & (mask != IGNORE)
    np.testing.assert_array_equal(spread[agree], confidence[agree])
    differ = ~agree & (mask != IGNORE)
    assert (np.abs(spread[differ] - (255.0 - confidence[differ]) / 2) <= 0.5).all()


@settings(max_examples=20, deadline=None)
@given(
    names=st.lists(
        st.sampled_from(["a.jpg", "a.png", "b.jpg", "x/a.jpg", "y/a.jpg", "A.jpg"]), unique=True, min_size=1
    ),
    archives=st.booleans(),
)
def test_written_predictions_read_back(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], *, archives: bool
) -> None:
    folder = tmp_path_factory.mktemp("written") / "masks"
    random = np.random.default_rng(len(names))
    likely, values, mask = (random.integers(0, top, (len(names), *SHAPE)).astype(np.uint8) for top in (256, 3, 3))
    masks = [
        WrittenMask(name, place - 1, values[place], likely[place], mask[place], likely[place])
        for place, name in enumerate(names)
    ]
    assert write_predicted(folder, iter(masks), names, TABLE, archives=archives) == len(names)
    found = find_predicted(folder, CLASSES)
    files = files_of(found, [SourceSample(f"/data/{name}", name) for name in names])
    for place, one in enumerate(files):
        read = read_predicted(found, one, SHAPE, CLASSES)
        np.testing.assert_array_equal(read.predicted, values[place])
        np.testing.assert_array_equal(read.confidence, likely[place])
        np.testing.assert_array_equal(read.given_probability(mask[place]), likely[place])
        assert found.folds.get(one.name) == (place - 1 if place else None)


def test_files_are_matched_to_images_by_path_with_or_without_extension_or_by_its_end(tmp_path: Path) -> None:
    for name in ("cam1/f0", "cam2/f0", "one.jpg", "deep/two"):
        as_archive_at(tmp_path / f"{name}.npz")
    found = find_predicted(tmp_path, CLASSES)
    names = ["cam2/f0.png", "one.jpg", "one.png.jpg", "two.tif", "cam1/f0.png"]
    with pytest.raises(DatasetError, match=r"1 images have no file \(one\.png\.jpg\)"):
        files_of(found, [SourceSample(f"/data/{name}", name) for name in names])
    names.remove("one.png.jpg")
    files = files_of(found, [SourceSample(f"/data/{name}", name) for name in names])
    assert [one.name for one in files] == ["cam2/f0", "one.jpg", "deep/two", "cam1/f0"]


def as_archive_at(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, probs=drawn())


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a", "b"], "1 files name no image of the dataset"),
        (["a", "x/a"], "1 images have several files"),
    ],
)
def test_files_that_match_no_image_or_one_image_twice_are_named(tmp_path: Path, names: list[str], message: str) -> None:
    for name in names:
        as_archive_at(tmp_path / f"{name}.npz")
    with pytest.raises(DatasetError, match=message):
        read_one(tmp_path)


def archive(**columns: object) -> Callable[[Path], object]:
    return lambda folder: np.savez(folder / "a.npz", **columns)  # type: ignore[arg-type]


def with_value(value: float) -> FloatArray:
    probs = drawn()
    probs[0, 0, 0] = value
    return probs


def pngs(mask: IntArray, confidence: IntArray) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        save(folder / "labels" / "a.png", mask)
        save(folder / "confidence" / "a.png", confidence)

    return write


SURE = np.full(SHAPE, 255, np.uint8)
ZERO = np.zeros(SHAPE, np.uint8)
FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing": (lambda _: None, "holds no predicted masks; write one .npz per image"),
    "no confidence": (lambda folder: save(folder / "labels" / "a.png", ZERO), "1 masks have no confidence"),
    "unlabelled pixels": (pngs(np.full(SHAPE, 255, np.uint8), SURE), "48 pixels hold 255, which is not a class"),
    "another size": (pngs(ZERO[:3], SURE[:3]), "a.png is 8 x 3, its image 8 x 6"),
    "another size of the confidence": (pngs(ZERO, SURE[:3]), "a.png is 8 x 3, its image 8 x 6"),
    "colours": (pngs(np.zeros((*SHAPE, 3), np.uint8), SURE), "holds colours"),
    "not whole": (lambda folder: (folder / "a.npz").write_bytes(b"PK\3\4"), "cannot be read"),
    "an object": (archive(probs=np.array([{}], dtype=object)), "cannot be read"),
    "other arrays": (archive(logits=drawn()), "holds logits; it needs class and confidence"),
    "NaN": (archive(probs=with_value(np.nan)), "1 values are not numbers"),
    "logits": (archive(probs=with_value(7)), "no probabilities; apply a softmax"),
    "sums": (archive(probs=drawn() / 2), "48 pixels have probabilities that do not sum to 1"),
    "fewer classes": (archive(probs=drawn()[:2]), r"of shape \(2, 6, 8\), must be \(3, 6, 8\)"),
    "class beyond the dataset": (archive(confidence=SURE, **{"class": ZERO + 3}), "48 pixels hold 3"),
    "half a class": (archive(confidence=SURE, **{"class": ZERO + 0.5}), "not ids from 0"),
    "huge": (archive(probs=np.zeros((3, 60, 80))), "is larger than probabilities of its image"),
    "classes of another dataset": (
        archive(probs=drawn(), classes=np.array(["x", "y", "z"])),
        "has the classes x, y, z",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_with_a_cure(tmp_path: Path, fault: str) -> None:
    write, message = FAULTS[fault]
    write(tmp_path)
    with pytest.raises(DatasetError, match=message) as refused:
        read_one(tmp_path)
    assert ";" in str(refused.value)


def test_a_list_of_other_classes_is_refused(tmp_path: Path) -> None:
    as_pngs(tmp_path, drawn())
    (tmp_path / "classes.csv").write_text("id,name\n0,sky\n1,road\n2,lorry\n")
    with pytest.raises(DatasetError, match="sky, road, lorry, the dataset has sky, road, car"):
        find_predicted(tmp_path, CLASSES)


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "image,file,fold\na.jpg,a,x\n", "image,file,fold\na.jpg,a,-2\n"])
def test_a_damaged_list_of_images_is_named(tmp_path: Path, text: str) -> None:
    as_pngs(tmp_path, drawn())
    (tmp_path / "images.csv").write_text(text)
    with pytest.raises(DatasetError, match=r"images\.csv"):
        find_predicted(tmp_path, CLASSES)


def test_links_that_lead_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    as_archive_at(tmp_path / "secret.npz")
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "a.npz").symlink_to(tmp_path / "secret.npz")
    with pytest.raises(DatasetError, match="holds no predicted masks"):
        find_predicted(tmp_path / "masks", CLASSES)


def damaged_stream(data: bytes) -> bytes:
    return data[:70] + bytes(byte ^ 0xFF for byte in data[70:100]) + data[100:]


def in_headers(data: bytes, local: int, central: int, value: int) -> bytes:
    """Return a zip with a byte of all its headers changed."""
    changed = bytearray(data)
    for signature, offset in ((b"PK\x03\x04", local), (b"PK\x01\x02", central)):
        start = changed.find(signature)
        while start >= 0:
            changed[start + offset] = value
            start = changed.find(signature, start + 1)
    return bytes(changed)


@pytest.mark.parametrize(
    "damage",
    [
        damaged_stream,
        lambda data: in_headers(data, 6, 8, 1),  # with a password
        lambda data: in_headers(data, 8, 10, 99),  # a method of compression that zipfile has not
    ],
    ids=["damaged", "password", "method"],
)
def test_a_damaged_archive_is_named(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    values = {"class": np.random.default_rng(0).integers(0, 3, SHAPE), "confidence": drawn().max(axis=0)}
    np.savez_compressed(tmp_path / "a.npz", **values)
    path = tmp_path / "a.npz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DatasetError, match=r"a\.npz cannot be read.*check that it is whole"):
        read_one(tmp_path)


def test_complex_numbers_are_not_probabilities(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", probs=drawn() + 0.5j)
    with pytest.raises(DatasetError, match="complex64 values, no probabilities"):
        read_one(tmp_path)


def test_a_palette_index_is_not_a_probability(tmp_path: Path) -> None:
    save(tmp_path / "labels" / "a.png", classes_of(drawn()))
    indexed = Image.fromarray(np.zeros(SHAPE, np.uint8))
    indexed.putpalette([230, 230, 230])
    (tmp_path / "confidence").mkdir()
    indexed.save(tmp_path / "confidence" / "a.png")
    with pytest.raises(DatasetError, match="has a palette; save its probabilities as grey"):
        read_one(tmp_path)


def test_white_of_one_bit_is_a_probability_of_one(tmp_path: Path) -> None:
    save(tmp_path / "labels" / "a.png", classes_of(drawn()))
    (tmp_path / "confidence").mkdir()
    Image.new("1", SHAPE[::-1], 1).save(tmp_path / "confidence" / "a.png")
    assert np.unique(read_one(tmp_path).confidence).tolist() == [255]


def test_two_archives_with_the_same_name_are_refused(tmp_path: Path) -> None:
    as_probs(tmp_path, drawn())
    (tmp_path / "a.NPZ").write_bytes((tmp_path / "a.npz").read_bytes())
    with pytest.raises(DatasetError, match="files of one image; leave one of them"):
        find_predicted(tmp_path, CLASSES)


@pytest.mark.parametrize(
    ("file", "image"), [("cafe\u0301", "caf\u00e9.png"), ("caf\u00e9", "cafe\u0301.png"), (" a", " a.png")]
)
def test_files_are_matched_to_images_regardless_of_unicode_normalisation(file: str, image: str) -> None:
    assert rows_of_files([file], [SourceSample(f"/data/{image}", image)]).tolist() == [0]


def test_images_that_differ_only_in_unicode_normalisation_stay_distinct() -> None:
    names = ["cafe\u0301", "caf\u00e9"]
    images = [SourceSample(f"/data/{name}.png", f"{name}.png") for name in names]
    assert rows_of_files(names[::-1], images).tolist() == [1, 0]
