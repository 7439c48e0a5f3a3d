"""Gain of students of pseudo masks over few masks alone, on CamVid.

    python bench/iterated_camvid.py camvid.tar [--folder DIR] [--json FILE] [--seeds 3] [--full]

Of CamVid's 367 training images an eighth, drawn anew by each seed, keep their masks; of the others nothing is known.
All of it runs through `core.recipes.iterated`. What is chosen by are the 101 validation images; the 233 test images are
looked at once by the best network and by the baseline. Mean intersection over union, with the spread over the seeds:

- `baseline`: on the test images, learnt from the few masks alone in as many steps as a student learns pseudo masks.
- `best`: on the test images, the best network by the validation images; `gain` is what it has over `baseline`.
- `iterations`: of each, on the validation images, the student's mean over the seeds.
- `seeds`: the single runs, with what was taken of each class.

With `--folder` a killed run goes on where it was, and only what is newly done is timed. The default is small, for two
cores; `--full` wants a GPU and takes minutes for each seed.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench._camvid import data_of, stored_splits
from bench._data import data_parser, parse_with_data, unpack
from bench._iterated import figures_of, one_run, print_table
from bench.planted_masks import ARCHIVE
from core.config import SMALL_MASK_NETWORK, SWIFTNET, IteratedSettings, RoundConfig, Weights


def main() -> None:
    """Run the experiment with each seed and print its table."""
    arguments = parse_arguments()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    with tempfile.TemporaryDirectory(prefix="outfold-bench-") as scratch:
        folder = arguments.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        wanted = {"train": arguments.images, "val": arguments.tests, "test": arguments.tests}
        snapshot, parts = stored_splits(unpack(arguments.data, Path(scratch), ARCHIVE), folder / "given", wanted)
        network, settings = propose_settings(arguments)
        runs = []
        for seed in range(arguments.seeds):
            data, own = data_of(snapshot, parts, seed), replace(network, seed=seed)
            few, many = len(data.labelled), len(data.unlabelled)
            print(f"seed {seed}: {few} masks, {many} images without, {len(data.test)} to test on; {own}; {settings}")
            place = folder / f"seed_{seed}"
            runs.append(one_run(data, own, settings, place, cache=folder / "images", masks=folder / "given"))
    figures = figures_of(runs, network, settings)
    print_table("mIoU", figures)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))


def propose_settings(arguments: argparse.Namespace) -> tuple[RoundConfig, IteratedSettings]:
    """Return SwiftNet at full size with `--full`, else a small network for two cores."""
    if arguments.full:
        network = RoundConfig(model=SWIFTNET, input_size=480, epochs=40, batch_size=12, crop=320, flip=True)
    else:
        network = RoundConfig(model=SMALL_MASK_NETWORK, input_size=160, epochs=6, batch_size=8, flip=True)
    network = replace(
        network,
        epochs=arguments.epochs or network.epochs,
        input_size=arguments.size or network.input_size,
        model=arguments.model or network.model,
    )
    if arguments.weights:
        network = replace(network, weights=Weights.FILE, weights_file=str(arguments.weights))
    return network, IteratedSettings(iterations=arguments.iterations, consistency=arguments.consistency, ratio=1)


def parse_arguments() -> argparse.Namespace:
    """Return the command line."""
    parser = data_parser(__doc__)
    parser.add_argument("--folder", type=Path, help="keep the runs here, and go on from what is there")
    parser.add_argument("--seeds", type=int, default=3, help="how many runs, each with a draw of its own")
    parser.add_argument("--full", action="store_true", help="SwiftNet at full size, for a GPU")
    parser.add_argument("--iterations", type=int, default=3)
    parser.add_argument("--consistency", action="store_true", help="weak and strong views also teach")
    parser.add_argument("--epochs", type=int, default=0, help="of each network, instead of the usual number")
    parser.add_argument("--model", default="", help="the network, instead of the usual one")
    parser.add_argument("--weights", type=Path, help="the encoder's initial weights, instead of none")
    parser.add_argument("--size", type=int, default=0, help="of the images' longer side, instead of the usual one")
    parser.add_argument("--images", type=int, default=0, help="training images, evenly spread, instead of all")
    parser.add_argument("--tests", type=int, default=0, help="images to choose by and to test on, instead of all")
    return parse_with_data(parser)


if __name__ == "__main__":
    main()
