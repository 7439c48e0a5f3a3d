"""Python API for notebooks and scripts: label issues of a folder or of given probabilities, and whole rounds.

Shapes: N images, K classes. Nothing needs a database or a server, and images are only read.

References:
    Northcutt, Jiang, Chuang: *Confident learning: estimating uncertainty in dataset labels*, JAIR 70, 2021
    (out-of-fold predictions, noise by class, self-confidence).
    Guo, Pleiss, Sun, Weinberger: *On calibration of modern neural networks*, ICML 2017 (temperature scaling).
"""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from core.config import RoundConfig, with_file_facts
from core.data.formats.probabilities import Probabilities, check_probabilities
from core.data.formats.source import ReadOptions, SourceFormat
from core.data.snapshot import SNAPSHOT, Snapshot
from core.data.storage import write_atomically
from core.judge.judgement import GIVEN, Judgement, judge_probabilities
from core.judge.stored_probabilities import stored_probabilities
from core.types import (
    NO_LABEL,
    DatasetError,
    FindingKind,
    FloatArray,
    IntArray,
    Progress,
    Report,
    RoundError,
    Severity,
)

if TYPE_CHECKING:
    from core.checking import CheckedSource

__all__ = ["Round", "find_label_issues", "run_round"]
MOST_PIXELS = 100_000_000  # larger images are left out
_CONFIG = "config.json"
_IMAGES = "images"  # decoded images and embeddings, by content


def _no_report(_progress: Progress) -> None:
    pass


@dataclass(frozen=True, slots=True, eq=False)
class Round:
    """Result of a round: an out-of-fold opinion on the label of every image.

    Attributes
    ----------
    images : DataFrame, N rows in the order of the source
        `path`; `given` and `suggested` class (`given` is None if an image has no label); `label_quality`, the
        network's own probability of the given class; `margin`, normalized: (p(given) - largest other p + 1) / 2;
        `confidence`, the estimated probability that `suggested` is right; `is_issue`; `rank`, 0 for the most
        suspicious.
    probabilities : array of float16, shape (N, K)
        Calibrated probabilities of the classes, each row by a network that was trained without the image. Above a
        million images and 11 classes those of the five likeliest classes and the given one; the others share evenly
        what is left of 1.
    classes : list of str, K names
    config : RoundConfig
    metrics : dict
        Figures as on the page of a round, such as `accuracy` against the given labels and `estimated_errors`.
    left_out : list of str
        Images that could not be read, each with the reason; of very many the first ones.

    """

    images: pd.DataFrame
    probabilities: NDArray[np.float16]
    classes: list[str]
    config: RoundConfig
    metrics: dict[str, Any]
    left_out: list[str]

    @property
    def issues(self) -> pd.DataFrame:
        """Images whose given label is suspicious, most suspicious first; the index is the row in `images`."""
        return _issues(self.images)


@overload
def find_label_issues(
    data: str | Path, *, seed: int = 0, device: str = "auto", report: Report = _no_report
) -> pd.DataFrame: ...


@overload
def find_label_issues(data: ArrayLike, labels: ArrayLike, *, classes: Sequence[str] | None = None) -> pd.DataFrame: ...


