"""Which networks a round may train, known without loading any: our own small one and timm's by name.

timm's names are read from its source, since importing it would bring torch into the web process.
"""

import re
from difflib import get_close_matches
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from core.config import SMALL_NETWORK
from core.types import RoundError

OFTEN_USED = (
    SMALL_NETWORK,
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
_REGISTERED = re.compile(r"^@register_model\s*\ndef (\w+)\(", re.MULTILINE)


@cache
def model_names() -> tuple[str, ...]:
    """Return every name, those often used first."""
    found: set[str] = set()
    package = find_spec("timm")
    for folder in package.submodule_search_locations or [] if package else []:
        for file in sorted((Path(folder) / "models").glob("*.py")):
            found.update(_REGISTERED.findall(file.read_text(encoding="utf-8")))
    first = [name for name in OFTEN_USED if name in found or name == SMALL_NETWORK]
    return (*first, *sorted(found - set(first)))


def refuse_unknown_model(name: str) -> None:
    """Raise `RoundError` where no network has this name; a pretrained variant's tag (`resnet18.a1_in1k`) is allowed."""
    known = model_names()
    base = name.split(".", 1)[0]
    if base not in known:
        near = get_close_matches(base, known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"try {', '.join(OFTEN_USED[:4])}"
        raise RoundError(f"there is no network called {name!r}; {hint}")
