"""`backup` and `restore-backup`: one command each, from one home to another."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.services.app_context import AppContext
from app.settings import settings
from db.copying import hash_tables
from tests.app.commands.running import run, run_json
from tools.fixtures.reviews import fill


@pytest.mark.parametrize("told", [run, run_json])
def test_an_installation_is_moved_by_two_commands(
    app_context: AppContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: Callable[..., Any]
) -> None:
    fill(app_context, 3)
    file, other = tmp_path / "backup.tar", tmp_path / "other"
    for home, command in ((app_context.settings.folder, "backup"), (other, "restore-backup")):
        monkeypatch.setenv("OUTFOLD_HOME", str(home))
        settings.cache_clear()
        said = told(command, file)
        if told is run_json:
            assert said["files"] == 1
            assert said["bytes"] > 100_000
        else:
            assert "files: 1\n" in said.stdout
    assert hash_tables(f"sqlite:///{other / 'outfold.sqlite'}") == hash_tables(app_context.database.url)
    assert "it is not empty" in run("restore-backup", file, code=1).stderr
