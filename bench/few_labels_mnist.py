"""Gain of pseudo labels over 100 labels alone, of 12,000 digits of MNIST.

    python bench/few_labels_mnist.py mnist_png.tar.gz [--folder DIR] [--json FILE] [--seeds 3] [--votes]

Training images with a number that five divides are taken, about 12,000. Of these each seed draws 100 labels (10 of each
digit) to learn, and 200 (20 of each) by which networks are chosen; of the others nothing is known. The 10,000 test
images are looked at once by each row's network. All networks see as many images. Test accuracy, with the spread:

- `labels_only`: the 100 labels alone, with the weak views that a round of labels has.
- `labels_only_strong`: the same with strong views (`core.learn.augment.strong_labels`); the baseline of all ways.
- `iterated`: the best network of `core.recipes.iterated` by the 200 further labels, which may be the baseline's.
- `consistency`: the same, where the unlabelled images teach by weak and strong views.
- `both`: the same, with students of the pseudo labels of the network with consistency.
- `votes`, if asked for: as one iteration, but networks of five folds of the labels together label for the student.
- `growing`, `growing_7`, if asked for: as `consistency`, but the unlabelled images of a batch grow over the run, to
  three and to seven for each label, in as many images.
- `ceiling`: the labels of all 12,000 images, with strong views.

Of each seed `mirror` says what the further labels decided about mirrored images, `trained` how many steps and
unlabelled views each network had, `cpu` the CPU seconds of each way after its first networks. `closed_*` is the share
of the gap between `labels_only_strong` and `ceiling` that a way closes; `least_gain` the smallest gain over
`labels_only_strong` of all seeds and ways that are always run; `chosen` the network of each way. All ways have the
first network of `labels_only_strong`, and `both` the one of `consistency`, so each is trained once.

With `--folder` a killed run goes on where it was, and only what is newly done is timed. Seeds run side by side, one
process for each core.
"""

import argparse
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench._data import data_parser, parse_with_data, unpack
from bench._iterated import mean_and_spread
from core.config import SMALL_NETWORK, IteratedSettings, RoundConfig
from core.data.arrays import decode_squares
from core.data.snapshot import Snapshot
from core.learn.crossfold import FoldCallbacks
from core.recipes.data import RecipeData
from core.recipes.folder import run_stage
from core.recipes.iterated.recipe import IteratedResult, open_context, run_iterated
from core.recipes.iterated.stages import TrainingRun, learn, score_network
from core.rounds import versions
from core.types import NO_LABEL
from tools.fixtures.labels import balanced_draw

ARCHIVE = "mnist_png.tar.gz"
DIGITS = [str(digit) for digit in range(10)]
EVERY = 5  # training images, of 60,000
LABELS, CHOSEN_BY = 10, 20  # of each digit
NETWORK = RoundConfig(model=SMALL_NETWORK, input_size=28, grey=True, epochs=3, batch_size=64, device="cpu")
WAYS = {
    "iterated": IteratedSettings(iterations=3, share=0.8, last_share=0.95),
    "consistency": IteratedSettings(iterations=0, consistency=True),
    "both": IteratedSettings(iterations=1, consistency=True, share=0.9),
    "votes": IteratedSettings(iterations=1, votes=5, share=0.9),
    "growing": IteratedSettings(iterations=0, consistency=True, growing=True),
    "growing_7": IteratedSettings(iterations=0, consistency=True, growing=True, ratio=7),
}
_OPTIONAL_WAYS = {"votes": ["votes"], "growing": ["growing", "growing_7"]}  # ways by their option
_BEGINS_AS = {  # its first networks are there
    "both": "consistency",
    "votes": "iterated",
    "consistency": "iterated",
    "growing": "iterated",
    "growing_7": "iterated",
}


