"""Names of the networks that a round may train, known without loading any: our own and timm's.

A network that learns masks is one of ours, or DeepLabV3+ on any of timm's (`deeplabv3plus-resnet18`).

timm's names are read from its source, since importing it would bring torch into the web process.
"""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from core.config import DEEPLAB, SMALL_MASK_NETWORK, SMALL_NETWORK, SWIFTNET
from core.types import RoundError, Task

_OFTEN_USED = (
    "resnet18",
    "resnet34",
    "resnet50",
    "convnext_nano",
    "convnext_tiny",
    "efficientnet_b0",
    "mobilenetv3_large_100",
    "regnety_008",
    "vit_small_patch16_224",
    "vit_small_patch14_dinov2",
)
_BEFORE: Mapping[Task, tuple[tuple[str, ...], str]] = {  # networks of our own, and what comes before timm's names
    Task.CLASSIFICATION: ((SMALL_NETWORK,), ""),
    Task.SEGMENTATION: ((SWIFTNET, SMALL_MASK_NETWORK), DEEPLAB),
}
_REGISTERED = re.compile(r"^@register_model\s*\ndef (\w+)\(", re.MULTILINE)


def model_names(task: Task = Task.CLASSIFICATION) -> tuple[str, ...]:
    """Return the name of every network that learns such labels, those often used first."""
    own, before = _BEFORE[task]
    return (*own, *(before + name for name in _timm_names()))


def refuse_unknown_model(name: str, task: Task = Task.CLASSIFICATION) -> None:
    """Raise `RoundError` where no network for such labels has this name.

    A pretrained variant's tag (`resnet18.a1_in1k`) is allowed.
    """
    known = model_names(task)
    base = name.split(".", 1)[0]
    if base not in known:
        near = get_close_matches(base, known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"try {', '.join(known[:4])}"
        raise RoundError(f"there is no network for these labels called {name!r}; {hint}")


@cache
def _timm_names() -> tuple[str, ...]:
    found: set[str] = set()
    package = find_spec("timm")
    for folder in package.submodule_search_locations or [] if package else []:
        for file in sorted((Path(folder) / "models").glob("*.py")):
            found.update(_REGISTERED.findall(file.read_text(encoding="utf-8")))
    first = [name for name in _OFTEN_USED if name in found]
    return (*first, *sorted(found - set(first)))
