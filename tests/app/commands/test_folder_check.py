"""`check` on a small folder, by the real command; then what it hands to the app, in this process."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image, ImageDraw

from app.commands import folder_check, lookup
from app.services import datasets, reviews
from app.services.app_context import AppContext, open_app
from app.services.rounds import jobs as rounds
from app.settings import Settings, settings
from core.types import FindingFilter, JobStatus, Order
from tests.app.commands.running import run

ROOT = Path(__file__).parents[3]
RING, CROSS = "<b>ring</b>", 'cross"s'
WRONG = (f"train/{RING}/wrong.png", f"train/{CROSS}/wrong.png")


def draw(kind: str, rng: np.random.Generator) -> Image.Image:
    image = Image.fromarray(rng.integers(90, 166, (72, 72, 3), dtype=np.uint8))
    canvas, (x, y), size = ImageDraw.Draw(image), rng.integers(8, 28, 2), int(rng.integers(24, 36))
    colour = tuple(rng.integers(170, 256, 3).tolist())
    if kind == RING:
        canvas.ellipse((x, y, x + size, y + size), outline=colour, width=6)
    else:
        canvas.line((x, y, x + size, y + size), fill=colour, width=6)
        canvas.line((x, y + size, x + size, y), fill=colour, width=6)
    return image


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of two classes and splits with everything wrong that a check looks for."""
    root, rng = tmp_path_factory.mktemp("source") / "my <i>photos</i>", np.random.default_rng(0)
    for split, count in (("train", 30), ("test", 10)):
        for kind in (RING, CROSS):
            # A slash cannot stand in a folder's name, so the class is written with another sign.
            place = root / split / kind.replace("/", "\u2215")
            place.mkdir(parents=True)
            for number in range(count):
                draw(kind, rng).save(place / f"{number:02}.png")
    train, test = root / "train", root / "test"
    ring, cross = RING.replace("/", "\u2215"), CROSS
    draw(CROSS, rng).save(train / ring / "wrong.png")
    draw(RING, rng).save(train / cross / "wrong.png")
    Image.new("RGB", (72, 72)).save(train / ring / "black.png")
    (test / ring / "copy.png").write_bytes((train / ring / "03.png").read_bytes())
    (train / cross / "twin.png").write_bytes((train / ring / "04.png").read_bytes())
    (train / cross / "half.png").write_bytes((train / cross / "05.png").read_bytes()[:700])
    return root


class Checked(NamedTuple):
    """Output and files of the command."""

    stdout: str
    stderr: str
    report: str
    told: dict[str, Any]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home") / "home"


