"""Check of a folder of images without a database: a probe of its labels, and checks of the images themselves.

The source is listed by the same readers as an import, every image is read, and a probe judges the labels where there
are labels of two classes. Decoded images and embeddings are cached by content and shared within an installation, so a
second check, and the app, reuse them.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from shlex import quote

import numpy as np
from numpy.typing import NDArray

from core.config import BACKBONE, DatasetSummary, ProbabilityMethod, RoundConfig, Weights, propose_config
from core.data.formats.detect import FORMATS, detect
from core.data.formats.source import Problems, ReadOptions, SourceFormat, existing_root, natural_order
from core.data.images import read_small
from core.data.lookalikes import find_similar_within
from core.data.predictions import EMBEDDINGS
from core.data.reading import empty_kinds, find_window, read_many
from core.data.snapshot import Snapshot
from core.data.windows import Window
from core.judge.image_checks import CheckResults, check_images, outliers
from core.judge.judgement import Judgement
from core.judge.similarity import NEIGHBOURS, likeness, order_by_similarity
from core.learn import probe
from core.learn.crossfold import FoldCallbacks
from core.rounds import fold_split, run_round
from core.tasks import RoundPaths, task_definition
from core.types import (
    NO_LABEL,
    DatasetError,
    FloatArray,
    ImageFacts,
    Progress,
    RoundError,
    SourceSample,
    Task,
)

_FEWEST_CLASSES = 2
_SMALL_SIZE, _SIZE = 96, 160  # pixels, input size of a probe for small grey images, and for others

Show = Callable[["Stage", float, str], None]
"""Stage, share of it that is done (0 to 1), and details in words."""


class Stage(StrEnum):
    """Stages of a check, in their order."""

    LISTING = "listing files"
    READING = "reading images"
    DECODING = "decoding images"
    LOADING = "loading the network"
    EMBEDDING = "embedding images"
    JUDGING = "judging labels"
    COMPARING = "comparing images"
    WRITING = "writing the report"


class Stages:
    """Seconds of each stage, and a function that shows their progress."""

    def __init__(self, show: Show = lambda _stage, _done, _details: None) -> None:
        """Show progress by `show`."""
        self._show = show
        self._stage, self._since = Stage.LISTING, time.monotonic()
        self.seconds = dict.fromkeys(Stage, 0.0)

    def enter(self, stage: Stage, done: float = 0.0, details: str = "") -> None:
        """Set the current stage, and the share of it that is done (0 to 1)."""
        now = time.monotonic()
        self.seconds[self._stage] += now - self._since
        self._stage, self._since = stage, now
        self._show(stage, min(1.0, done), details)

    def report(self, progress: Progress) -> None:
        """Set the stage by the progress of a round."""
        if progress.fold == 0 and progress.stage in _STAGE_OF:
            self.enter(_STAGE_OF[progress.stage], progress.fraction, progress.message)
        else:
            self.enter(Stage.JUDGING, (progress.fold + progress.fraction) / progress.folds)


_STAGE_OF = {
    "reading images": Stage.DECODING,
    "loading the network": Stage.LOADING,
    "embedding": Stage.EMBEDDING,
}


@dataclass(frozen=True, slots=True)
class CheckedSource:
    """Source as read: N usable samples with their facts, and the problems of the others.

    `masks`: its labels are masks, which a probe does not judge.
    """

    root: Path
    format: SourceFormat
    samples: tuple[SourceSample, ...]
    facts: tuple[ImageFacts, ...]
    problems: Problems
    masks: bool
    window: Window | None = None  # of greys of more than 8 bits

    @property
    def classes(self) -> list[str]:
        """Names of the classes in natural order, as an import numbers them."""
        if self.masks:
            return []
        return sorted({one.label for one in self.samples if one.label is not None}, key=natural_order)


@dataclass(frozen=True, slots=True)
class FolderCheck:
    """Result of a check. Without a `judgement` of the labels, `unjudged` is the reason and the remedy."""

    folder: CheckedSource
    snapshot: Snapshot
    config: RoundConfig
    judgement: Judgement | None
    unjudged: str
    images: CheckResults
    neighbours: NDArray[np.int32]  # (N, 6) rows, nearest first


def read_folder(
    source: Path, options: ReadOptions, form: SourceFormat | None, max_pixels: int, stages: Stages
) -> CheckedSource:
    """List a source and read every image of it.

    Raises:
        DatasetError: Outfold cannot read this source, or none of its images.
    """
    root = existing_root(source)
    chosen = form or detect(root, options).format
    stages.enter(Stage.LISTING)
    listing = FORMATS[chosen].read(root, options)
    listed = list(listing.unpack(listing.samples))
    samples, facts, problems = [], [], listing.problems
    stages.enter(Stage.READING)
    window = find_window([one.path for one in listed])
    found = read_many((one.path for one in listed), max_pixels, window=window)
    for done, (sample, fact) in enumerate(zip(listed, found, strict=True), start=1):
        if isinstance(fact, ImageFacts):
            samples.append(sample)
            facts.append(fact)
        else:
            problems.error(fact.kind, sample.name, str(fact), fact.cure)
        stages.enter(Stage.READING, done / len(listed), f"{done:,} of {len(listed):,}")
    if not samples:
        first = f": {problems.kept[0].path}: {problems.kept[0].message}" if problems.kept else ""
        raise DatasetError(f"{root}: no image could be read out of {len(listed):,} found{first}")
    return CheckedSource(root, chosen, tuple(samples), tuple(facts), problems, listing.table is not None, window)


def config_for(folder: CheckedSource, *, seed: int = 0, device: str = "auto") -> RoundConfig:
    """Return the settings of the probe: the proposed ones for such images, if they are a probe."""
    widths, heights = ([getattr(fact, side) for fact in folder.facts] for side in ("width", "height"))
    apart = len(set(snapshot_of(folder).whole_groups().tolist()))
    summary = DatasetSummary(
        width=int(np.median(widths)),
        height=int(np.median(heights)),
        grey=all(fact.grey for fact in folder.facts),
        count=len(folder.facts),
        classes=len(folder.classes),
        groups=apart,
    )
    proposed = propose_config(summary)
    labelled = sum(one.label is not None for one in folder.samples)
    changes = {"folds": max(2, min(proposed.folds, labelled // 2)), "seed": seed, "device": device}
    if proposed.method is ProbabilityMethod.PROBE:
        return RoundConfig.from_json(proposed.to_json() | changes)
    small = summary.grey and max(summary.width, summary.height) < _SMALL_SIZE
    probe = RoundConfig(
        method=ProbabilityMethod.PROBE,
        model=BACKBONE,
        weights=Weights.PACKAGED,
        input_size=_SMALL_SIZE if small else _SIZE,
        grey=summary.grey,
        batch_size=64,
    )
    return RoundConfig.from_json(probe.to_json() | changes)


def snapshot_of(folder: CheckedSource) -> Snapshot:
    """Return the folder's labels as the snapshot of a round."""
    number = {name: index for index, name in enumerate(folder.classes)}
    labels = [NO_LABEL if one.label is None else number.get(one.label, NO_LABEL) for one in folder.samples]
    return Snapshot(
        sample_ids=np.arange(1, len(labels) + 1),
        paths=[one.path for one in folder.samples],
        labels=np.array(labels, np.int32),
        groups=[one.group for one in folder.samples],
        content_hashes=[fact.content_hash for fact in folder.facts],
        classes=folder.classes,
        window=folder.window,
    )


