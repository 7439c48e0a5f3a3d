"""Gain of students of pseudo labels over 1,000 labels alone on CIFAR-10, without and with consistency.

    python bench/iterated_cifar.py cifar10_jpg.tar.xz [--folder DIR] [--json FILE] [--seeds 1] [--full]

T. Petrac's experiment (FER Zagreb, 2021) through `core.recipes.iterated`: of the 50,000 training images 1,000 are
labelled, drawn evenly from the classes by each seed; of the others nothing is known. He chose by the test images; here
1,000 further labels, drawn alike, are what is chosen by, and the test images are looked at once by the best network and
by the baseline. ResNet-18 with a stem for small images with `--full`, our small network and fewer images without. Two
ways, one table each: pseudo labels by thresholds alone (`plain`), and with FixMatch's weak and strong views beside the
real labels (`consistency`). Of each, with the spread over the seeds:

- `baseline`: test accuracy, learnt from the 1,000 labels alone in as many steps as a student learns pseudo labels.
- `best`: test accuracy of the best network by the validation images; `gain` is what it has over `baseline`.
- `iterations`: of each, on the validation images, the student's mean over the seeds.
- `seeds`: the single runs.

In the JSON file the figures of `plain` stand at the top, those of `consistency` below that name. With `--folder` a
killed run goes on where it was, and only what is newly done is timed.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench._data import data_parser, parse_with_data, unpack
from bench._iterated import figures_of, one_run, print_table
from core.config import SMALL_NETWORK, IteratedSettings, RoundConfig
from core.data.snapshot import Snapshot
from core.recipes.data import RecipeData
from core.types import NO_LABEL
from tools.fixtures.labels import balanced_draw

ARCHIVE = "cifar10_jpg.tar.xz"
NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
PER_CLASS = 100
WAYS = {"plain": False, "consistency": True}


def main() -> None:
    """Run the experiment both ways with each seed and print its tables."""
    arguments = parse_arguments()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="outfold-bench-") as scratch:
        folder = arguments.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        snapshot, train = read(unpack(arguments.data, Path(scratch), ARCHIVE), arguments)
        network = propose_settings(arguments)
        for way in WAYS if arguments.way == "both" else [arguments.way]:
            settings = IteratedSettings(iterations=arguments.iterations, consistency=WAYS[way], ratio=arguments.ratio)
            runs = []
            for seed in range(arguments.seeds):
                data, own = data_of(snapshot, train, seed), replace(network, seed=seed)
                many = len(data.unlabelled)
                print(f"{way}, seed {seed}: {len(data.labelled)} labels, {many} images without; {own}; {settings}")
                runs.append(one_run(data, own, settings, folder / f"{way}_{seed}", cache=folder / "images"))
            own_figures = figures_of(runs, network, settings)
            print_table("accuracy", own_figures)
            figures = own_figures if not figures else figures | {way: own_figures}
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))


def data_of(snapshot: Snapshot, train: int, seed: int) -> RecipeData:
    """Return the parts that the images play, with labels drawn by a seed."""
    labels = np.where(np.arange(len(snapshot)) < train, snapshot.labels, NO_LABEL)
    labelled = balanced_draw(labels, PER_CLASS, seed)
    labels[labelled] = NO_LABEL
    validation = balanced_draw(labels, PER_CLASS, seed)
    rest = np.setdiff1d(np.arange(train), np.concatenate([labelled, validation]))
    return RecipeData(
        snapshot=snapshot,
        labelled=labelled,
        unlabelled=rest,
        validation=validation,
        test=np.arange(train, len(snapshot)),
    )


def read(root: Path, arguments: argparse.Namespace) -> tuple[Snapshot, int]:
    """Return the snapshot of the training images followed by the test images, and how many the former are."""
    paths: list[str] = []
    labels: list[int] = []
    counts = {}
    for part, most in (("train", arguments.images), ("test", arguments.tests)):
        before = len(paths)
        for number, name in enumerate(NAMES):
            found = sorted((root / part / name).glob("*.jpg"))[: most // len(NAMES) if most else None]
            paths += map(str, found)
            labels += [number] * len(found)
        counts[part] = len(paths) - before
    count = len(paths)
    names = [str(Path(path).relative_to(root)) for path in paths]  # the same contents wherever it is unpacked
    snapshot = Snapshot(np.arange(count) + 1, paths, np.array(labels, np.int32), [""] * count, names, NAMES)
    return snapshot, counts["train"]


def propose_settings(arguments: argparse.Namespace) -> RoundConfig:
    """Return ResNet-18 with `--full`, else our small network."""
    if arguments.full:
        network = RoundConfig(model="resnet18", input_size=32, epochs=6, batch_size=128)
    else:
        network = RoundConfig(model=SMALL_NETWORK, input_size=32, epochs=4, batch_size=64)
    return replace(network, epochs=arguments.epochs or network.epochs, model=arguments.model or network.model)


def parse_arguments() -> argparse.Namespace:
    """Return the command line."""
    parser = data_parser(__doc__)
    parser.add_argument("--folder", type=Path, help="keep the runs here, and go on from what is there")
    parser.add_argument("--seeds", type=int, default=1, help="how many runs, each with a draw of its own")
    parser.add_argument("--full", action="store_true", help="ResNet-18 and all images, for a GPU")
    parser.add_argument("--way", choices=["both", *WAYS], default="both")
    parser.add_argument("--iterations", type=int, default=0, help="3 with --full, else 2")
    parser.add_argument("--ratio", type=int, default=0, help="unlabelled images for each labelled one, of consistency")
    parser.add_argument("--epochs", type=int, default=0, help="of each network, instead of the usual number")
    parser.add_argument("--model", default="", help="the network, instead of the usual one")
    parser.add_argument("--images", type=int, default=0, help="training images; 0: all with --full, else 4,000")
    parser.add_argument("--tests", type=int, default=0, help="test images; 0: all with --full, else 2,000")
    arguments = parse_with_data(parser)
    small = {"iterations": 2, "ratio": 1, "images": 4_000, "tests": 2_000}
    usual = {"iterations": 3, "ratio": 3, "images": 0, "tests": 0} if arguments.full else small
    for name, value in usual.items():
        setattr(arguments, name, getattr(arguments, name) or value)
    return arguments


if __name__ == "__main__":
    main()
