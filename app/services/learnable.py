"""Check that labels can be cross-validated, when a round is started and again of its snapshot.

And whether a round is at work, beside which there is no other.
"""

from collections.abc import Sequence

from core.config import RoundConfig
from core.types import RoundError
from db.queries.rounds import RoundInfo
from db.queries.snapshots import LabelCounts

LEAST_CLASSES = 2
LEAST_FOLDS = 2


def refuse_unlearnable(name: str, classes: Sequence[str], counts: LabelCounts, config: RoundConfig) -> None:
    """Raise `RoundError` where these labels, or the classes in these masks, cannot be cross-validated."""
    found = [label for label, count in counts.images.items() if count > 0]
    if not found:
        raise RoundError(f"{name} has no labels to learn from; label some images, or import a folder with classes")
    if len(found) < LEAST_CLASSES:
        raise RoundError(
            f"every label of {name} is {classes[found[0]]!r}; a round needs at least two classes to tell apart"
        )
    if counts.labelled < config.folds * LEAST_CLASSES:
        most = counts.labelled // LEAST_CLASSES
        cure = f"choose at most {most} folds" if most >= LEAST_CLASSES else "import more labelled images"
        raise RoundError(f"{name} has {counts.labelled} labelled images, too few for {config.folds} folds; {cure}")


def refuse_inseparable(name: str, apart: int, config: RoundConfig) -> None:
    """Raise `RoundError` where fewer images and groups may be held out apart from each other than there are folds."""
    if apart < config.folds:
        cure = f"choose at most {apart} folds" if apart >= LEAST_FOLDS else "give its images more than one group"
        raise RoundError(
            f"the images of {name} are of {apart} {'group' if apart == 1 else 'groups'} that must stay whole, too few "
            f"for {config.folds} folds; {cure}"
        )


def refuse_unfinished(name: str, existing: Sequence[RoundInfo]) -> None:
    """Raise `RoundError` where one of a dataset's rounds is at work, or waits to be."""
    unfinished = next((info for info in existing if not info.status.ended), None)
    if unfinished is not None:
        raise RoundError(f"{unfinished.name} of {name} is still {unfinished.status}; wait for it or cancel it first")
