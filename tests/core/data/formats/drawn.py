"""Small drawn sources for the readers' tests; every image differs from the others."""

from collections.abc import Iterable
from itertools import count
from pathlib import Path

import numpy as np
from PIL import Image

from core.data.formats.detect import FORMATS
from core.data.formats.source import Problems, ReadOptions, SourceFormat
from core.types import SourceSample

_numbers = count()


def draw(path: Path, size: tuple[int, int] = (5, 4)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(next(_numbers)).integers(0, 255, size[::-1], np.uint8)
    Image.fromarray(pixels).save(path, "PNG")
    return path


def draw_all(root: Path, names: Iterable[str], size: tuple[int, int] = (5, 4)) -> Path:
    for name in names:
        draw(root / name, size)
    return root


def listing(root: Path, form: SourceFormat, options: ReadOptions | None = None) -> tuple[list[SourceSample], Problems]:
    read = FORMATS[form].read(root, options or ReadOptions())
    return list(read.samples), read.problems


def labels(samples: Iterable[SourceSample]) -> dict[str, str | None]:
    return {sample.name: sample.label for sample in samples}


def kinds(problems: Problems) -> dict[str, str]:
    return {problem.path: problem.kind for problem in problems.kept}
