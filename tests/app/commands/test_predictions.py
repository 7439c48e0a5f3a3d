"""Predictions for new images and kept networks, and predictions of rounds, exported and imported."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.commands import lookup
from app.services.app_context import AppContext
from app.services.rounds import predictions
from core.data.networks import kept_networks
from tests.app.commands.running import run, run_json
from tests.app.pairs import draw_pair
from tests.app.trained import import_folder, trained  # noqa: F401 a fixture


@pytest.fixture
def opened(trained: AppContext, monkeypatch: pytest.MonkeyPatch) -> AppContext:  # noqa: F811
    monkeypatch.setattr(lookup, "app_context", lambda: trained)
    return trained


@pytest.fixture
def new_scenes(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        draw_pair(tmp_path / "new", name, None)
    return tmp_path / "new" / "images"


@pytest.fixture
def one_digit(digits_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder with an image and a table."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.csv").touch()
    (tmp_path / "1.png").write_bytes((digits_folder / "3" / "000.png").read_bytes())


def test_kept_networks_are_listed_with_hash_and_size(opened: AppContext) -> None:
    told = run_json("models", "digits")
    shown = [(each["round"], each["network"], each["asked"]) for each in told]
    assert shown == [(1, "fold_0", True), (1, "fold_1", True)]
    assert [each["hash"] for each in told] == [one.hash for one in kept_networks(opened.round_folder(1))]
    assert all(Path(each["path"]).stat().st_size == each["bytes"] and each["accuracy"] > 0.1 for each in told)
    table = run("models", "stripes").stdout
    assert all(each["hash"] in table for each in run_json("models", "stripes"))


def test_predictions_of_new_images_are_written_as_an_importable_table(
    opened: AppContext, digits_folder: Path, tmp_path: Path
) -> None:
    target = tmp_path / "out.csv"
    sources = digits_folder / "3", digits_folder / "7" / "000.png"
    told = run_json("predict", "digits", *sources, "--to", target, "--above", "0.3")
    assert (told["round"], told["images"], told["left_out"]) == (1, 31, 0)
    assert len(told["networks"]) == 2
    assert sum(told["by_class"].values()) + told["unsure"] == 31
    rows = list(csv.DictReader(target.open()))
    assert len(rows) == 31
    assert sum(row["label"] == "" for row in rows) == told["unsure"]
    assert all((row["label"] == "") == (float(row["confidence"]) < 0.3) for row in rows)
    again = import_folder(opened, "again", target)
    shown = run_json("datasets", "show", str(again))
    assert shown["images"] == 31
    assert {name: count for name, count in shown["class_counts"].items() if count} == told["by_class"]


def test_predictions_of_new_images_are_written_as_importable_masks(
    opened: AppContext, new_scenes: Path, tmp_path: Path
) -> None:
    target = tmp_path / "masks"
    said = run("predict", "stripes", new_scenes, "--to", target, "--above", "0.4", "--confidence", "--device", "cpu")
    assert "2 images predicted by 2 networks of Round 1" in said.stdout
    mask, sure = (np.asarray(Image.open(target / name / "a.png")) for name in ("labels", "confidence"))
    assert mask.shape == sure.shape == np.asarray(Image.open(new_scenes / "a.png")).shape[:2]
    assert ((mask == 255) == (sure < 0.4 * 255)).mean() > 0.9
    again = import_folder(opened, "painted", target)
    shown = run_json("datasets", "show", str(again))
    assert (shown["images"], shown["masks"], shown["format"]) == (2, 2, "mask-pairs")
    colours = (target / "classes.csv").read_text()
    assert "sky,230,25,75" in colours
    among = ["predict", "stripes", new_scenes, "--to", target / "more", "--device", "cpu"]  # an import's originals now
    assert "lie within one another" in run(*among, code=1).stderr


def test_a_dry_run_only_checks(opened: AppContext, digits_folder: Path, tmp_path: Path) -> None:
    told = run_json("predict", "digits", digits_folder, "--to", tmp_path / "out.parquet", "--dry-run")
    assert (told["round"], told["images"], told["problems"]) == (1, 300, [])
    assert not list(tmp_path.glob("out*"))
    plan = run("predict", "digits", digits_folder, "--to", tmp_path / "out.parquet", "--dry-run").stdout
    assert "would ask 2 networks of round 1 about 300 images" in plan


def test_unusable_files_are_named_and_the_rest_is_predicted(
    opened: AppContext, digits_folder: Path, tmp_path: Path
) -> None:
    new = tmp_path / "new"
    new.mkdir()
    (new / "broken.png").write_bytes(b"no image")
    (new / "good.png").write_bytes((digits_folder / "3" / "000.png").read_bytes())
    told = run_json("predict", "digits", new, "--to", tmp_path / "out.csv")
    assert (told["images"], told["left_out"]) == (1, 1)
    assert [(one["path"], one["kind"]) for one in told["problems"]] == [("broken.png", "corrupt image")]
    (new / "good.png").unlink()
    failed = run("predict", "digits", new, "--to", tmp_path / "none.csv", code=1)
    assert "not one of these images can be read" in failed.stderr
    assert not (tmp_path / "none.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["nothing", ".", "--to", "out.csv"], "no dataset called nothing"),
        (["digits", "nowhere", "--to", "out.csv"], "no such file or folder"),
        (["digits", ".", "--to", "out.txt"], "something.csv or something.parquet"),
        (["digits", ".", "--to", "there.csv"], "exists already"),
        (["digits", ".", "--to", "out.csv", "--round", "7"], "round 7 keeps no networks"),
        (["digits", ".", "--to", "out.csv", "--device", "abacus"], "device 'abacus' cannot be used"),
    ],
)
def test_impossible_predictions_are_refused_with_the_cause(
    opened: AppContext, one_digit: None, arguments: list[str], why: str
) -> None:
    failed = run("predict", *arguments, code=1)
    assert failed.stderr.startswith("error: ")
    assert why in failed.stderr
    assert not Path("out.csv").exists()


def test_a_changed_network_is_named(opened: AppContext, digits_folder: Path, tmp_path: Path) -> None:
    path = opened.round_folder(1) / "fold_0.safetensors"
    whole = path.read_bytes()
    try:
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        failed = run("predict", "digits", digits_folder / "3", "--to", tmp_path / "out.csv", code=1)
        assert "fold_0.safetensors is not the network that was kept" in failed.stderr
    finally:
        path.write_bytes(whole)


def test_help_and_listings_do_not_load_torch() -> None:
    code = (
        "import sys, json\nfrom typer.testing import CliRunner\nfrom app.cli import app\n"
        "CliRunner().invoke(app, ['predict', '--help'])\n"
        "import app.services.rounds.networks, app.commands.predictions\n"
        "print(json.dumps('torch' in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) is False


def test_exported_probabilities_are_imported_as_a_round_with_the_same_findings(
    opened: AppContext, tmp_path: Path
) -> None:
    file = tmp_path / "pred.csv"
    assert run_json("export-predictions", "digits", file, "--round", "1")["images"] == 300
    own = {(one["path"], one["suggested"]) for one in run_json("findings", "digits", "--limit", "300", "--round", "1")}
    told = run_json("import-predictions", "digits", file, "--out-of-fold")
    assert told["round"]["recipe"] == "predictions"
    brought = run_json("findings", "digits", "--limit", "300", "--round", str(told["round"]["number"]))
    assert {(one["path"], one["suggested"]) for one in brought} == own


def test_an_export_reports_that_probabilities_of_unstored_classes_are_estimated(
    opened: AppContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "share evenly" not in run("export-predictions", "digits", tmp_path / "whole.csv", "--round", "1").stdout
    monkeypatch.setattr(predictions, "exports_likeliest", lambda *_: True)
    told = run("export-predictions", "digits", tmp_path / "likeliest.csv", "--round", "1").stdout
    assert "kept are the five likeliest classes" in told
    assert "share evenly" in told


def test_importing_predictions_requires_out_of_fold_or_seen(opened: AppContext, tmp_path: Path) -> None:
    file = tmp_path / "pred.npz"
    run("export-predictions", "digits", file)
    refused = run("import-predictions", "digits", file, code=1)
    assert "--out-of-fold or --seen" in refused.stderr


def test_issues_have_cleanlabs_columns(opened: AppContext, tmp_path: Path) -> None:
    run("export-predictions", "digits", tmp_path / "issues.csv", "--issues")
    with (tmp_path / "issues.csv").open(newline="") as file:
        assert sum(row["is_label_issue"] == "True" for row in csv.DictReader(file)) > 0
    again = run("export-predictions", "digits", tmp_path / "issues.csv", "--issues", code=1)
    assert "exists already" in again.stderr


@pytest.mark.parametrize("form", [(), ("--npz",)], ids=["PNGs", "npz"])
def test_predicted_masks_are_imported_as_a_round(opened: AppContext, tmp_path: Path, form: tuple[str, ...]) -> None:
    folder = tmp_path / "predicted"
    told = run("export-predictions", "stripes", folder, "--round", "1", *form)
    assert f"predictions of 12 images in {folder}" in told.stdout
    brought = run_json("import-predictions", "stripes", folder, "--out-of-fold")
    assert (brought["round"]["recipe"], brought["round"]["status"]) == ("predictions", "done")
