"""An installation whose rounds were really trained, in seconds: digits with classes, stripes with masks."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.services.app_context import AppContext, open_app
from app.services.imports import jobs as imports
from app.services.imports.jobs import ImportRequest
from app.services.rounds import jobs as rounds
from app.settings import Settings
from app.worker import steps
from core.config import SMALL_MASK_NETWORK, RoundConfig
from tests.app.pairs import draw_stripes

DIGITS = RoundConfig(folds=2, input_size=8, grey=True, epochs=2, batch_size=32, device="cpu")
STRIPES = RoundConfig(
    folds=2, model=SMALL_MASK_NETWORK, input_size=32, epochs=1, batch_size=4, min_region=4, boundary=0, device="cpu"
)


def go_on() -> bool:
    return False


def run_round(app_context: AppContext, dataset_id: int, config: RoundConfig) -> int:
    """Do all of a round's steps in this process and return its id."""
    round_id = rounds.start_round(app_context, dataset_id, config, "ada").id
    steps.take_snapshot(app_context, go_on, round_id=round_id)
    for fold in range(config.folds):
        steps.train_fold(app_context, go_on, round_id=round_id, fold=fold)
    steps.judge(app_context, go_on, round_id=round_id)
    return round_id


def import_folder(app_context: AppContext, name: str, folder: Path) -> int:
    asked = imports.add_import(app_context, ImportRequest(name=name, source=str(folder)))
    dataset_id = imports.run_import(app_context, asked).dataset_id
    assert dataset_id is not None
    return dataset_id


def open_home(home: Path) -> AppContext:
    return open_app(Settings(home=home, demo=False, embedded_worker=False))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, digits_folder: Path) -> Iterator[AppContext]:
    """Return an installation with a round of dataset 1, digits, and one of dataset 2, stripes; leave it as it is."""
    root = tmp_path_factory.mktemp("trained")
    opened = open_home(root / "home")
    run_round(opened, import_folder(opened, "digits", digits_folder), DIGITS)
    run_round(opened, import_folder(opened, "stripes", draw_stripes(root / "stripes")), STRIPES)
    yield opened
    opened.database.close()
