"""Probabilities made elsewhere: every form gives the same rows, each row finds its image, faults are named."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st

from core.data.formats.probabilities import Probabilities, match_images, read_probabilities
from core.types import DatasetError, FloatArray, SourceSample

CLASSES = ("cat", "NA", "007")
NAMES = ["cat/1.png", "NA/2.png", "007/3.png", "cat/4.png"]
IMAGES = [SourceSample(f"/data/pets/{name}", name) for name in NAMES]


@pytest.fixture
def values() -> FloatArray:
    drawn: FloatArray = np.random.default_rng(0).dirichlet(np.ones(3), size=4).astype(np.float32)
    return drawn


def _frame(values: FloatArray, prefix: str = "") -> pd.DataFrame:
    return pd.DataFrame({"image": NAMES} | {f"{prefix}{name}": values[:, k] for k, name in enumerate(CLASSES)})


def _csv(folder: Path, values: FloatArray) -> Path:
    _frame(values).to_csv(folder / "p.csv", index=False)
    return folder / "p.csv"


def _prefixed_csv_with_index(folder: Path, values: FloatArray) -> Path:
    _frame(values, "p_").to_csv(folder / "p.csv", sep=";")
    return folder / "p.csv"


def _tsv(folder: Path, values: FloatArray) -> Path:
    _frame(values).iloc[:, ::-1].to_csv(folder / "p.tsv", sep="\t", index=False)  # columns in any order
    return folder / "p.tsv"


def _parquet(folder: Path, values: FloatArray) -> Path:
    _frame(values).to_parquet(folder / "p.parquet")
    return folder / "p.parquet"


def _lists(folder: Path, values: FloatArray) -> Path:
    pd.DataFrame({"file_name": NAMES, "pred_probs": values.tolist()}).to_parquet(folder / "p.parquet")
    return folder / "p.parquet"


def _objects(folder: Path, values: FloatArray) -> Path:
    lines = [
        json.dumps({"image": name, "probabilities": dict(zip(CLASSES[::-1], row[::-1], strict=True))})
        for name, row in zip(NAMES, values.tolist(), strict=True)
    ]
    (folder / "p.jsonl").write_text("\n".join(lines))
    return folder / "p.jsonl"


def _npz(folder: Path, values: FloatArray) -> Path:
    np.savez(folder / "p.npz", pred_probs=values, ids=np.array(NAMES))
    return folder / "p.npz"


@pytest.mark.parametrize("write", [_csv, _prefixed_csv_with_index, _tsv, _parquet, _lists, _objects, _npz])
def test_every_form_gives_the_same_rows(
    tmp_path: Path, values: FloatArray, write: Callable[[Path, FloatArray], Path]
) -> None:
    found = read_probabilities(write(tmp_path, values), CLASSES)
    assert found.ids == NAMES
    np.testing.assert_allclose(match_images(found, IMAGES), values, atol=1e-6)


def test_the_image_names_of_an_array_are_read_from_a_second_file(tmp_path: Path, values: FloatArray) -> None:
    np.save(tmp_path / "p.npy", values)
    with pytest.raises(DatasetError, match="--ids"):
        read_probabilities(tmp_path / "p.npy", CLASSES)
    (tmp_path / "names.txt").write_text("\n".join(NAMES) + "\n")
    found = read_probabilities(tmp_path / "p.npy", CLASSES, tmp_path / "names.txt")
    np.testing.assert_allclose(match_images(found, IMAGES), values, atol=1e-6)


@given(st.permutations(range(4)), st.sampled_from(["name", "path", "ending", "elsewhere", "windows", "stem"]))
def test_a_row_is_matched_to_its_image_by_any_unambiguous_name(order: list[int], spelling: str) -> None:
    ways: dict[str, Callable[[str], str]] = {
        "name": lambda name: name,
        "path": lambda name: f"/data/pets/{name}",
        "ending": lambda name: f"pets/{name}",
        "elsewhere": lambda name: f"/home/other/{name}",
        "windows": lambda name: f"C:\\pets\\{name}".replace("/", "\\"),
        "stem": lambda name: Path(name).stem,
    }
    called = ways[spelling]
    values = np.eye(4, 3, dtype=np.float32)
    found = Probabilities([called(NAMES[row]) for row in order], values[order])
    np.testing.assert_array_equal(match_images(found, IMAGES), values)


@pytest.mark.parametrize(
    ("ids", "says"),
    [
        ([*NAMES[:3], "dog/9.png"], "1 rows name no image"),
        ([*NAMES[:3], "cat/1.png"], "1 images have several rows"),
        (NAMES[:3], "1 images have no row"),
    ],
)
def test_every_image_needs_exactly_one_row(ids: list[str], says: str) -> None:
    with pytest.raises(DatasetError, match=says):
        match_images(Probabilities(ids, np.ones((len(ids), 3), np.float32)), IMAGES)


def test_a_name_shared_by_several_images_is_refused() -> None:
    twins = [SourceSample("/d/a/1.png", "a/1.png"), SourceSample("/d/b/1.png", "b/1.png")]
    with pytest.raises(DatasetError, match="or several"):
        match_images(Probabilities(["1.png", "b/1.png"], np.ones((2, 3), np.float32)), twins)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda values: values[:, :2], "shape"),
        (lambda values: np.where(np.eye(4, 3), np.nan, values), "no number"),
        (np.log, "softmax"),
        (lambda values: values * 100, "softmax"),
        (lambda values: values[:3], "4 names"),
    ],
)
def test_values_that_are_not_probabilities_are_refused_and_named(
    tmp_path: Path, values: FloatArray, spoil: Callable[[FloatArray], FloatArray], says: str
) -> None:
    np.savez(tmp_path / "p.npz", pred_probs=spoil(values), ids=np.array(NAMES))
    with pytest.raises(DatasetError, match=says):
        read_probabilities(tmp_path / "p.npz", CLASSES)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("p.csv", b"cat,NA,007\n1,0,0\n", "no column names the images"),
        ("p.csv", b"image,cat,NA\na,1,0\n", "no column of 007"),
        ("p.csv", b"image,cat,NA,007\na,1,x,0\n", "cannot be read"),
        ("p.jsonl", b'{"image": "a", "probs": {"cat": 1}}\n', "has no value of NA, 007"),
        ("p.jsonl", b'{"image": "a", "probs": [1]}\n', "1 probabilities"),
        ("p.npy", b"no array", "cannot be read"),
        ("p.npy", b"", "cannot be read"),
        ("p.npz", b"PK\x03\x04 damaged", "cannot be read"),
        ("p.csv", b"", "cannot be read"),
        ("p.csv", b"image\na\n", "no column of cat, NA, 007"),
        ("p.jsonl", b"3\n", "cannot be read"),
        ("p.jsonl", b'{"image": "a", "probs": null}\n', "no list of probabilities"),
        ("p.jsonl", b"[" * 100_000, "cannot be read"),
        ("p.pkl", b"", "is none of"),
    ],
)
def test_incomplete_files_are_refused(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    ids = tmp_path / "ids.txt"
    ids.write_text("a\n")
    with pytest.raises(DatasetError, match=says):
        read_probabilities(tmp_path / name, CLASSES, ids if name == "p.npy" else None)


def test_columns_are_matched_by_the_class_names_in_the_file(tmp_path: Path, values: FloatArray) -> None:
    order = [2, 0, 1]
    names = np.array([CLASSES[one] for one in order])
    np.savez(tmp_path / "p.npz", pred_probs=values[:, order], ids=np.array(NAMES), classes=names)
    found = read_probabilities(tmp_path / "p.npz", CLASSES)
    assert found.named
    np.testing.assert_allclose(match_images(found, IMAGES), values, atol=1e-6)
    with pytest.raises(DatasetError, match="has the classes 007, cat, NA"):
        read_probabilities(tmp_path / "p.npz", ("cat", "NA", "dog"))
    assert read_probabilities(_objects(tmp_path, values), CLASSES).named


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    np.save(tmp_path / "p.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    (tmp_path / "ids.txt").write_text("a\n")
    with pytest.raises(DatasetError, match="cannot be read"):
        read_probabilities(tmp_path / "p.npy", CLASSES, tmp_path / "ids.txt")
