"""Whether labels can be cross-validated at all; asked when a round is started, and again of its snapshot."""

from core.config import RoundConfig
from core.types import RoundError

LEAST_CLASSES = 2


def refuse_unlearnable(name: str, classes: list[str], counts: dict[int | None, int], config: RoundConfig) -> None:
    """Raise `RoundError` where these labels (class id -> samples, None: unlabelled) cannot be cross-validated."""
    labelled = {label: count for label, count in counts.items() if label is not None and count > 0}
    if not labelled:
        raise RoundError(f"{name} has no labels to learn from; label some images, or import a folder with classes")
    if len(labelled) < LEAST_CLASSES:
        only = classes[next(iter(labelled))]
        raise RoundError(f"every label of {name} is {only!r}; a round needs at least two classes to tell apart")
    if sum(labelled.values()) < config.folds * LEAST_CLASSES:
        most = sum(labelled.values()) // LEAST_CLASSES
        cure = f"choose at most {most} folds" if most >= LEAST_CLASSES else "import more labelled images"
        raise RoundError(
            f"{name} has {sum(labelled.values())} labelled images, too few for {config.folds} folds; {cure}"
        )
