"""Display names of evaluation splits, the drawn one among them."""

from collections.abc import Sequence

from db.queries.evaluation import DRAWN

__all__ = ["DRAWN", "called"]


def called(splits: Sequence[str]) -> str:
    """Return "evaluation split test" for people; the one that was drawn is "evaluation split", not twice the word."""
    named = " and ".join(splits)
    if splits == (DRAWN,):
        return "evaluation split"
    return f"evaluation split {named}" if len(splits) == 1 else f"evaluation splits {named}"
