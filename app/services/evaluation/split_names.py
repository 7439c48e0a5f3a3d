"""Display names of evaluation splits, the drawn one among them."""

from collections.abc import Sequence

from db.queries.evaluation import DRAWN

__all__ = ["DRAWN", "splits_in_words"]


def splits_in_words(splits: Sequence[str]) -> str:
    """Return "evaluation split test" for display; the drawn one is only "evaluation split"."""
    joined = " and ".join(splits)
    if splits == (DRAWN,):
        return "evaluation split"
    return f"evaluation split {joined}" if len(splits) == 1 else f"evaluation splits {joined}"
