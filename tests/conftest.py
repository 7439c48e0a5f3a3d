"""Fixtures of all tests: a fresh installation on a real SQLite file, and a small folder of real handwritten digits."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from PIL import Image

from app.services import app_context as installations, jobs
from app.services.app_context import AppContext, open_app
from app.services.programs import BROWSER, NODE, POSTGRESQL
from app.settings import Settings
from db.faults import file_of
from tests.needs import summary
from tools.provide import CHECKERS

PER_CLASS = 30
os.environ["OUTFOLD_WORKER_NICE"] = "0"  # tests wait for jobs, beside each other
os.environ["OMP_NUM_THREADS"] = "1"  # a core each: tests run beside each other
hypothesis.settings.register_profile("outfold", deadline=None)  # how quick a machine is proves nothing
hypothesis.settings.load_profile("outfold")
_MAIN = sys.modules["__main__"]
_LONG = (
    "tests/e2e/",
    "tests/app/worker/",
    "tests/core/recipes/",
)  # minutes each: begun first, none is waited for alone


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that the cores end together; else the order stays."""
    items.sort(key=lambda item: not item.nodeid.startswith(_LONG))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name at the end what was not run for want of a program."""
    lines = summary(terminalreporter.stats.get("skipped", []), (BROWSER, POSTGRESQL, NODE, CHECKERS))
    if lines:
        terminalreporter.section("not run")
        for line in lines:
            terminalreporter.write_line(line, yellow=True)


@pytest.fixture(autouse=True)
def _own_main() -> None:
    """Put the main module back, which a page that a test ran has replaced: processes that are spawned would run it."""
    sys.modules["__main__"] = _MAIN


@pytest.fixture(scope="session", autouse=True)
def _migrate_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Migrate one SQLite file of either kind and begin new homes with its copy: each would take a third of a second."""
    folder = tmp_path_factory.mktemp("migrated")

    def once(migrate: Callable[[str], None], made: Path) -> Callable[[str], None]:
        def migrate_or_copy(url: str) -> None:
            file = file_of(url)
            if file is None or file.exists() or not file.parent.is_dir():
                migrate(url)
                return
            if not made.exists():
                migrate(f"sqlite:///{made}")
            shutil.copyfile(made, file)

        return migrate_or_copy

    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((installations, "migrate"), (jobs, "prepare_engine")):
            patch.setattr(module, name, once(getattr(module, name), folder / f"{name}.sqlite"))
        yield


@pytest.fixture
def app_context(tmp_path: Path) -> Iterator[AppContext]:
    """Return an empty installation in a folder of its own."""
    opened = open_app(Settings(home=tmp_path / "home", demo=False, embedded_worker=False))
    yield opened
    opened.database.close()


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Train on one thread: the scenes are small, and the numbers the same on every machine of one kind."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def digits_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a class folder of 10 x 30 real 8x8 digits; tests must leave it as it is."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    root = tmp_path_factory.mktemp("digits")
    for name in range(10):
        folder = root / str(name)
        folder.mkdir()
        for position, index in enumerate(np.flatnonzero(digits.target == name)[:PER_CLASS]):
            grey = np.round(digits.images[index] * (255 / 16)).astype(np.uint8)
            Image.fromarray(grey).save(folder / f"{position:03d}.png")
    return root