def find_label_issues(
    data: Any,
    labels: ArrayLike | None = None,
    *,
    classes: Sequence[str] | None = None,
    seed: int = 0,
    device: str = "auto",
    report: Report = _no_report,
) -> pd.DataFrame:
    """Find images whose given label is probably wrong.

    Parameters
    ----------
    data : str or Path, or array of shape (N, K)
        A folder with one subfolder per class, or any other source that `python -m app import` reads. Its labels are
        judged out of fold by a probe: logistic regression on the features of a pretrained network. Or probabilities
        of the classes that each image got from a model that was trained without it, such as those of
        `sklearn.model_selection.cross_val_predict(..., method="predict_proba")`.
    labels : array of shape (N,), with probabilities only
        Class ids from 0 to K - 1, or names of `classes`. -1 or None: the image has no label.
    classes : sequence of K str, with probabilities only
        Names of the columns; by default "0", "1", ...
    seed, device, report : with a folder only
        See `run_round`.

    Returns
    -------
    DataFrame
        The suspicious images, most suspicious first, with the columns of `Round.images` but `is_issue` and `rank`. The
        index is the row in `data`; `path` is there for a folder only.

    Raises
    ------
    DatasetError
        The source, the probabilities or the labels cannot be used as they are.
    RoundError
        The labels cannot be judged, for example because there are too few of them.

    Examples
    --------
    >>> from core import find_label_issues
    >>> find_label_issues("/data/pets").head()  # doctest: +SKIP
    >>> find_label_issues(pred_probs, labels, classes=["cat", "dog"])  # doctest: +SKIP

    """
    if isinstance(data, str | Path):
        if labels is not None or classes is not None:
            raise DatasetError("a folder has its own labels", "give labels and classes with probabilities only")
        with tempfile.TemporaryDirectory(prefix="outfold-", ignore_cleanup_errors=True) as to:
            return run_round(data, to, seed=seed, device=device, report=report, keep_networks=False).issues
    if labels is None:
        raise DatasetError("probabilities need the given labels to be compared with", "give labels, one a row")
    return _issues(_judge_probabilities(data, labels, classes))


def run_round(
    source: str | Path,
    to: str | Path,
    *,
    config: RoundConfig | None = None,
    seed: int = 0,
    device: str = "auto",
    format: SourceFormat | str | None = None,  # noqa: A002 the name of the option of `python -m app import`
    keep_networks: bool = True,
    report: Report = _no_report,
) -> Round:
    """Train K folds on the class labels of a source and judge every label out of fold.

    Parameters
    ----------
    source : str or Path
        A folder, table or JSON file of images with class labels. Masks need the app, which asks what their values
        mean: `python -m app import`.
    to : str or Path
        Folder of the round's files: predictions and networks of the folds, decoded images. A round that was
        interrupted goes on from there; a finished one is only read.
    config : RoundConfig, optional
        Network, method, folds, epochs and so on, from `core.config`. By default those of `python -m app check`: five
        folds of a probe on the packaged network.
    seed, device
        Of the default config: the seed that deals the folds, and "auto", "cpu", "cuda", "cuda:1" or "mps".
    format : str, optional
        Format of the source, such as "imagefolder" or "coco"; by default it is recognised.
    keep_networks : bool
        Keep the folds' networks in `to`.
    report : callable
        Called with a `core.types.Progress` while the round runs.

    Returns
    -------
    Round

    Raises
    ------
    DatasetError
        The source cannot be read.
    RoundError
        The labels cannot be judged, or `to` holds a round of other labels or settings.
    ConfigError
        The settings cannot work on this machine.

    """
    # torch takes seconds, which judging given probabilities need not pay for
    from core import checking, rounds  # noqa: PLC0415

    form = None if format is None else _format(format)
    folder = checking.read_folder(Path(source), ReadOptions(), form, MOST_PIXELS, checking.Stages())
    chosen = with_file_facts(config or checking.config_for(folder, seed=seed, device=device))
    snapshot, place = checking.snapshot_of(folder), Path(to)
    reason = checking.unjudged_reason(folder, snapshot, chosen)
    if reason:
        raise RoundError(reason)
    _claim(place, snapshot, chosen)
    judgement = rounds.run_round(
        snapshot, chosen, place, image_cache=place / _IMAGES, report=report, keep_networks=keep_networks
    )
    images = _table(judgement, snapshot)
    images.insert(0, "path", snapshot.paths)
    probabilities = stored_probabilities(place, len(snapshot.classes))[np.arange(len(snapshot))]
    return Round(
        images,
        probabilities.astype(np.float16, copy=False),
        snapshot.classes,
        chosen,
        judgement.metrics,
        _left_out(folder),
    )


