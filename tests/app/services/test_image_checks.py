"""Checks of a dataset's images: found once for its present state, outliers by the newest round's embeddings."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.services import image_checks
from app.services.app_context import AppContext
from app.services.image_checks import CheckedImages
from app.services.imports import jobs as imports
from app.services.imports.jobs import ImportRequest
from core.config import RoundConfig
from core.data.predictions import EMBEDDINGS
from core.data.snapshot import Snapshot
from core.judge.similarity import order_by_similarity
from db.queries import snapshots
from tests.app.small import add_done_round


def picture(seed: int) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3)).astype(np.uint8)
    return Image.fromarray(coarse).resize((64, 64), Image.Resampling.BICUBIC)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder with a copy in another split, a look-alike of another class, and a black image."""
    root = tmp_path / "set"
    for seed in range(40):
        folder = root / ("test" if seed < 8 else "train") / ("cat" if seed % 2 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        picture(seed).save(folder / f"{seed}.png")
    picture(3).save(root / "train" / "cat" / "copy.png")
    picture(10).resize((40, 40)).save(root / "train" / "cat" / "smaller.jpg", quality=80)
    Image.new("RGB", (64, 64)).save(root / "train" / "cat" / "black.png")
    return root


@pytest.fixture
def imported(app_context: AppContext, root: Path) -> AppContext:
    request = ImportRequest(name="set", source=str(root))
    done = imports.run_import(app_context, imports.add_import(app_context, request))
    assert done.dataset_id == 1, done.message
    return app_context


def names(checked: CheckedImages, rows: tuple[int, ...]) -> set[str]:
    return {checked.images[row].name for row in rows}


def test_images_are_checked_once_per_state_of_a_dataset(
    imported: AppContext, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert image_checks.find_known(imported, 1) is None
    found = image_checks.find(imported, 1)
    leak, alike = (next(one for one in found.found.duplicates if one.leaking is leaking) for leaking in (True, False))
    assert names(found, leak.rows) == {"test/cat/3.png", "train/cat/copy.png"}
    assert names(found, alike.rows) == {"train/dog/10.png", "train/cat/smaller.jpg"}
    assert (leak.same_file, alike.contradicting) == (True, True)
    assert [(found.images[row].name, kind) for row, kind in found.found.empty] == [("train/cat/black.png", "black")]
    assert (found.found.outliers, found.round_id, found.unknown) == (None, None, 0)
    monkeypatch.setattr(image_checks, "_found", lambda _: pytest.fail("looked twice"))
    assert image_checks.find(imported, 1) == image_checks.find_known(imported, 1) == found


def test_the_stored_form_does_not_change_and_a_damaged_file_counts_as_missing(imported: AppContext) -> None:
    found = image_checks.find(imported, 1)
    (file,) = (imported.files / "image_checks").iterdir()
    groups = [
        [list(group.rows), group.same_file, group.contradicting, group.leaking] for group in found.found.duplicates
    ]
    empty = [[row, kind.value] for row, kind in found.found.empty]
    assert (len(groups), len(empty)) == (2, 1)
    values = {"duplicates": groups, "outliers": None, "empty": empty, "complete": True}
    assert file.read_text(encoding="utf-8") == json.dumps(values)
    file.write_text(json.dumps(values | {"outliers": [3, 5], "complete": False}), encoding="utf-8")
    kept = image_checks.find_known(imported, 1)
    assert kept is not None
    assert kept.found == replace(found.found, outliers=(3, 5), complete=False)
    damaged = [values | {"empty": [[1, "blue"]]}, values | {"duplicates": [[[1, 2], True]]}, {"complete": True}, [], 3]
    for text in ("", "{", *map(json.dumps, damaged)):
        file.write_text(text, encoding="utf-8")
        assert image_checks.find_known(imported, 1) is None, text


def test_a_changed_dataset_is_checked_again(imported: AppContext, root: Path) -> None:
    image_checks.find(imported, 1)
    (root / "train" / "cat" / "black.png").unlink()
    imports.run_import(imported, imports.add_import(imported, ImportRequest(name="set", source=str(root))))
    assert image_checks.find_known(imported, 1) is None
    assert image_checks.find(imported, 1).found.empty == ()


def test_outliers_are_found_by_the_embeddings_of_a_round(imported: AppContext) -> None:
    round_id = add_done_round(imported, 1, RoundConfig(folds=2))
    with imported.database.read() as session:
        ids = [one.id for one in snapshots.samples_of(session, 1)]
    count = len(ids)
    rng = np.random.default_rng(0)
    embeddings = 5 + rng.normal(size=(count, 16)) * 0.3
    odd = 20
    embeddings[odd] = rng.normal(size=16) * 5
    folder = imported.round_folder(round_id)
    none = [""] * count
    Snapshot(np.array(ids), none, np.zeros(count, np.int32), none, none, ["cat"]).save(folder)
    np.save(folder / EMBEDDINGS, embeddings)
    order_by_similarity(folder, embeddings)
    found = image_checks.find(imported, 1)
    assert found.round_id == round_id
    assert found.found.outliers is not None
    assert found.images[found.found.outliers[0]].id == ids[odd]