def main() -> None:
    """Run all rows with each seed and print their table."""
    arguments = parse_arguments()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="outfold-bench-") as scratch:
        folder = arguments.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        snapshot, train = read(unpack(arguments.data, Path(scratch), ARCHIVE, is_taken), arguments.tests)
        decode_squares(  # once for all processes
            snapshot.paths,
            snapshot.seen_hashes,
            size=NETWORK.input_size,
            grey=NETWORK.grey,
            cache=folder / "images",
            report=lambda *_: None,
            should_stop=lambda: False,
        )
        print(f"{len(snapshot):,} images read in {time.perf_counter() - started:.0f} s")
        spawned = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(arguments.processes, mp_context=spawned) as pool:
            left_out = [way for name, own in _OPTIONAL_WAYS.items() if not getattr(arguments, name) for way in own]
            ways = [way for way in WAYS if way not in left_out]
            waiting = [pool.submit(one_seed, snapshot, train, folder, seed, ways) for seed in range(arguments.seeds)]
            seeds = [one.result() for one in waiting]
    figures: dict[str, Any] = {"versions": versions(NETWORK.device), "config": NETWORK.to_json(), "seeds": seeds}
    figures["settings"] = {way: WAYS[way].to_json() for way in ways}
    figures |= mean_and_spread(seeds, rows_of(ways)) | {"seconds": time.perf_counter() - started}
    weak, strong = (np.array([one[name] for one in seeds]) for name in ("labels_only", "labels_only_strong"))
    gains = {way: np.array([one[way] for one in seeds]) - strong for way in ways}
    optional = [way for own in _OPTIONAL_WAYS.values() for way in own]
    gap = figures["ceiling"] - figures["labels_only_strong"]
    figures |= {f"gain_{way}": float(gain.mean()) for way, gain in gains.items()}
    figures |= {f"closed_{way}": float(gain.mean() / gap) for way, gain in gains.items()}
    figures |= {
        "least_gain": float(min(gains[way].min() for way in ways if way not in optional)),
        "gain_of_views": float((strong - weak).mean()),
    }
    print_rows(figures, ways)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))


def one_seed(snapshot: Snapshot, train: int, folder: Path, seed: int, ways: list[str]) -> dict[str, Any]:
    """Return the test accuracy of each row, with the CPU seconds of all."""
    started = time.process_time()
    data, network = data_of(snapshot, train, seed), replace(NETWORK, seed=seed)
    place, cache = folder / f"seed_{seed}", folder / "images"
    figures: dict[str, Any] = {"seed": seed, "chosen": {}, "curves": {}, "mirror": {}, "trained": {}, "cpu": {}}
    for way in ways:
        settings, own = WAYS[way], place / way
        own.mkdir(parents=True, exist_ok=True)
        if way in _BEGINS_AS:
            share_networks(place / _BEGINS_AS[way], own)
        begun = time.process_time()
        result = run_iterated(data, network, settings, own, image_cache=cache, report=lambda _: None)
        figures["cpu"][way] = time.process_time() - begun
        if result.test is None or result.baseline_test is None:
            raise RuntimeError("the bench was run without test images")
        figures[way], figures["labels_only_strong"] = result.test.value, result.baseline_test.value
        figures["chosen"][way] = result.best
        figures["curves"][way] = curve_of(result)
        figures["mirror"][way], figures["trained"][way] = result.mirror, result.trained
    for name, strong in {"labels_only": False, "ceiling": True}.items():
        rows = data.labelled if name == "labels_only" else np.append(data.labelled, data.unlabelled)
        own = place / name
        callbacks = FoldCallbacks(lambda _: None, lambda: False)
        own.mkdir(exist_ok=True)
        context = open_context(
            data, network, IteratedSettings(), own, image_cache=cache, masks=None, further=0, callbacks=callbacks
        )
        run = TrainingRun(name=name, stage=0, taught=context.labelling.known(rows), strong=strong)
        run_stage(own, name, partial(learn, context, run))
        figures[name] = score_network(context, name, data.test, stage=0).value
    figures["cpu_seconds"] = time.process_time() - started
    print(f"seed {seed}: " + ", ".join(f"{name} {figures[name]:.4f}" for name in rows_of(ways)), flush=True)
    return figures


def share_networks(begun: Path, folder: Path) -> None:
    """Copy the first networks of one way, which are the same in the other, into its folder."""
    for path in (*begun.glob("baseline.*"), *begun.glob("mirror*.*"), *begun.glob("teacher.*")):
        if not (folder / path.name).exists():
            shutil.copy2(path, folder)


