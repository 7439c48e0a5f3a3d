"""The published setting of cross training on Pascal VOC 2012, its table beside the published one.

    python bench/cross_training_voc.py --folder DIR [DATA] [--json FILE] [--masks 92,183,366,732,1464]

DATA, or $OUTFOLD_DATA, holds `VOCdevkit/VOC2012` with the masks of the augmented training set (SBD) in
`SegmentationClassAug` or `SegmentationClass`, and `voc_splits_pascal/{92,183,...}/{labeled,unlabeled}.txt` and
`val.txt`. The listed masks teach; of all other images only the classes in their masks are used, as tags. Mean IoU on
the 1,449 images of `val.txt`, each looked at once by each network, with the figures of Y. Wang et al. (Pattern
Recognition 2022):

- `hybrid`, `pseudo`: the two networks of stage 1 under the tags.
- `retrained`: stage 2, without tags; PseudoNet paints its masks, as no image is left to choose by.
- `labels_only`: the listed masks alone in as many steps as stage 2, without tags; it was not published.

What is not as published: stage 2 is optimised by AdamW, and no dense CRF follows.

DeepLabV3+ on ResNet-50 with ImageNet weights, 20,000 steps of stage 1 and 30,000 of stage 2: days on one GPU. A killed
run goes on from DIR where it was, and the table has what is done so far. Other settings make a shorter run, of which
the published figures say nothing.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.planted_masks import EpochPrinter
from core.config import DEEPLAB, SGD, CrossTrainingSettings, RoundConfig, Weights
from core.data.formats.voc import IMAGES, MASKS, NAMES
from core.data.images import read_facts
from core.data.masks.store import MaskStore, classes_in
from core.data.snapshot import Snapshot, SnapshotMasks
from core.recipes.cross_training.recipe import CrossTrainingConfig, run_cross_training
from core.recipes.data import RecipeData, read_list
from core.rounds import versions
from core.types import IGNORE, DatasetError, IntArray, OutfoldError

PUBLISHED = {  # masks -> mean IoU of HybridNet and PseudoNet under the tags, and retrained without, in per cent
    92: (77.9, 78.3, 76.2),
    183: (79.7, 79.2, 77.6),
    366: (81.7, 82.4, 78.7),
    732: (83.7, 83.9, 79.9),
    1464: (86.2, 86.2, 81.2),
}
ROWS = ("hybrid", "pseudo", "retrained")
_STEPS = 30_000  # of stage 2
_LARGEST_IMAGE = 1_000_000  # pixels


def main() -> None:
    """Run the recipe for each number of masks, and print the table after each."""
    arguments = parse_arguments()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    runs: dict[int, dict[str, Any]] = {}
    try:
        for few in arguments.masks:
            runs[few] = one_run(arguments, few)
            print_table(runs)
            if arguments.json:
                arguments.json.write_text(json.dumps({"versions": versions(), "masks": runs}, indent=1))
    except OutfoldError as error:
        sys.exit(str(error))


def one_run(arguments: argparse.Namespace, few: int) -> dict[str, Any]:
    """Return the figures with this number of masks; a finished part is only read, and takes no time."""
    lists, data = arguments.data / "voc_splits_pascal", arguments.data / "VOCdevkit" / "VOC2012"
    parts = {
        "labelled": read_list(lists / str(few) / "labeled.txt"),
        "unlabelled": read_list(lists / str(few) / "unlabeled.txt"),
        "test": read_list(lists / "val.txt"),
    }
    given = read_images(data, parts, arguments.folder / "given")
    config = propose_settings(arguments, len(given.labelled) + len(given.unlabelled))
    print(f"{few} masks, {len(given.unlabelled):,} images with tags, {len(given.test):,} to test on; {config}")
    started, cpu = time.perf_counter(), time.process_time()
    found = run_cross_training(
        given,
        config,
        arguments.folder / f"masks_{few}",
        image_cache=arguments.folder / "images",
        masks=arguments.folder / "given",
        report=EpochPrinter(),
    )
    scores = {name: getattr(found, name).mean_iou for name in ROWS}
    scores["labels_only"] = None if found.baseline is None else found.baseline.mean_iou
    seconds = {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - cpu}
    return scores | seconds | {"trust": [means[-1] for means in found.history], "config": config.to_json()}


def read_images(data: Path, parts: dict[str, list[str]], store: Path) -> RecipeData:
    """Return the listed images of VOC with their masks, which are put into `store`.

    Raises:
        DatasetError: an image or a mask is missing, or a mask holds something else than VOC's ids.
    """
    masks, folder = MaskStore(store), data / f"{MASKS}Aug"
    folder = folder if folder.is_dir() else data / MASKS
    paths: list[str] = []
    names, sizes, rarest, hashes = [], [], [], []
    rows: dict[str, IntArray] = {}
    for part, listed in parts.items():
        rows[part] = np.arange(len(paths), len(paths) + len(listed))
        for name in listed:
            stem = Path(name).stem
            image, file = data / IMAGES / f"{stem}.jpg", folder / f"{stem}.png"
            for path, cure in ((image, "unpack VOC 2012 there"), (file, f"put the masks of SBD into {folder}")):
                if not path.is_file():
                    raise DatasetError(f"{path} is missing, but listed as {part}", cure)
            mask = read_ids(file)
            paths.append(str(image))
            hashes.append(read_facts(image, _LARGEST_IMAGE).content_hash)
            names.append(masks.put(mask, durable=False))
            sizes.append(mask.shape)
            rarest.append(max(classes_in(mask), default=0))
    snapshot = Snapshot(
        sample_ids=np.arange(len(paths)) + 1,
        paths=paths,
        labels=np.array(rarest, np.int32),
        groups=[""] * len(paths),
        content_hashes=hashes,
        classes=list(NAMES),
        masks=SnapshotMasks(names, [""] * len(paths), np.array(sizes, np.int32)),
    )
    return RecipeData(snapshot=snapshot, **rows)


def read_ids(file: Path) -> IntArray:
    """Return a mask as ids of classes and IGNORE, (H, W) uint8.

    Raises:
        DatasetError: it holds colours or other values.
    """
    with Image.open(file) as opened:
        mask = np.asarray(opened)
    if mask.ndim != 2 or mask.dtype != np.uint8 or not np.isin(mask, [*range(len(NAMES)), IGNORE]).all():
        raise DatasetError(
            f"{file} holds other values than 0 to {len(NAMES) - 1} and {IGNORE}", "use the palette masks"
        )
    return mask


def propose_settings(arguments: argparse.Namespace, images: int) -> CrossTrainingConfig:
    """Return the published settings, changed by the command line; an epoch of stage 2 sees all `images`."""
    weights = {"pretrained": Weights.PRETRAINED, "none": Weights.NONE}.get(arguments.weights, Weights.FILE)
    batch = min(arguments.batch, images)
    network = RoundConfig(
        model=arguments.model,
        weights=weights,
        weights_file=arguments.weights if weights is Weights.FILE else "",
        input_size=arguments.size,
        crop=arguments.crop,
        epochs=max(1, -(-arguments.retraining // (images // batch))),
        batch_size=batch,
        scales=(0.5, 0.75, 1.0, 1.25, 1.5),
        flip=True,
        seed=arguments.seed,
    )
    settings = CrossTrainingSettings(
        steps=arguments.steps, batch_size=arguments.batch, optimizer=SGD, balance=0, block=500, background=NAMES[0]
    )
    return CrossTrainingConfig(network=network, settings=settings)


def print_table(runs: dict[int, dict[str, Any]]) -> None:
    """Print the mean IoU in per cent of each number of masks, with the published one behind a slash."""
    print(f"{'masks':>6} {'labels only':>12} {'HybridNet, tags':>16} {'PseudoNet, tags':>16} {'retrained':>16}")
    for few, run in runs.items():
        published = PUBLISHED.get(few, (None,) * len(ROWS))
        cells = [
            f"{_percent(run[name])} / {'-' if known is None else f'{known:.1f}'}"
            for name, known in zip(ROWS, published, strict=True)
        ]
        print(f"{few:>6} {_percent(run['labels_only']):>12} {' '.join(f'{cell:>16}' for cell in cells)}")


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def parse_arguments() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", default=os.environ.get("OUTFOLD_DATA"))
    parser.add_argument("--folder", type=Path, required=True, help="keep the runs here, and go on from what is there")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--masks", default=",".join(map(str, PUBLISHED)), help="numbers of masks, with lists of each")
    parser.add_argument("--model", default=f"{DEEPLAB}resnet50")
    parser.add_argument("--weights", default="pretrained", help="of the encoder: pretrained, none, or a file")
    parser.add_argument("--steps", type=int, default=20_000, help="of stage 1")
    parser.add_argument("--retraining", type=int, default=_STEPS, help="steps of stage 2 and of the baseline, at least")
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--size", type=int, default=512, help="of the images' longer side")
    parser.add_argument("--crop", type=int, default=384)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("name the data, or set OUTFOLD_DATA")
    arguments.data = Path(arguments.data)
    try:
        arguments.masks = [int(number) for number in arguments.masks.split(",")]
    except ValueError:
        parser.error("--masks must be numbers, separated by commas")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    return arguments


if __name__ == "__main__":
    main()
