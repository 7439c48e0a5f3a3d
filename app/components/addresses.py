"""Addresses that several pages lead to."""

from core.types import Recipe


def queue_of(round_id: int, recipe: Recipe) -> dict[str, str]:
    """Return the review of what a round found; of a recipe that only proposes, of what nobody labelled."""
    return {"round": str(round_id), **({"show": "unlabelled"} if recipe.proposes else {})}
