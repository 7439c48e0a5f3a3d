"""Gain of cross training with few masks and many tags over the masks alone, on CamVid.

    python bench/cross_training_camvid.py camvid.tar [--folder DIR] [--json FILE] [--seeds 3] [--full]

Of CamVid's 367 training images an eighth, drawn anew by each seed, keep their masks; of the others only which classes
they show. All of it runs through `core.recipes.cross_training`. Mean intersection over union on the 233 test images,
each as the mean over the seeds with their spread:

- `baseline`: learnt from the few masks alone in as many steps as `retrained`, seen without tags.
- `hybrid`, `pseudo`: the two networks of stage 1 under the test images' tags.
- `retrained`: stage 2, from given and painted masks, seen without tags; `gain` is what it has over `baseline`.
- `seeds`: the single runs, with `baseline_tagged` and `retrained_tagged` too: tags alone help any network.

With `--folder` a killed run goes on where it was, and only what is newly done is timed. The default is small, for two
cores; `--full` wants a GPU, and is cut short with `--steps` (of stage 1) and `--epochs` (of stage 2 and the baseline).
"""

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench._camvid import data_of, stored_splits
from bench._data import data_parser, parse_with_data, unpack
from bench.planted_masks import ARCHIVE, EpochPrinter
from core.config import ADAMW, DEEPLAB, SGD, SMALL_MASK_NETWORK, CrossTrainingSettings, RoundConfig, Weights
from core.recipes.cross_training.recipe import CrossTrainingConfig, CrossTrainingResult, run_cross_training
from core.recipes.data import RecipeData
from core.rounds import versions

MEASURED = ("baseline", "hybrid", "pseudo", "retrained")


def main() -> None:
    """Run the experiment with each seed and print its table."""
    arguments = parse_arguments()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    with tempfile.TemporaryDirectory(prefix="outfold-bench-") as scratch:
        folder = arguments.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        wanted = {"train": arguments.images, "val": arguments.tests, "test": arguments.tests}
        snapshot, parts = stored_splits(unpack(arguments.data, Path(scratch), ARCHIVE), folder / "given", wanted)
        config = propose_settings(arguments, len(parts["train"]))
        seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
        runs = [one_run(data_of(snapshot, parts, seed), config, seed, folder) for seed in seeds]
    figures: dict[str, Any] = {"versions": versions(), "config": config.to_json(), "seeds": runs}
    print(f"{'test mIoU':<12} {'mean':>7} {'spread':>7}   of {len(runs)} seeds")
    for name in (*MEASURED, "gain"):
        values = np.array([run[name] for run in runs])
        figures[name] = float(values.mean())
        figures[f"{name}_spread"] = float(values.std(ddof=1)) if len(runs) > 1 else None
        spread = "" if len(runs) == 1 else f"{values.std(ddof=1):7.3f}"
        print(f"{name:<12} {values.mean():7.3f} {spread:>7}   {' '.join(f'{value:.3f}' for value in values)}")
    figures |= {name: sum(run[name] for run in runs) for name in ("seconds", "cpu_seconds")}
    print(f"{figures['seconds']:.0f} s, of them {figures['cpu_seconds']:.0f} s of CPU time")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))


def one_run(data: RecipeData, config: CrossTrainingConfig, seed: int, folder: Path) -> dict[str, Any]:
    """Return the figures of one seed; a finished part is only read, and takes no time."""
    own = replace(config, network=replace(config.network, seed=seed))
    few, many = len(data.labelled), len(data.unlabelled)
    print(f"seed {seed}: {few} masks, {many} images with tags, {len(data.test)} to test on; {own}")
    started, cpu = time.perf_counter(), time.process_time()
    result = run_cross_training(
        data, own, folder / f"seed_{seed}", image_cache=folder / "images", masks=folder / "given", report=EpochPrinter()
    )
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
    return figures_of(result) | {"seed": seed, "seconds": seconds, "cpu_seconds": cpu_seconds}


def figures_of(result: CrossTrainingResult) -> dict[str, Any]:
    """Return the mean IoUs of one run."""
    if result.baseline is None:
        raise RuntimeError("the bench was run without its baseline")
    scores = {
        name: getattr(result, name).mean_iou or 0.0 for name in (*MEASURED, "baseline_tagged", "retrained_tagged")
    }
    return scores | {
        "gain": scores["retrained"] - scores["baseline"],
        "painter": result.painter,
        "trust": [means[-1] for means in result.history],
    }


def propose_settings(arguments: argparse.Namespace, train: int) -> CrossTrainingConfig:
    """Return the published recipe with `--full`, else one for two cores."""
    if arguments.full:
        network = RoundConfig(
            model=f"{DEEPLAB}resnet50",
            input_size=480,
            crop=384,
            epochs=-(-30_000 * 10 // train),
            batch_size=10,
            scales=(0.5, 0.75, 1.0, 1.25, 1.5),
            flip=True,
        )
        config = CrossTrainingConfig(network=network)
    else:
        network = RoundConfig(model=SMALL_MASK_NETWORK, input_size=160, epochs=12, batch_size=8, flip=True)
        settings = CrossTrainingSettings(steps=640, batch_size=8, block=80)
        config = CrossTrainingConfig(network=network, settings=settings)
    network = replace(config.network, epochs=arguments.epochs or config.network.epochs)
    network = replace(network, input_size=arguments.size or network.input_size, model=arguments.model or network.model)
    if arguments.weights:
        network = replace(network, weights=Weights.FILE, weights_file=str(arguments.weights))
    settings = replace(
        config.settings,
        steps=arguments.steps or config.settings.steps,
        optimizer=arguments.optimizer or config.settings.optimizer,
        learning_rate=arguments.rate or config.settings.learning_rate,
    )
    return CrossTrainingConfig(network=network, settings=settings)


def parse_arguments() -> argparse.Namespace:
    """Return the command line."""
    parser = data_parser(__doc__)
    parser.add_argument("--folder", type=Path, help="keep the runs here, and go on from what is there")
    parser.add_argument("--seeds", type=int, default=3, help="how many runs, each with a draw of its own")
    parser.add_argument("--first-seed", type=int, default=0, help="so that seeds can run side by side")
    parser.add_argument("--full", action="store_true", help="the published setting, for a GPU")
    parser.add_argument("--steps", type=int, default=0, help="of stage 1, instead of the usual number")
    parser.add_argument(
        "--optimizer", default="", choices=["", ADAMW, SGD], help="of stage 1, instead of the usual one"
    )
    parser.add_argument("--rate", type=float, default=0, help="of stage 1's learning, instead of the usual one")
    parser.add_argument("--epochs", type=int, default=0, help="of stage 2, instead of the usual number")
    parser.add_argument("--model", default="", help="the network, instead of the usual one")
    parser.add_argument("--weights", type=Path, help="the encoder's initial weights, instead of none")
    parser.add_argument("--size", type=int, default=0, help="of the images' longer side, instead of the usual one")
    parser.add_argument("--images", type=int, default=0, help="training images, evenly spread, instead of all")
    parser.add_argument("--tests", type=int, default=0, help="test images, evenly spread, instead of all")
    return parse_with_data(parser)


if __name__ == "__main__":
    main()
