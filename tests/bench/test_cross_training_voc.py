"""Dry run of the benchmark of the published setting, on drawn images in VOC's layout."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
BENCH = ROOT / "bench" / "cross_training_voc.py"
LISTS = {"2/labeled": range(2), "2/unlabeled": range(2, 8), "val": range(8, 11)}
SHORT = "--masks 2 --model small_unet --weights none --steps 2 --retraining 2 --batch 4 --size 48 --crop 32"


def drawn(root: Path) -> Path:
    """Draw eleven images with the background, an aeroplane or a boat and its border, and the lists that name them."""
    base, rng = root / "VOCdevkit" / "VOC2012", np.random.default_rng(0)
    for folder in ("JPEGImages", "SegmentationClass"):
        (base / folder).mkdir(parents=True)
    for number in range(11):
        mask = np.zeros((36, 48), np.uint8)
        mask[8:28, 8:30], mask[10:26, 10:28] = 255, 1 + 3 * (number % 2)
        pixels = rng.integers(0, 60, (36, 48, 3)) + np.where(mask == 0, 120, 20 * (mask % 5))[:, :, None]
        Image.fromarray(pixels.astype(np.uint8)).save(base / f"JPEGImages/2007_{number:06}.jpg")
        Image.fromarray(mask).save(base / f"SegmentationClass/2007_{number:06}.png")
    for name, numbers in LISTS.items():
        path = root / "voc_splits_pascal" / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [f"JPEGImages/2007_{n:06}.jpg SegmentationClass/2007_{n:06}.png\n" for n in numbers]
        path.write_text("".join(lines))
    return root


def bench(root: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, BENCH, root, "--folder", root / "runs", *SHORT.split(), *arguments]
    told = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=ROOT, env=told, capture_output=True, text=True, check=False, timeout=280)


@pytest.mark.slow
def test_a_short_run_prints_its_table_and_can_be_resumed(tmp_path: Path) -> None:
    root, figures = drawn(tmp_path), tmp_path / "figures.json"
    done = bench(root, "--json", figures)
    assert done.returncode == 0, done.stderr
    first = json.loads(figures.read_text())["masks"]["2"]
    assert all(0 <= first[name] <= 1 for name in ("labels_only", "hybrid", "pseudo", "retrained"))
    assert "2 masks, 6 images with tags, 3 to test on" in done.stdout
    row = done.stdout.splitlines()[-1].split()
    assert row[:2] == ["2", f"{100 * first['labels_only']:.1f}"]
    assert row[2:5] == [f"{100 * first['hybrid']:.1f}", "/", "-"]  # nothing is published for two masks
    written = {path: path.stat().st_mtime_ns for path in (root / "runs" / "masks_2").rglob("*.safetensors")}
    (root / "runs" / "masks_2" / "retrained.json").unlink()  # as if killed in stage 2
    again = bench(root, "--json", figures)
    assert again.returncode == 0, again.stderr
    second = json.loads(figures.read_text())["masks"]["2"]
    assert [second[name] for name in ("labels_only", "hybrid", "retrained")] == [
        first[name] for name in ("labels_only", "hybrid", "retrained")
    ]
    changed = {path.stem for path, before in written.items() if path.stat().st_mtime_ns != before}
    assert changed == {"retrained"}


def test_missing_files_and_masks_without_a_palette_are_named_with_a_cure(tmp_path: Path) -> None:
    root = drawn(tmp_path)
    masks = root / "VOCdevkit" / "VOC2012" / "SegmentationClass"
    Image.fromarray(np.full((36, 48), 77, np.uint8)).save(masks / "2007_000001.png")
    refused = bench(root)
    assert refused.returncode == 1
    assert "2007_000001.png holds other values than 0 to 20 and 255; use the palette masks" in refused.stderr
    (masks / "2007_000001.png").unlink()
    refused = bench(root)
    assert "2007_000001.png is missing, but listed as labelled; put the masks of SBD into" in refused.stderr
