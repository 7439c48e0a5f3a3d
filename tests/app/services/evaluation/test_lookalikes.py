"""Look-alikes of evaluation images: named, excluded from training, found later for old imports too."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import update
from streamlit.testing.v1 import AppTest

from app.commands import lookup
from app.services.app_context import AppContext
from app.services.evaluation import lookalikes, splits as evaluation
from app.services.imports import jobs as imports
from app.services.imports.jobs import ImportRequest
from app.services.rounds.snapshots import current_snapshot
from db.models import SampleRow
from tests.app.commands.running import run, run_json

MAIN = Path(__file__).parents[4] / "app" / "main.py"


def picture(seed: int) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3)).astype(np.uint8)
    return Image.fromarray(coarse).resize((64, 64), Image.Resampling.BICUBIC)


def import_all(app_context: AppContext, root: Path) -> int:
    done = imports.run_import(app_context, imports.add_import(app_context, ImportRequest(name="set", source=str(root))))
    assert done.dataset_id == 1, done.message
    return done.id


@pytest.fixture
def leaking(app_context: AppContext, tmp_path: Path) -> AppContext:
    """Return a dataset whose `train` holds a copy of one `test` image, and another one smaller and compressed."""
    root = tmp_path / "set"
    for seed in range(24):
        split, name = "test" if seed < 8 else "train", "cat" if seed % 2 else "dog"
        folder = root / split / name
        folder.mkdir(parents=True, exist_ok=True)
        picture(seed).save(folder / f"{seed}.png")
    picture(3).save(root / "train" / "cat" / "copy.png")
    picture(4).resize((40, 40)).save(root / "train" / "dog" / "smaller.jpg", quality=70)
    import_all(app_context, root)
    return app_context


PAIRS = [
    ("test/cat/3.png", "train/cat/copy.png", "same file"),
    ("test/dog/4.png", "train/dog/smaller.jpg", "looks alike"),
]


def test_pairs_are_listed_with_names_and_searched_once(leaking: AppContext, monkeypatch: pytest.MonkeyPatch) -> None:
    assert lookalikes.find(leaking, 1) == lookalikes.NOTHING
    assert evaluation.protect(leaking, 1, "test").alike is None
    found = evaluation.protection(leaking, 1, find=True).alike
    assert found is not None
    assert [(one.protected, one.other, one.kind) for one in found.pairs] == PAIRS
    assert "2 images outside look like images of the evaluation split (2 pairs)" in found.lines()[0]
    monkeypatch.setattr(lookalikes, "find_similar", None)
    assert evaluation.protection(leaking, 1).alike == found
    assert lookalikes.find(leaking, 1) == found
    with leaking.database.write() as session:
        session.execute(update(SampleRow).where(SampleRow.name == "train/cat/copy.png").values(split="test"))
    assert lookalikes.find_known(leaking, 1) is None, "the splits have changed"


def test_the_stored_form_does_not_change_and_a_damaged_file_counts_as_missing(leaking: AppContext) -> None:
    evaluation.protect(leaking, 1, "test")
    found = lookalikes.find(leaking, 1)
    (file,) = (leaking.files / "lookalikes").iterdir()
    pairs = [{"protected": one, "other": other, "same_file": kind == "same file"} for one, other, kind in PAIRS]
    values = {"count": 2, "pairs": pairs, "others": list(found.others), "unknown": 0, "complete": True}
    assert file.read_text(encoding="utf-8") == json.dumps(values)
    assert lookalikes.find_known(leaking, 1) == found
    damaged = [values | {"pairs": [{"protected": "a"}]}, values | {"number": 3}, {"count": 2, "pairs": []}, 3]
    for text in ("", "{", *map(json.dumps, damaged)):
        file.write_text(text, encoding="utf-8")
        assert lookalikes.find_known(leaking, 1) is None, text


def test_no_round_trains_on_look_alikes_of_evaluation_images(leaking: AppContext) -> None:
    evaluation.protect(leaking, 1, "test")
    _, snapshot, _ = current_snapshot(leaking, 1)
    assert snapshot.protected is not None
    kept = {Path(snapshot.paths[row]).name for row in np.flatnonzero(snapshot.protected).tolist()}
    assert kept == {f"{seed}.png" for seed in range(8)} | {"copy.png", "smaller.jpg"}


def test_images_of_former_releases_get_their_hashes_at_the_next_import_without_changes(
    leaking: AppContext, tmp_path: Path
) -> None:
    with leaking.database.write() as session:
        hashes = dict(session.query(SampleRow.id, SampleRow.look_hash).all())
        session.execute(update(SampleRow).values(look_hash=None))
    evaluation.protect(leaking, 1, "test")
    found = lookalikes.find(leaking, 1)
    assert [one.other for one in found.pairs] == ["train/cat/copy.png"], "copies are known by their content"
    assert found.unknown == 26
    assert "import the dataset again" in found.lines()[1]
    again = import_all(leaking, tmp_path / "set")
    with leaking.database.read() as session:
        assert dict(session.query(SampleRow.id, SampleRow.look_hash).all()) == hashes
        report = imports.get_import(leaking, again).report
    assert report is not None
    assert (report["changes"]["changed"], report["changes"]["unchanged"]) == (0, 26)
    assert lookalikes.find(leaking, 1).count == 2


def test_the_command_and_the_page_warn_of_look_alikes(leaking: AppContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.services.app_context.app_context", lambda: leaking)
    monkeypatch.setattr(lookup, "app_context", lambda: leaking)
    evaluation.protect(leaking, 1, "test")
    screen = AppTest.from_file(str(MAIN), default_timeout=30).switch_page("pages/datasets.py")
    screen.query_params["splits"] = "1"
    screen.run()
    screen.button("splits_1_find").click().run()
    assert not screen.exception
    assert list(screen.dataframe[0].value["Outside"]) == [other for _, other, _ in PAIRS]
    told = run("datasets", "protect", "set").stdout
    assert "2 images outside look like images of the evaluation split" in told
    assert "smaller.jpg" in told
    said = run_json("datasets", "protect", "set", "--split", "test")
    assert [one["other"] for one in said["alike"]["pairs"]] == [other for _, other, _ in PAIRS]


def test_each_copy_outside_the_split_is_listed_once(app_context: AppContext, tmp_path: Path) -> None:
    root = tmp_path / "set"
    for split, copies in (("test", 3), ("train", 4)):
        (root / split / "cat").mkdir(parents=True)
        for number in range(copies):
            picture(1).save(root / split / "cat" / f"{split}{number}.png")
    (root / "train" / "dog").mkdir()
    picture(2).save(root / "train" / "dog" / "other.png")
    import_all(app_context, root)
    evaluation.protect(app_context, 1, "test")
    found = lookalikes.find(app_context, 1)
    assert len(found.others) == 4
    assert [one.same_file for one in found.pairs].count(True) == 4