def curve_of(result: IteratedResult) -> dict[str, Any]:
    """Return the accuracies on the further labels: of the first networks, and of each student."""
    return {
        "baseline": result.baseline.value,
        "teacher": None if result.teacher is None else result.teacher.value,
        "students": [one.student.value for one in result.iterations],
        "taken": [round(sum(one.taken) / max(1, sum(one.predicted)), 3) for one in result.iterations],
    }


def data_of(snapshot: Snapshot, train: int, seed: int) -> RecipeData:
    """Return the parts that the images play, drawn by a seed."""
    labels = np.where(np.arange(len(snapshot)) < train, snapshot.labels, NO_LABEL)
    labelled = balanced_draw(labels, LABELS, seed)
    labels[labelled] = NO_LABEL
    validation = balanced_draw(labels, CHOSEN_BY, seed)
    return RecipeData(
        snapshot=snapshot,
        labelled=labelled,
        unlabelled=np.setdiff1d(np.arange(train), np.append(labelled, validation)),
        validation=validation,
        test=np.arange(train, len(snapshot)),
    )


def is_taken(path: Path) -> bool:
    """Return True for the test images, and for training images with a number that `EVERY` divides."""
    return path.suffix == ".png" and ("testing" in path.parts or int(path.stem) % EVERY == 0)


def read(root: Path, tests: int) -> tuple[Snapshot, int]:
    """Return the snapshot of the training images followed by the test images, and how many the former are."""
    paths: list[Path] = []
    counts = {}
    for part, most in (("training", None), ("testing", tests // len(DIGITS) or None)):
        before = len(paths)
        for digit in DIGITS:
            paths += [path for path in sorted((root / part / digit).glob("*.png")) if is_taken(path)][:most]
        counts[part] = len(paths) - before
    count = len(paths)
    labels = np.array([int(path.parent.name) for path in paths], np.int32)
    names = [str(path.relative_to(root)) for path in paths]  # the same contents wherever it is unpacked
    snapshot = Snapshot(np.arange(count) + 1, [str(path) for path in paths], labels, [""] * count, names, DIGITS)
    return snapshot, counts["training"]


def rows_of(ways: list[str]) -> list[str]:
    """Return the names of the rows of the table."""
    return ["labels_only", "labels_only_strong", *ways, "ceiling"]


def print_rows(figures: dict[str, Any], ways: list[str]) -> None:
    """Print the means with their spread, and the single seeds."""
    seeds = figures["seeds"]
    print(f"{'test accuracy':<20} {'mean':>7} {'spread':>7}   of {len(seeds)} seeds")
    for name in rows_of(ways):
        spread = figures[f"{name}_spread"]
        shown = "" if spread is None else f"{spread:7.4f}"
        print(f"{name:<20} {figures[name]:7.4f} {shown:>7}   {' '.join(f'{one[name]:.4f}' for one in seeds)}")
    for one in seeds:
        print(f"seed {one['seed']}: CPU seconds " + ", ".join(f"{way} {one['cpu'][way]:.0f}" for way in ways))
    decided = [choice for one in seeds for choice in one["mirror"].values() if choice]
    print(f"mirrored in {sum(choice['mirror'] for choice in decided)} of {len(decided)} runs that decided it")
    for way in ways:
        print(f"{way:<20} gain {figures[f'gain_{way}']:+.4f}, {figures[f'closed_{way}']:.0%} of the gap closed")
    print(f"least gain of a seed {figures['least_gain']:+.4f}; strong views alone {figures['gain_of_views']:+.4f}")
    print(f"{figures['seconds']:.0f} s, {sum(one['cpu_seconds'] for one in seeds):.0f} s of CPU time for the networks")


def parse_arguments() -> argparse.Namespace:
    """Return the command line."""
    parser = data_parser(__doc__)
    parser.add_argument("--folder", type=Path, help="keep the runs here, and go on from what is there")
    parser.add_argument("--seeds", type=int, default=3, help="how many runs, each with a draw of its own")
    parser.add_argument("--votes", action="store_true", help="also by votes of five folds of the labels")
    parser.add_argument("--growing", action="store_true", help="also consistency whose unlabelled part grows")
    parser.add_argument("--processes", type=int, default=min(4, os.cpu_count() or 1), help="seeds side by side")
    parser.add_argument("--tests", type=int, default=0, help="test images, instead of all")
    return parse_with_data(parser)


if __name__ == "__main__":
    main()