def check_folder(
    folder: CheckedSource,
    config: RoundConfig,
    place: Path,
    *,
    image_cache: Path,
    stages: Stages,
    keep_networks: bool = False,
) -> FolderCheck:
    """Judge the labels and check the images; the round's files are in `place`, with its networks if `keep_networks`.

    Raises:
        RoundError: an image can no longer be read, or the device has too little memory.
        ConfigError: the settings cannot work on this machine.
    """
    snapshot = snapshot_of(folder)
    unjudged = unjudged_reason(folder, snapshot, config)
    judgement = None
    if unjudged:
        place.mkdir(parents=True, exist_ok=True)
        embeddings = _embed(snapshot, config, RoundPaths(place, image_cache, None), stages)
    else:
        judgement = run_round(
            snapshot, config, place, image_cache=image_cache, report=stages.report, keep_networks=keep_networks
        )
        embeddings = np.load(place / EMBEDDINGS, mmap_mode="r")
    stages.enter(Stage.COMPARING)
    if not (place / NEIGHBOURS).exists():
        order_by_similarity(place, embeddings, image_cache)
    neighbours = np.load(place / NEIGHBOURS)
    hashes = np.array([fact.look_hash for fact in folder.facts], np.int64)
    alike, complete = find_similar_within(hashes, snapshot.paths, partial(read_small, window=snapshot.window))
    stages.enter(Stage.COMPARING, 0.5)
    empty, isolated = empty_kinds(snapshot.paths, snapshot.window), outliers(likeness(embeddings, neighbours)).tolist()
    images = check_images(
        [one.label or "" for one in folder.samples],
        [one.split for one in folder.samples],
        snapshot.content_hashes,
        alike=alike,
        empty=empty,
        isolated=isolated,
        complete=complete,
    )
    stages.enter(Stage.COMPARING, 1.0)
    return FolderCheck(folder, snapshot, config, judgement, unjudged, images, neighbours)


def unjudged_reason(folder: CheckedSource, snapshot: Snapshot, config: RoundConfig) -> str:
    """Return the reason why the labels cannot be judged, and the remedy; "" if they can."""
    if folder.masks:
        return (
            "The labels are masks, which need a round of their own: import the folder with "
            f"`python -m app import {quote(str(folder.root))}`, then start a round."
        )
    if len(folder.classes) < _FEWEST_CLASSES:
        return (
            "There are no labels of two classes to judge. Put the images into one folder per class, or name a table "
            "with columns path and label."
        )
    try:
        for fold in range(config.folds):
            fold_split(snapshot, config, fold, _FEWEST_CLASSES)
    except RoundError as error:
        return f"There are too few labels to judge: {error}."
    return ""


def _embed(snapshot: Snapshot, config: RoundConfig, places: RoundPaths, stages: Stages) -> FloatArray:
    """Embed the images of a folder whose labels are not judged."""
    task, callbacks = task_definition(Task.CLASSIFICATION), FoldCallbacks(stages.report, lambda: False)
    training_data = task.training_data(snapshot, config, places, Progress("reading images", 0, config.folds), callbacks)
    build = partial(task.build_network, config, 1 if config.grey else 3, 0)
    return probe.embed_images(
        config, training_data.images, snapshot.seen_hashes, build, cache=places.image_cache, fold=0, callbacks=callbacks
    )
