"""A folder checked without a database: its labels where they can be judged, its images always."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.checking import CheckedSource, FolderCheck, Stage, Stages, check_folder, config_for, read_folder, snapshot_of
from core.config import ProbabilityMethod, RoundConfig
from core.data.formats.source import ReadOptions
from core.data.networks import round_networks
from core.types import NO_LABEL, DatasetError

CONFIG = RoundConfig(
    folds=2, method=ProbabilityMethod.PROBE, model="test_resnet", input_size=32, batch_size=32, device="cpu"
)


def write(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(path)


def read(root: Path) -> CheckedSource:
    return read_folder(root, ReadOptions(), None, 1 << 20, Stages())


def checked(root: Path, tmp_path: Path, stages: Stages | None = None) -> FolderCheck:
    cache = tmp_path / "cache"
    return check_folder(read(root), CONFIG, tmp_path / "place", image_cache=cache, stages=stages or Stages())


@pytest.mark.slow
def test_labels_of_two_classes_are_judged_by_a_probe(tmp_path: Path) -> None:
    for number in range(24):
        write(tmp_path / "set" / ("10" if number % 2 else "9") / f"{number}.png", number)
    found = checked(tmp_path / "set", tmp_path)
    assert found.judgement is not None
    assert found.snapshot.classes == ["9", "10"]  # as an import numbers them
    assert found.unjudged == ""
    assert found.neighbours.shape == (24, 6)
    assert round_networks(tmp_path / "place") == []  # it is asked nothing more


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (["1.png", "2.png", "3.png", "4.png"], "no labels of two classes"),
        (["cat/1.png", "cat/2.png", "cat/3.png"], "no labels of two classes"),
        (["cat/1.png", "cat/2.png", "cat/3.png", "dog/4.png"], "too few labels to judge"),
    ],
)
def test_images_are_checked_even_if_labels_cannot_be_judged(names: list[str], why: str, tmp_path: Path) -> None:
    for seed, name in enumerate(names):
        write(tmp_path / "set" / name, seed)
    found = checked(tmp_path / "set", tmp_path)
    assert found.judgement is None
    assert why in found.unjudged
    assert len(found.neighbours) == len(names)


def test_a_dataset_of_masks_is_referred_to_the_import(tmp_path: Path) -> None:
    for number in range(6):
        write(tmp_path / "set" / "images" / f"{number}.png", number)
        (tmp_path / "set" / "masks").mkdir(exist_ok=True)
        Image.fromarray(np.full((40, 40), number % 2, np.uint8)).save(tmp_path / "set" / "masks" / f"{number}.png")
    found = checked(tmp_path / "set", tmp_path)
    assert found.folder.masks
    assert "python -m app import" in found.unjudged
    assert (found.snapshot.labels == NO_LABEL).all()


def test_unreadable_images_are_left_out_with_a_cure(tmp_path: Path) -> None:
    write(tmp_path / "set" / "cat" / "1.png", 1)
    (tmp_path / "set" / "cat" / "2.png").write_bytes(b"no image")
    folder = read(tmp_path / "set")
    assert [one.name for one in folder.samples] == ["cat/1.png"]
    assert [one.path for one in folder.problems.kept] == ["cat/2.png"]
    assert folder.problems.kept[0].cure
    (tmp_path / "set" / "cat" / "1.png").write_bytes(b"")
    with pytest.raises(DatasetError, match="no image could be read out of 2 found"):
        read(tmp_path / "set")


def test_images_of_a_group_are_never_split(tmp_path: Path) -> None:
    rows = ["path,label,group"]
    for number in range(12):
        write(tmp_path / f"{number}.png", number)
        rows.append(f"{number}.png,{'ab'[number % 2]},patient {number // 4}")
    (tmp_path / "table.csv").write_text("\n".join(rows))
    folder = read(tmp_path / "table.csv")
    assert len(set(snapshot_of(folder).whole_groups().tolist())) == 3
    assert config_for(folder).folds == 3


def test_few_labels_get_few_folds(tmp_path: Path) -> None:
    for number in range(6):
        write(tmp_path / "set" / "ab"[number % 2] / f"{number}.png", number)
    config = config_for(read(tmp_path / "set"), seed=7, device="cpu")
    assert (config.method, config.folds, config.seed, config.device) == (ProbabilityMethod.PROBE, 3, 7, "cpu")


def test_stages_are_timed_and_progress_never_decreases(tmp_path: Path) -> None:
    for number in range(24):
        write(tmp_path / "set" / "ab"[number % 2] / f"{number}.png", number)
    shown: list[tuple[Stage, float]] = []
    stages = Stages(lambda stage, done, _details: shown.append((stage, done)))
    checked(tmp_path / "set", tmp_path, stages)
    order = {stage: place for place, stage in enumerate(Stage)}
    places = [order[stage] for stage, _ in shown]
    assert places == sorted(places)
    assert all(0 <= done <= 1 for _, done in shown)
    assert stages.seconds[Stage.JUDGING] > 0
    assert stages.seconds[Stage.WRITING] == 0
