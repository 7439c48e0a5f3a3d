"""Report of a check: one self-contained HTML file, and the same findings as JSON values.

The file loads and runs nothing: its policy allows only images in data URIs and its own style. Every text goes through
Jinja's escaping, and paths that are no UTF-8 through `printable`.
"""

import base64
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from shlex import quote
from typing import Any

from jinja2 import Environment, StrictUndefined

from app import __version__
from app.commands.folder_check import MARK
from core.checking import FolderCheck, Stage
from core.data.children import cores
from core.data.formats.source import printable
from core.data.images import thumbnail
from core.judge.image_checks import Duplicates
from core.types import DatasetError, FindingKind, Severity

_TEMPLATE = Path(__file__).with_suffix(".html")
_LOGO = Path(__file__).parents[1] / "assets" / "icon.png"
_EDGE = 192  # pixels of a picture's longer side
_LEAST_SECONDS = 0.05  # of a stage that is named
_SUSPECTS, _PAIRS, _GROUPS, _GROUP_IMAGES, _SINGLES, _PROBLEMS = 60, 20, 30, 8, 36, 200  # shown at most


@dataclass(frozen=True, slots=True)
class Picture:
    """An image as the report shows it; `source` is a data URI, "" if it cannot be drawn."""

    name: str
    source: str
    label: str
    split: str


@dataclass(frozen=True, slots=True)
class SuspectLabel:
    """A label that the model contradicts; `percent` is the model's own estimate that its suggestion is right."""

    picture: Picture
    given: str
    suggested: str
    percent: int


@dataclass(frozen=True, slots=True)
class Group:
    """Near-duplicates with their problems."""

    pictures: tuple[Picture, ...]
    count: int
    same_file: bool
    contradicting: bool
    leaking: bool


def findings(check: FolderCheck) -> dict[str, Any]:
    """Return all findings as JSON values, with printable paths; suspects come most suspicious first."""
    names = [printable(one.name) for one in check.folder.samples]

    def groups(found: Iterable[Duplicates]) -> list[dict[str, Any]]:
        return [{**group._asdict(), "rows": [names[row] for row in group.rows]} for group in found]

    return {
        "source": printable(str(check.folder.root)),
        "format": check.folder.format,
        "images": len(names),
        "classes": check.snapshot.classes,
        "unjudged": check.unjudged or None,
        "suspects": [
            {
                "path": names[row],
                "given": check.snapshot.classes[given],
                "suggested": check.snapshot.classes[suggested],
                "model_estimate": estimate,
            }
            for row, given, suggested, estimate in _suspects(check)
        ],
        "precision": "unknown",
        "pairs": [{"given": given, "suggested": to, "count": count} for given, to, count in _pairs(check)],
        "near_duplicates": groups(check.images.duplicates),
        "leaks": groups(check.images.leaks),
        "outliers": None if check.images.outliers is None else [names[row] for row in check.images.outliers],
        "without_content": [{"path": names[row], "kind": kind} for row, kind in check.images.empty],
        "compared_all": check.images.complete,
        "problems": [asdict(problem) for problem in check.folder.problems.kept],
        "config": check.config.to_json(),
    }


