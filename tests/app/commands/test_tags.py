from pathlib import Path

import pytest

from app.commands import lookup
from app.services.app_context import AppContext
from app.services.tags import current as tags
from tests.app.commands.running import run, run_json
from tools.fixtures.scenes import CAR, ROAD, SKY


@pytest.fixture
def opened(scenes: AppContext, monkeypatch: pytest.MonkeyPatch) -> AppContext:
    monkeypatch.setattr(lookup, "app_context", lambda: scenes)
    return scenes


@pytest.mark.parametrize("command", ["tags import", "tags list", "tags export", "tags missing"])
def test_every_command_has_help_with_examples(command: str) -> None:
    told = run(*command.split(), "--help").stdout
    assert "Examples:\n" in told
    assert f"    python -m app {command}" in told


def test_tags_are_imported_and_exported(opened: AppContext, tmp_path: Path) -> None:
    table = tmp_path / "tags.csv"
    table.write_text("path,tags\nscene_001.png,sky;road;car\nscene_002.png,sky;boat\n")
    result = run("tags", "import", "scenes", table)
    assert result.stdout == "1 image tagged, 0 were already\n"
    assert "boat is not a class of the dataset; write one of sky, road, house, tree, car" in result.stderr
    assert run_json("tags", "import", "scenes", table)["unchanged"] == 1
    assert run_json("tags", "list", "scenes") == [
        {"path": "scene_001.png", "tags": ["sky", "road", "car"], "by": "an import"}
    ]
    assert len(run_json("tags", "list", "scenes", "--from-masks")) == 6
    assert run("tags", "export", "scenes", tmp_path / "out.csv").stdout.startswith("1 image in")
    assert (tmp_path / "out.csv").read_text().splitlines()[1] == "scene_001.png,sky;road;car,an import"
    assert "road" in run("tags", "list", "scenes").stdout


def test_contradictions_are_listed(opened: AppContext) -> None:
    agreeing = run("tags", "missing", "scenes")
    assert "agree" in agreeing.stderr
    assert agreeing.stdout == ""
    tags.tag(opened, 1, [SKY, ROAD, CAR], by="ada")
    told = run_json("tags", "missing", "scenes")
    assert {(one["class"], one["contradiction"]) for one in told} == {
        ("car", "missing"),
        ("house", "excluded"),
        ("tree", "excluded"),
    }
    assert "scene_000.png" in run("tags", "missing", "scenes").stdout


def test_a_table_of_unknown_images_fails(opened: AppContext, tmp_path: Path) -> None:
    table = tmp_path / "tags.csv"
    table.write_text("path,tags\nnowhere.png,sky\n")
    assert "no row of tags.csv was used" in run("tags", "import", "scenes", table, code=1).stderr
