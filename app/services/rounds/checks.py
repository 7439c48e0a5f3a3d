"""Checks before a round: networks by name, labels that can be cross-validated, no unfinished round.

The worker checks the labels again on the round's snapshot. Names of networks are known without loading any; timm's are
read from its source, since importing it would bring torch into the web process. A network that learns masks is one of
Outfold's own, or DeepLabV3+ on any of timm's (`deeplabv3plus-resnet18`).
"""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from core.config import DEEPLAB, SMALL_MASK_NETWORK, SMALL_NETWORK, SWIFTNET, RoundConfig
from core.types import RoundError, Task
from db.queries.rounds import RoundInfo
from db.queries.snapshots import LabelCounts

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
_BEFORE: Mapping[Task, tuple[tuple[str, ...], str]] = {  # Outfold's own networks, and the prefix of timm's names
    Task.CLASSIFICATION: ((SMALL_NETWORK,), ""),
    Task.SEGMENTATION: ((SWIFTNET, SMALL_MASK_NETWORK), DEEPLAB),
}
_REGISTERED = re.compile(r"^@register_model\s*\ndef (\w+)\(", re.MULTILINE)
_LEAST_CLASSES = 2
_LEAST_FOLDS = 2


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
        raise RoundError(f"there is no network for these labels called {name!r}", hint)


def refuse_unlearnable(name: str, classes: Sequence[str], counts: LabelCounts, config: RoundConfig) -> None:
    """Raise `RoundError` where these labels, or the classes in these masks, cannot be cross-validated."""
    found = [label for label, count in counts.images.items() if count > 0]
    if not found:
        raise RoundError(f"{name} has no labels to learn from", "label some images, or import a folder with classes")
    if len(found) < _LEAST_CLASSES:
        raise RoundError(
            f"every label of {name} is {classes[found[0]]!r}", "a round needs at least two classes to tell apart"
        )
    if counts.labelled < config.folds * _LEAST_CLASSES:
        most = counts.labelled // _LEAST_CLASSES
        cure = f"choose at most {most} folds" if most >= _LEAST_CLASSES else "import more labelled images"
        raise RoundError(f"{name} has {counts.labelled} labelled images, too few for {config.folds} folds", cure)


def refuse_inseparable(name: str, apart: int, config: RoundConfig) -> None:
    """Raise `RoundError` where fewer images and groups may be held out apart from each other than there are folds."""
    if apart < config.folds:
        cure = f"choose at most {apart} folds" if apart >= _LEAST_FOLDS else "give its images more than one group"
        raise RoundError(
            f"the images of {name} are of {apart} {'group' if apart == 1 else 'groups'} that must stay whole, too few "
            f"for {config.folds} folds",
            f"{cure}",
        )


def refuse_unfinished(name: str, existing: Sequence[RoundInfo]) -> None:
    """Raise `RoundError` where one of a dataset's rounds is at work, or waits to be."""
    unfinished = next((info for info in existing if not info.status.ended), None)
    if unfinished is not None:
        raise RoundError(f"{unfinished.name} of {name} is still {unfinished.status}", "wait for it or cancel it first")


@cache
def _timm_names() -> tuple[str, ...]:
    found: set[str] = set()
    package = find_spec("timm")
    for folder in package.submodule_search_locations or [] if package else []:
        for file in sorted((Path(folder) / "models").glob("*.py")):
            found.update(_REGISTERED.findall(file.read_text(encoding="utf-8")))
    first = [name for name in _OFTEN_USED if name in found]
    return (*first, *sorted(found - set(first)))