def as_html(check: FolderCheck, seconds: dict[Stage, float], now: datetime) -> str:
    """Return the report."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    source = printable(str(check.folder.root))
    command = f"python -m app check {quote(source)}"
    suspects = list(_suspects(check))
    problems = check.folder.problems
    wanted = _rows_shown(check, [row for row, *_ in suspects[:_SUSPECTS]])
    pictures = dict(zip(wanted, _pictures(check, wanted), strict=True))
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        mark=MARK,
        logo=_data_uri(_LOGO.read_bytes(), "png"),
        name=printable(check.folder.root.name),
        source=source,
        command=command,
        now=now,
        version=__version__,
        check=check,
        suspects=[
            SuspectLabel(
                pictures[row], check.snapshot.classes[given], check.snapshot.classes[to], math.floor(100 * sure)
            )
            for row, given, to, sure in suspects[:_SUSPECTS]
        ],
        suspect_count=len(suspects),
        labelled=int((check.snapshot.labels >= 0).sum()),
        pairs=_pairs(check)[:_PAIRS],
        pair_count=len(_pairs(check)),
        classes=_classes(check),
        duplicates=_shown_groups([one for one in check.images.duplicates if not one.leaking], pictures),
        duplicate_count=sum(not one.leaking for one in check.images.duplicates),
        leaks=_shown_groups(check.images.leaks, pictures),
        leak_count=len(check.images.leaks),
        splits=sorted({one.split for one in check.folder.samples}),
        outliers=[pictures[row] for row in (check.images.outliers or ())[:_SINGLES]],
        empty=[(pictures[row], kind) for row, kind in check.images.empty[:_SINGLES]],
        left_out=[one for one in problems.kept if one.severity is Severity.ERROR][:_PROBLEMS],
        left_out_count=sum(count for (severity, _), count in problems.counts.items() if severity is Severity.ERROR),
        warnings=[one for one in problems.kept if one.severity is Severity.WARNING][:_PROBLEMS],
        warning_count=sum(count for (severity, _), count in problems.counts.items() if severity is Severity.WARNING),
        seconds={stage.value: took for stage, took in seconds.items() if took >= _LEAST_SECONDS},
    )


def _suspects(check: FolderCheck) -> Iterator[tuple[int, int, int, float]]:
    """Yield row, given class, suggested class and the model's own estimate, most suspicious first."""
    judged = check.judgement
    if judged is None:
        return
    for row in judged.rank.argsort(kind="stable").tolist():
        if judged.kind[row] == FindingKind.SUSPICIOUS:
            yield row, int(check.snapshot.labels[row]), int(judged.pseudo[row]), float(judged.confidence[row])


def _pairs(check: FolderCheck) -> list[tuple[str, str, int]]:
    """Return given class, suggested class and number of suspects, most frequent first."""
    names = check.snapshot.classes
    counted = Counter((given, suggested) for _, given, suggested, _ in _suspects(check))
    ordered = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    return [(names[given], names[suggested], count) for (given, suggested), count in ordered]


def _classes(check: FolderCheck) -> list[tuple[str, int, int]]:
    """Return each class with its images and suspects."""
    counts = Counter(check.snapshot.labels.tolist())
    suspected = Counter(given for _, given, _, _ in _suspects(check))
    return [(name, counts[index], suspected[index]) for index, name in enumerate(check.snapshot.classes)]


def _rows_shown(check: FolderCheck, suspects: Sequence[int]) -> list[int]:
    found = [*suspects, *(check.images.outliers or ())[:_SINGLES]]
    found += [row for row, _ in check.images.empty[:_SINGLES]]
    leaking = check.images.leaks
    others = [one for one in check.images.duplicates if not one.leaking]
    for group in [*leaking[:_GROUPS], *others[:_GROUPS]]:
        found += group.rows[:_GROUP_IMAGES]
    return sorted(set(found))


def _shown_groups(groups: Sequence[Duplicates], pictures: dict[int, Picture]) -> list[Group]:
    return [
        Group(
            tuple(pictures[row] for row in group.rows[:_GROUP_IMAGES]),
            len(group.rows),
            same_file=group.same_file,
            contradicting=group.contradicting,
            leaking=group.leaking,
        )
        for group in groups[:_GROUPS]
    ]


def _pictures(check: FolderCheck, rows: Sequence[int]) -> list[Picture]:
    def draw(row: int) -> Picture:
        sample = check.folder.samples[row]
        try:
            source = _data_uri(thumbnail(Path(sample.path), _EDGE, check.folder.window), "webp")
        except DatasetError:
            source = ""
        return Picture(printable(sample.name), source, sample.label or "", sample.split)

    with ThreadPoolExecutor(cores()) as threads:  # decoding releases the GIL
        return list(threads.map(draw, rows))


def _data_uri(image: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"