@pytest.fixture(scope="module")
def checked(folder: Path, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Checked:
    place = tmp_path_factory.mktemp("place")
    command = [sys.executable, "-m", "app", "check", str(folder), "--to", "report.html", "--json", "found.json"]
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    done = subprocess.run(
        command,
        cwd=place,
        env=os.environ | {"OUTFOLD_HOME": str(home), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    report = (place / "report.html").read_text(encoding="utf-8")
    return Checked(done.stdout, done.stderr, report, json.loads((place / "found.json").read_text(encoding="utf-8")))


def test_checking_a_folder_writes_a_report_and_no_database(checked: Checked, home: Path) -> None:
    assert "unknown, until people judge a random sample" in checked.stdout
    assert "report.html" in checked.stdout
    assert [path.name for path in home.iterdir()] == ["files"]
    assert sorted(path.name for path in (home / "files").iterdir()) == ["images"]


def test_problems_of_the_folder_are_found(checked: Checked) -> None:
    told = checked.told
    assert (told["images"], len(told["classes"])) == (85, 2)
    worst = [one["path"].rpartition("/")[2] for one in told["suspects"][:6]]
    assert "wrong.png" in worst
    assert told["precision"] == "unknown"
    leaks = [[name.rpartition("/")[2] for name in group["rows"]] for group in told["leaks"]]
    assert sorted(map(sorted, leaks)) == [["03.png", "copy.png"]]
    twins = next(group for group in told["near_duplicates"] if group["contradicting"])
    assert {name.rpartition("/")[2] for name in twins["rows"]} == {"04.png", "twin.png"}
    assert [(one["path"].rpartition("/")[2], one["kind"]) for one in told["without_content"]] == [
        ("black.png", "black")
    ]
    assert [
        (one["path"].rpartition("/")[2], one["kind"]) for one in told["problems"] if one["severity"] == "error"
    ] == [("half.png", "truncated image")]
    assert set(told["seconds"]) > {"reading images", "embedding images"}


def test_a_damaged_image_is_named_with_its_cure(checked: Checked) -> None:
    assert "half.png" in checked.stdout
    assert "copy it again from its source" in checked.stdout
    assert "copy it again from its source" in checked.report


class Links(HTMLParser):
    """Every tag, and everything that a browser would load or follow."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in {"src", "href", "srcset", "data", "action"}]
        assert not any(name.startswith("on") for name, _ in attrs)


def test_the_report_is_self_contained(checked: Checked) -> None:
    parsed = Links()
    parsed.feed(checked.report)
    assert all(link.startswith(("data:image/", "#")) for link in parsed.links)
    assert not parsed.tags & {"script", "iframe", "object", "embed", "base", "form", "i"}
    assert "default-src 'none'" in checked.report
    assert not re.search(r"url\(|@import|https?://", checked.report)
    assert checked.report.count("data:image/webp") >= 8


def test_foreign_names_are_escaped_in_html(checked: Checked) -> None:
    assert "my &lt;i&gt;photos" in checked.report
    assert "<i>" not in checked.report
    assert "&lt;b&gt;ring" in checked.report
    assert "cross&#34;s" in checked.report


def test_a_report_is_written_neither_among_the_images_nor_over_other_files(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    among = run("check", folder, "--to", folder / "report.html", code=1)
    assert "lies among the images" in among.stderr
    (tmp_path / "mine.html").write_text("mine")
    over = run("check", folder, "--to", "mine.html", code=1)
    assert "is not a report of a check" in over.stderr
    assert (tmp_path / "mine.html").read_text() == "mine"
    assert "there is no format x" in run("check", folder, "--format", "x", code=1).stderr
    assert "no such file or folder" in run("check", tmp_path / "none", code=1).stderr


@pytest.fixture
def here(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Work in an empty folder with the home whose cache the first check filled."""
    chosen = Settings(home=home, demo=False, embedded_worker=False)
    monkeypatch.setattr("app.settings.settings", lambda: chosen)
    monkeypatch.setattr(lookup, "settings", lambda: chosen)
    settings.cache_clear()
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    settings.cache_clear()


def test_the_app_starts_with_the_same_findings(
    checked: Checked, folder: Path, here: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[str] = []
    monkeypatch.setattr(folder_check, "_serve", lambda address, _port: served.append(address))
    run("check", folder, "--open", "--name", "photos")
    opened = open_app(Settings(home=home, demo=False, embedded_worker=False))
    try:
        info = datasets.find_dataset(opened, "photos")
        assert info is not None
        done = rounds.list_rounds(opened, info.id)
        assert [one.status for one in done] == [JobStatus.DONE]
        assert served == [f"http://localhost:8501/review?round={done[0].id}"]
        assert shown(opened, done[0].id) == [(one["path"], one["suggested"]) for one in checked.told["suspects"]]
        assert len(
            reviews.history(opened, reviews.page(opened, FindingFilter(round_id=done[0].id)).items[0].id).neighbours
        )
    finally:
        opened.database.close()


def shown(opened: AppContext, round_id: int) -> list[tuple[str, str]]:
    classes = reviews.view_round(opened, round_id).round.classes
    items = reviews.page(opened, FindingFilter(round_id=round_id), Order.SUSPICION, limit=200).items
    return [(one.name, classes[one.pseudo]) for one in items]


def test_unlabelled_images_are_checked_except_for_labels(folder: Path, here: Path) -> None:
    flat = here / "flat"
    flat.mkdir()
    for number, path in enumerate(sorted(folder.rglob("0*.png"))):
        (flat / f"{number}.png").write_bytes(path.read_bytes())
    (flat / "again.png").write_bytes((flat / "3.png").read_bytes())
    told = run("check", flat, "--json", "found.json").stdout
    assert "no labels of two classes" in told
    found = json.loads((here / "found.json").read_text())
    assert found["suspects"] == []
    assert [sorted(group["rows"]) for group in found["near_duplicates"]] == [["3.png", "again.png"]]
    assert "not judged" in (here / "check-flat.html").read_text()
