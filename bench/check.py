"""Seconds of each stage of `check`, cold and warm, and its average precision on human errors.

    python bench/check.py [DATA] [--json FILE] [--full]

DATA holds CIFAR-10 and the labels that one person gave each photo (CIFAR-10N, Wei et al. 2022). Photos from 25,000 on
are enlarged to 256 pixels and written as JPEG, 2,000 of them; `--full` also takes 20,000 of 64 pixels. `check` runs as
a process of its own, first with an empty cache, then again. Beside it stand decoding at the network's size and the bare
batched forward pass of the same network. CPU seconds are those of all the command's processes, whatever else the
machine did meanwhile. The average precision is that of the default order on the human labels.

Neighbours are compared with brute force, and by how often they, and images side by side in the order by similarity,
have the same true class. The search is timed among 50,000 embeddings, spread around those of the photos.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.metrics import average_precision_score
from sklearn.neighbors import NearestNeighbors

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench._data import data_parser, parse_with_data, unpack
from core.checking import Stages, check_folder, config_for, read_folder
from core.config import BACKBONE, RoundConfig
from core.data.arrays import decode_squares
from core.data.formats.source import ReadOptions, SourceFormat
from core.data.predictions import EMBEDDINGS
from core.judge.similarity import similarity
from core.types import ByteArray, FloatArray, IntArray

FIRST = 25_000  # settings are chosen on the photos below
SMALL = (2_000, 256)  # photos, pixels
LARGE = (20_000, 64)
QUALITY = 90
SEARCHED = 50_000
NEIGHBOURS = 6
BATCH = 64


class Photos(NamedTuple):
    """A folder of photos in folders named by the human labels, and their true classes by file name."""

    folder: Path
    truth: dict[str, str]


def main() -> None:
    """Write the photos, run the checks, print."""
    parser = data_parser(__doc__)
    parser.add_argument("--full", action="store_true", help="also 20,000 photos of 64 pixels")
    given = parse_with_data(parser)
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        cifar = unpack(given.data, Path(scratch), "cifar10_jpg.tar.xz")
        for count, size in (SMALL, LARGE) if given.full else (SMALL,):
            photos = enlarge(cifar, given.data, Path(scratch) / f"photos-{size}", count, size)
            found = measure(photos, Path(scratch) / f"home-{size}")
            figures |= {f"{name}_{count}": value for name, value in found.items()}
            show(count, size, found)
        embeddings = np.load(Path(scratch) / f"home-{SMALL[1]}" / "round" / EMBEDDINGS, mmap_mode="r")
        taken, cpu = search_seconds(embeddings)
        figures |= {"seconds_search_50000": taken, "cpu_seconds_search_50000": cpu}
        print(f"neighbours and order of {SEARCHED:,} images: {taken:.1f} s, {cpu:.1f} CPU seconds")
    count = SMALL[0]
    figures |= {name: figures[f"{name}_{count}"] for name in ("ratio_to_forward", "ap")}
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def enlarge(cifar: Path, data: Path, folder: Path, count: int, size: int) -> Photos:
    """Write photos as JPEG, in a folder for each human label."""
    truth: IntArray = np.load(data / "cifar10_labels.npz")["train"]
    human: IntArray = np.load(data / "cifar10n_random1.npz")["labels"]
    names = sorted(path.name for path in (cifar / "train").iterdir())
    true_class = {}
    for number in range(FIRST, FIRST + count):
        place = folder / names[human[number]]
        place.mkdir(parents=True, exist_ok=True)
        with Image.open(cifar / "train" / names[truth[number]] / f"{number:05d}.jpg") as photo:
            photo.resize((size, size), Image.Resampling.BICUBIC).save(place / f"{number:05d}.jpg", quality=QUALITY)
        true_class[f"{number:05d}.jpg"] = names[truth[number]]
    return Photos(folder, true_class)


def measure(photos: Photos, home: Path) -> dict[str, Any]:
    """Return all figures of one set of photos."""
    cold, warm = command(photos.folder, home), command(photos.folder, home)
    folder = read_folder(photos.folder, ReadOptions(), SourceFormat.IMAGEFOLDER, 1 << 30, Stages())
    config = config_for(folder)
    checked = check_folder(folder, config, home / "round", image_cache=home / "files" / "images", stages=Stages())
    if checked.judgement is None:
        raise SystemExit(checked.unjudged)
    truth = np.array([photos.truth[Path(path).name] for path in checked.snapshot.paths])
    wrong = truth != np.array(checked.snapshot.classes)[checked.snapshot.labels]
    decoding, forward = bare(checked.snapshot.paths, checked.snapshot.content_hashes, config, home / "bare")
    embedding = cold["stages"]["decoding images"] + cold["stages"]["embedding images"]
    return {
        "seconds": cold["seconds"],
        "seconds_warm": warm["seconds"],
        "cpu_seconds": cold["cpu_seconds"],
        "cpu_seconds_warm": warm["cpu_seconds"],
        "stages": cold["stages"],
        "stages_warm": warm["stages"],
        "seconds_decoding_bare": decoding,
        "seconds_forward_bare": forward,
        "ratio_to_forward": embedding / (decoding + forward),
        "ap": float(average_precision_score(wrong, -checked.judgement.self_confidence)),
        "wrong": float(np.mean(wrong)),
        **likeness_figures(np.load(home / "round" / EMBEDDINGS, mmap_mode="r"), truth),
    }


def command(folder: Path, home: Path) -> dict[str, Any]:
    """Run `check` as people do; return its seconds from start to end, and those of its stages."""
    report, found = home.with_suffix(".html"), home.with_suffix(".json")
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "app", "check", str(folder), "--to", str(report), "--json", str(found)],
        cwd=ROOT,
        env=os.environ | {"OUTFOLD_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    seconds, used = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": seconds, "cpu_seconds": cpu, "stages": json.loads(found.read_text(encoding="utf-8"))["seconds"]}


def likeness_figures(embeddings: FloatArray, truth: NDArray[np.str_]) -> dict[str, float]:
    """Return the shares of the true nearest that were found, and of neighbours and adjacent images of one class."""
    found, along = similarity(embeddings), NearestNeighbors(n_neighbors=NEIGHBOURS + 1, algorithm="brute")
    centred = embeddings.astype(np.float32) - embeddings.mean(axis=0, dtype=np.float32)
    centred /= np.maximum(centred.std(axis=0), 1e-6)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    nearest = along.fit(centred).kneighbors(centred, return_distance=False)
    shared = [
        len({*own.tolist()} & {*true.tolist()} - {row})
        for row, (own, true) in enumerate(zip(found.neighbours, nearest, strict=True))
    ]
    ordered = truth[np.argsort(found.ranks)]
    return {
        "neighbours_recall": float(np.mean(shared) / NEIGHBOURS),
        "neighbours_same_class": float((truth[found.neighbours] == truth[:, None]).mean()),
        "adjacent_same_class": float((ordered[1:] == ordered[:-1]).mean()),
    }


def search_seconds(embeddings: FloatArray) -> tuple[float, float]:
    """Return the seconds, and CPU seconds, of neighbours and order of 50,000 images spread around some embeddings."""
    rng = np.random.default_rng(0)
    many = embeddings[rng.integers(0, len(embeddings), SEARCHED)].astype(np.float32)
    many += rng.normal(0, 0.05, many.shape).astype(np.float32)
    half = many.astype(np.float16)
    del many
    started, cpu = time.perf_counter(), time.process_time()
    similarity(half)
    return time.perf_counter() - started, time.process_time() - cpu


def bare(paths: Sequence[str], hashes: Sequence[str], config: RoundConfig, cache: Path) -> tuple[float, float]:
    """Return the seconds of decoding alone, and of the forward passes of the same network on the decoded images."""
    started = time.perf_counter()
    images = decode_squares(
        paths,
        hashes,
        size=config.input_size,
        grey=config.grey,
        cache=cache,
        report=lambda _done, _of: None,
        should_stop=lambda: False,
    )
    read = time.perf_counter()
    network = timm.create_model(BACKBONE, num_classes=0).eval().to(memory_format=torch.channels_last)
    built = time.perf_counter()
    with torch.inference_mode():
        for start in range(0, len(images), BATCH):
            network(_batch(images[start : start + BATCH]))
    return read - started, time.perf_counter() - built


def _batch(images: ByteArray) -> torch.Tensor:
    return torch.from_numpy(images.copy()).permute(0, 3, 1, 2).float() / 127.5 - 1


def show(count: int, size: int, found: dict[str, Any]) -> None:
    """Print the figures of one set of photos."""
    print(f"{count:,} photos of {size} pixels: {found['seconds']:.1f} s, again {found['seconds_warm']:.1f} s")
    print(f"  CPU seconds {found['cpu_seconds']:.1f}, again {found['cpu_seconds_warm']:.1f}")
    rows: Sequence[tuple[str, float, float]] = [
        (name, took, found["stages_warm"][name]) for name, took in found["stages"].items()
    ]
    for name, cold, warm in rows:
        print(f"  {name:<20} {cold:7.1f} {warm:7.1f}")
    print(f"  bare decoding {found['seconds_decoding_bare']:.1f} s, bare forward {found['seconds_forward_bare']:.1f} s")
    print(f"  decoding and embedding are {found['ratio_to_forward']:.2f} times that")
    print(f"  average precision on human labels, {found['wrong']:.1%} of them wrong: {found['ap']:.3f}")
    print(
        f"  of the six nearest {found['neighbours_recall']:.4f} found; same class: neighbours "
        f"{found['neighbours_same_class']:.3f}, side by side in the order {found['adjacent_same_class']:.3f}"
    )


if __name__ == "__main__":
    main()
