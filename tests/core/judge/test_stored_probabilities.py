"""Probabilities of a round in blocks and shards, read back by rows."""

from pathlib import Path

import numpy as np
import pytest

from core.data import likeliest
from core.data.snapshot import Snapshot
from core.judge import stored_probabilities as module
from core.judge.stored_probabilities import (
    PROBABILITIES,
    has_probabilities,
    keeps_likeliest,
    store_probabilities,
    stored_probabilities,
)
from core.types import NO_LABEL, FloatArray, IntArray

COUNT, CLASSES = 53, 30


@pytest.fixture
def few_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likeliest, "_MOST_WHOLE", 10)
    monkeypatch.setattr(module, "_SHARD_ROWS", 20)


def drawn(folder: Path, alpha: float = 0.2) -> tuple[FloatArray, IntArray]:
    rng = np.random.default_rng(0)
    labels = rng.integers(NO_LABEL, CLASSES, COUNT)
    names = [str(row) for row in range(COUNT)]
    classes = [str(one) for one in range(CLASSES)]
    Snapshot(np.arange(COUNT), names, labels.astype(np.int32), [""] * COUNT, names, classes).save(folder)
    return rng.dirichlet(np.full(CLASSES, alpha), COUNT).astype(np.float32), labels


def store(folder: Path, probs: FloatArray, labels: IntArray, block: int) -> None:
    with store_probabilities(folder, probs.shape) as keep:
        for start in range(0, len(probs), block):
            keep(probs[start : start + block], labels[start : start + block])


@pytest.mark.parametrize("block", [1, 7, COUNT])
def test_full_vectors_are_stored_as_a_numpy_file(tmp_path: Path, block: int) -> None:
    probs, labels = drawn(tmp_path)
    assert not has_probabilities(tmp_path)
    store(tmp_path, probs, labels, block)
    np.save(tmp_path / "whole.npy", probs.astype(np.float16))
    assert (tmp_path / PROBABILITIES).read_bytes() == (tmp_path / "whole.npy").read_bytes()
    rows = np.array([3, 1, 50])
    np.testing.assert_array_equal(stored_probabilities(tmp_path, CLASSES)[rows], probs.astype(np.float16)[rows])
    assert not keeps_likeliest(tmp_path)


@pytest.mark.parametrize("block", [1, 7, 20, COUNT])
@pytest.mark.usefixtures("few_whole")
def test_the_likeliest_and_given_classes_of_very_many_samples_keep_their_probabilities(
    tmp_path: Path, block: int
) -> None:
    probs, labels = drawn(tmp_path)
    store(tmp_path, probs, labels, block)
    assert sorted(path.name for path in tmp_path.glob("*.npy")) == [f"likeliest_0000{n}.npy" for n in range(3)]
    assert keeps_likeliest(tmp_path)
    read, exact = stored_probabilities(tmp_path, CLASSES), probs.astype(np.float16)
    assert read.shape == (COUNT, CLASSES)
    rows = np.random.default_rng(1).permutation(COUNT)
    found = read[rows]
    assert found.dtype == np.float16
    top = np.argsort(-probs[rows], axis=1, kind="stable")[:, :5]
    np.testing.assert_array_equal(np.take_along_axis(found, top, axis=1), np.take_along_axis(exact[rows], top, axis=1))
    known = np.flatnonzero(labels[rows] != NO_LABEL)
    own = labels[rows][known]
    np.testing.assert_array_equal(found[known, own], exact[rows][known, own])
    np.testing.assert_array_equal(found.argmax(axis=1), exact[rows].argmax(axis=1))
    np.testing.assert_allclose(found.astype(np.float64).sum(axis=1), 1, atol=5e-3)
    assert np.abs(found.astype(np.float64) - probs[rows]).max() < 0.1  # of the sixth class, at most the fifth's


@pytest.mark.usefixtures("few_whole")
def test_shards_are_used_only_when_all_are_written(tmp_path: Path) -> None:
    probs, labels = drawn(tmp_path)
    with store_probabilities(tmp_path, probs.shape) as keep:
        keep(probs, labels)
        assert len(list(tmp_path.glob("likeliest_*.npy"))) == 2
        assert not has_probabilities(tmp_path)
    assert has_probabilities(tmp_path)


@pytest.mark.usefixtures("few_whole")
def test_a_sample_takes_22_bytes(tmp_path: Path) -> None:
    probs, labels = drawn(tmp_path)
    store(tmp_path, probs, labels, COUNT)
    assert np.load(tmp_path / "likeliest_00000.npy").dtype.itemsize == 22


@pytest.mark.usefixtures("few_whole")
def test_a_folder_without_probabilities_is_refused(tmp_path: Path) -> None:
    drawn(tmp_path)
    with pytest.raises(FileNotFoundError):
        stored_probabilities(tmp_path, CLASSES)[np.arange(3)]
