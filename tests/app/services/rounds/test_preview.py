"""Previews of rounds: times by a trial and sizes of downloads, asked of real processes and never in the way."""

import http.server
import json
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.services.app_context import AppContext
from app.services.rounds import jobs as rounds, preview
from app.services.rounds.preview import about_time, ask_size, estimate_times, is_asking, known_size, known_times
from app.worker import steps
from core.config import ProbabilityMethod, RoundConfig
from core.types import ConfigError
from db.models import SampleRow
from tests.app.small import add_dataset
from tests.core.learn.models.test_weights import MODEL, Hub

CONFIG = RoundConfig(input_size=8, grey=True, epochs=1, batch_size=4, folds=2)
LONGEST = 120.0


def add_digits(app_context: AppContext, folder: Path) -> int:
    """Store a dataset of twelve real digits."""
    dataset_id = add_dataset(app_context, [0, 1] * 6)
    with app_context.database.write() as session:
        for row, path in zip(session.query(SampleRow).all(), sorted(folder.rglob("*.png")), strict=False):
            row.path = str(path)
    return dataset_id


def waited(app_context: AppContext, dataset_id: int) -> preview.Estimates:
    """Return what is known once no trial runs any more."""
    began = time.monotonic()
    while (known := known_times(app_context, dataset_id, [CONFIG])).pending:
        assert time.monotonic() - began < LONGEST
        time.sleep(0.1)
    return known


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "about 5 s"), (38, "about 40 s"), (58, "about 1 min"), (130, "about 2 min"), (1490, "about 25 min"),
     (5000, "about 85 min"), (10_000, "about 3 h")],
)  # fmt: skip
def test_estimated_times_are_rounded_by_their_size(seconds: float, text: str) -> None:
    assert about_time(seconds) == text


def test_a_trial_runs_in_the_background_and_its_result_is_cached(app_context: AppContext, digits_folder: Path) -> None:
    dataset_id = add_digits(app_context, digits_folder)
    assert known_times(app_context, dataset_id, [CONFIG]).pending
    known = waited(app_context, dataset_id)
    assert known.seconds[0] is not None
    assert known == estimate_times(app_context, dataset_id, [CONFIG])  # read, not measured again
    (kept,) = (app_context.files / "timings").iterdir()
    (answer,) = json.loads(kept.read_text())["configs"]
    assert answer["seconds"] == known.seconds[0]
    (costs,) = known.costs
    assert costs is not None
    assert 0 < costs.predicting < costs.training
    assert costs.strong > 0


@pytest.mark.slow
def test_a_trial_after_a_round_of_the_same_images_looks_up_its_cached_arrays(
    app_context: AppContext, digits_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    def answer(_module: str, question: dict[str, Any], _longest: float) -> list[dict[str, Any]]:
        asked.append(question)
        return [{"seconds": 1.0, "costs": None}]

    monkeypatch.setattr(preview, "_ask_child", answer)
    dataset_id = add_digits(app_context, digits_folder)
    config = replace(CONFIG, method=ProbabilityMethod.PROBE, model="test_resnet", input_size=32)
    for _ in range(2):
        estimate_times(app_context, dataset_id, [config])
    number = rounds.start_round(app_context, dataset_id, config, "ada").id
    steps.take_snapshot(app_context, lambda: False, round_id=number)
    for fold in range(2):
        steps.train_fold(app_context, lambda: False, round_id=number, fold=fold)
    before = len(asked)
    estimate_times(app_context, dataset_id, [config])  # while it runs: embeddings alone are no news
    steps.judge(app_context, lambda: False, round_id=number)
    for _ in range(2):
        estimate_times(app_context, dataset_id, [config])
    assert (before, len(asked)) == (1, 2)
    fresh, kept = (one["trial"] for one in asked)
    assert not fresh.get("rows")
    assert list(Path(kept["image_cache"]).glob(f"{kept['rows']}-*.embeddings.npy"))


def test_a_failed_trial_is_logged_and_shows_nothing(app_context: AppContext, caplog: pytest.LogCaptureFixture) -> None:
    dataset_id = add_dataset(app_context, [0, 1] * 6)  # whose images do not exist
    with caplog.at_level(logging.WARNING, "outfold.timings"):
        known = waited(app_context, dataset_id)
    assert known.seconds == (None,)
    assert "can no longer be read" in caplog.text
    with pytest.raises(ConfigError, match="can no longer be read"):
        estimate_times(app_context, dataset_id, [CONFIG])


def test_a_damaged_cached_result_is_measured_again(app_context: AppContext, digits_folder: Path) -> None:
    dataset_id = add_digits(app_context, digits_folder)
    first = estimate_times(app_context, dataset_id, [CONFIG])
    (kept,) = (app_context.files / "timings").iterdir()
    kept.write_text("{")
    again = estimate_times(app_context, dataset_id, [CONFIG])
    assert (first.seconds[0] or 0) > 0
    assert (again.seconds[0] or 0) > 0


def answered(model: str) -> str:
    """Ask for a network's size and return the answer once it is there."""
    ask_size(model)
    began = time.monotonic()
    while is_asking(model):
        assert time.monotonic() - began < LONGEST
        time.sleep(0.1)
    return known_size(model)


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Serve five million bytes of weights on loopback, with an empty cache."""
    handler = type("Served", (Hub,), {"data": bytes(5_000_000), "asked": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    yield
    server.shutdown()
    server.server_close()


@pytest.mark.usefixtures("served")
def test_the_size_of_a_download_is_reported_without_downloading(tmp_path: Path) -> None:
    assert known_size(MODEL) == ""
    assert answered(MODEL) == "downloads 5 MB"
    assert not any(path.is_file() for path in (tmp_path / "cache").rglob("*"))


def test_the_offline_message_names_the_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    assert "choose a local file" in answered("test_vit")


def test_an_unknown_network_is_reported() -> None:
    assert "none of timm's own networks" in answered("no_such_network")
