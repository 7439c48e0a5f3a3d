"""An installation's database and its files belong together, and two homes on one database are refused."""

import shutil
from pathlib import Path

import pytest

from app.services.app_context import HOME_ID, open_app
from app.settings import Settings
from core.types import StorageError

pytest_plugins = ["tests.postgres"]


def opens(home: Path, url: str) -> None:
    open_app(Settings(home=home, database_url=url, demo=False, embedded_worker=False)).database.close()


def test_a_second_home_on_one_database_is_refused_unless_declared_to_be_the_same(
    tmp_path: Path, database_url: str
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    opens(first, database_url)
    opens(first, database_url)
    with pytest.raises(StorageError, match=r"its files are in another home, not in .*second") as refused:
        opens(second, database_url)
    number = (first / "files" / HOME_ID).read_text().strip()
    assert f"write {number} into {second / 'files' / HOME_ID}" in refused.value.cure
    (second / "files" / HOME_ID).write_text(number)
    opens(second, database_url)


def test_a_home_that_is_moved_or_mounted_elsewhere_keeps_working(tmp_path: Path, database_url: str) -> None:
    opens(tmp_path / "first", database_url)
    shutil.move(tmp_path / "first", tmp_path / "moved")
    opens(tmp_path / "moved", database_url)
    (tmp_path / "linked").symlink_to(tmp_path / "moved")
    opens(tmp_path / "linked", database_url)


def test_a_new_database_takes_the_number_of_its_home(tmp_path: Path) -> None:
    old, new = (f"sqlite:///{tmp_path / name}.sqlite" for name in ("old", "new"))
    opens(tmp_path / "home", old)
    number = (tmp_path / "home" / "files" / HOME_ID).read_text()
    opens(tmp_path / "home", new)
    assert (tmp_path / "home" / "files" / HOME_ID).read_text() == number
    with pytest.raises(StorageError):
        opens(tmp_path / "other", new)


def test_a_database_inside_the_home_needs_no_number(tmp_path: Path) -> None:
    opens(tmp_path / "home", "")
    assert not (tmp_path / "home" / "files" / HOME_ID).exists()