def _claim(place: Path, snapshot: Snapshot, config: RoundConfig) -> None:
    """Write the settings into the round's folder; refuse a folder with another round, whose folds would be reused.

    Raises:
        RoundError: it holds a round of other labels or settings.
    """
    noted, settings = place / _CONFIG, config.to_json()
    if noted.exists() or (place / SNAPSHOT).exists():
        is_same = noted.exists() and json.loads(noted.read_text("utf-8")) == settings
        if is_same and (place / SNAPSHOT).exists():
            is_same = Snapshot.load(place).hash == snapshot.hash
        if not is_same:
            raise RoundError(
                f"{place} holds a round of other labels or settings", "name a new folder, or remove this one"
            )
    place.mkdir(parents=True, exist_ok=True)
    snapshot.save(place)
    write_atomically(noted, json.dumps(settings, indent=2).encode())


def _judge_probabilities(data: ArrayLike, labels: ArrayLike, classes: Sequence[str] | None) -> pd.DataFrame:
    values = np.asarray(data)
    if values.ndim != 2 or values.shape[1] < 2 or values.dtype.kind not in "fiu":  # noqa: PLR2004 images and classes
        raise DatasetError(
            f"probabilities are {values.dtype} of shape {values.shape}",
            "give numbers, one row per image and a column for each of two or more classes",
        )
    names = [str(number) for number in range(values.shape[1])] if classes is None else list(classes)
    rows = [f"row {number}" for number in range(len(values))]
    probs = check_probabilities("the probabilities", Probabilities(rows, values.astype(np.float32)), names).probs
    ids = _class_ids(labels, names, len(values))
    snapshot = Snapshot(np.arange(len(values)), rows, ids, [""] * len(values), rows, names)
    with tempfile.TemporaryDirectory(prefix="outfold-", ignore_cleanup_errors=True) as name:
        place = Path(name)
        snapshot.save(place)
        np.save(place / GIVEN, probs, allow_pickle=False)
        return _table(judge_probabilities(place), snapshot)


def _class_ids(labels: ArrayLike, classes: Sequence[str], count: int) -> IntArray:
    """Return the labels as class ids, NO_LABEL if unlabelled.

    Raises:
        DatasetError: a label is not a class, or the number of labels is not that of the rows.
    """
    values = np.asarray(labels)
    if values.shape != (count,):
        raise DatasetError(
            f"labels have the shape {values.shape}, must be ({count},): one for each row of probabilities"
        )
    if values.dtype.kind in "iu":
        wrong = values[(values < NO_LABEL) | (values >= len(classes))]
        if len(wrong):
            raise DatasetError(
                f"label {wrong[0]} is not a class", f"give ids from 0 to {len(classes) - 1}, or -1 for none"
            )
        return values.astype(np.int64)
    known: dict[Any, int] = {None: NO_LABEL} | {name: number for number, name in enumerate(classes)}
    unknown = next((one for one in values.tolist() if one not in known), None)
    if unknown is not None:
        raise DatasetError(f"label {unknown!r} is none of the classes", "name all of them with classes=[...]")
    return np.array([known[one] for one in values.tolist()], np.int64)


def _table(judgement: Judgement, snapshot: Snapshot) -> pd.DataFrame:
    names, labels = np.array([*snapshot.classes, None], object), snapshot.labels.astype(np.int64)
    known = labels != NO_LABEL

    def of_labelled(values: FloatArray) -> FloatArray:
        return np.where(known, values, np.nan)

    return pd.DataFrame(
        {
            "given": names[labels],  # NO_LABEL is -1, the last: None
            "suggested": names[judgement.pseudo],
            "label_quality": of_labelled(judgement.self_confidence),
            "margin": of_labelled(judgement.margin),
            "confidence": judgement.confidence,
            "is_issue": judgement.kind == FindingKind.SUSPICIOUS,
            "rank": judgement.rank,
        }
    )


def _issues(images: pd.DataFrame) -> pd.DataFrame:
    return images[images["is_issue"]].sort_values("rank").drop(columns=["is_issue", "rank"])


def _left_out(folder: "CheckedSource") -> list[str]:
    return [f"{one.path}: {one.message}" for one in folder.problems.kept if one.severity is Severity.ERROR]


def _format(name: str) -> SourceFormat:
    try:
        return SourceFormat(name)
    except ValueError:
        raise DatasetError(f"there is no format {name}", f"there are {', '.join(SourceFormat)}") from None
