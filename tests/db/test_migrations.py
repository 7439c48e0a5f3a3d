"""The schema's way from one release to the next: nothing stored is lost, and a kill in its midst costs nothing."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command

from db.engine import alembic_config, migrate

RELEASED = "0004"
NOW = "2026-01-01 00:00:00"
STORED = {
    "annotator": {"id": 1, "name": "ana", "created_at": NOW},
    "dataset": {
        "id": 1, "name": "pets", "task": "classification", "root": "/p", "format": "f", "classes": '["a", "b"]',
        "options": "{}", "created_at": NOW,
    },
    "sample": {
        "id": 1, "dataset_id": 1, "path": "/p/1", "name": "1", "label": 0, "split": "", "group": "",
        "content_hash": "c", "width": 1, "height": 1, "bytes": 1, "grey": 1, "imported_at": NOW,
    },
    "round": {
        "id": 1, "dataset_id": 1, "number": 1, "config": "{}", "status": "done", "stage": "", "message": "",
        "created_by": "", "created_at": NOW,
    },
    "finding": {
        "id": 1, "round_id": 1, "sample_id": 1, "row": 0, "rank": 0, "kind": 1, "given": 0, "pseudo": 1,
        "confidence": 0.5, "percent": 50, "self_confidence": 0.5, "margin": 0, "fold": 0, "split": "", "top": "[]",
        "status": 2, "decision_id": 1,
    },
    "changeset": {
        "id": 1, "dataset_id": 1, "round_id": 1, "annotator_id": 1, "act": "verdict", "live": 1, "size": 1,
        "note": "{}", "decided_at": NOW,
    },
    "decision": {"id": 1, "changeset_id": 1, "sample_id": 1, "finding_id": 1, "verdict": "keep", "label": 0},
}  # fmt: skip
KILLED = """
import os, sys
from sqlalchemy import Engine, event
from db.engine import migrate

@event.listens_for(Engine, "before_cursor_execute")
def die(_connection, _cursor, statement, *_more):
    if statement.strip().startswith(sys.argv[2]):
        os._exit(9)

migrate(sys.argv[1])
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a database as the release before left it, with a verdict in it."""
    made = tmp_path / "outfold.sqlite"
    command.upgrade(alembic_config(url_of(made)), RELEASED)
    with sqlite3.connect(made) as connection:
        for table, row in STORED.items():
            names = ", ".join(f'"{name}"' for name in row)
            places = ", ".join("?" * len(row))
            connection.execute(f"INSERT INTO {table} ({names}) VALUES ({places})", tuple(row.values()))
    connection.close()
    return made


def url_of(path: Path) -> str:
    return f"sqlite:///{path}"


def stored(path: Path) -> dict[str, list[dict[str, object]]]:
    """Return what stands in the columns that were there before; nothing must refer to what is gone."""
    with sqlite3.connect(path) as connection:
        connection.row_factory = sqlite3.Row
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        found = {
            table: [{name: one[name] for name in row} for one in connection.execute(f"SELECT * FROM {table}")]
            for table, row in STORED.items()
        }
    connection.close()
    return found


EVERYTHING = {table: [row] for table, row in STORED.items()}


def test_stored_rows_survive_upgrade_and_downgrade(path: Path) -> None:
    migrate(url_of(path))
    assert stored(path) == EVERYTHING
    command.downgrade(alembic_config(url_of(path)), RELEASED)
    assert stored(path) == EVERYTHING
    migrate(url_of(path))
    assert stored(path) == EVERYTHING


def test_downgrading_below_removal_restores_removed_images_with_their_verdicts(path: Path) -> None:
    migrate(url_of(path))
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE sample SET removed_by = 1")
        connection.execute("UPDATE finding SET status = 9")
        connection.execute("INSERT INTO finding_count VALUES (1, 1, 1, 9, '', 0, 1, 50, 1)")
        connection.execute(
            "INSERT INTO deletion (id, kind, dataset_id, name, held, deleted_by, deleted_at) "
            f"VALUES (1, 'images', 1, 'pets, given a', '{{}}', 'ana', '{NOW}')"
        )
    connection.close()
    command.downgrade(alembic_config(url_of(path)), "0013")
    assert stored(path) == EVERYTHING
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT status, count FROM finding_count WHERE count > 0").fetchall() == [(2, 1)]
        assert connection.execute("SELECT count(*) FROM deletion").fetchone() == (0,)
    connection.close()


@pytest.mark.parametrize(
    "moment", ["CREATE TABLE tagging", "DROP TABLE decision", "ALTER TABLE _alembic_tmp_", "UPDATE alembic_version"]
)
def test_a_migration_killed_midway_keeps_the_data_and_continues_at_the_next_start(path: Path, moment: str) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, url_of(path), moment], check=False)
    assert killed.returncode == 9
    assert stored(path) == EVERYTHING
    migrate(url_of(path))
    assert stored(path) == EVERYTHING
    command.check(alembic_config(url_of(path)))


def test_the_later_of_two_concurrent_migrations_finds_nothing_to_do(path: Path) -> None:
    script = f"from db.engine import migrate; migrate({url_of(path)!r})"
    started = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(3)]
    assert [process.wait(60) for process in started] == [0, 0, 0]
    assert stored(path) == EVERYTHING
