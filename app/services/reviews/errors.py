"""Errors of requests about a review, each with its cure."""

from collections.abc import Sequence

from core.types import OutfoldError


class ReviewError(OutfoldError):
    """A request that cannot be answered."""


class NotFoundError(ReviewError):
    """There is no such round, finding or act."""


class DeletedError(NotFoundError):
    """The round was deleted, or its dataset, and can be restored; verdicts on it are stored after that.

    `images` are the names of the images that the request was about.
    """

    def __init__(self, what: str, by: str, days: int, images: Sequence[str] = ()) -> None:
        """Name what was deleted, by whom, and for how many more days it can be restored."""
        left = f"{days} days" if days > 1 else "a day"
        super().__init__(f"{what} was deleted by {by}", f"restore it on the Datasets page within {left}")
        self.images = list(images)


class RefusedError(ReviewError):
    """A request that makes no sense, or is not allowed in the present state."""


class CountChangedError(ReviewError):
    """A bulk act would change another number of findings than the person was shown."""

    def __init__(self, expected: int, count: int) -> None:
        """Say both numbers."""
        super().__init__(f"{count} findings would change, not {expected}", "look at the new set and accept again")
        self.count = count


class StaleMaskError(ReviewError):
    """An edit began from a mask that is not the present one any more."""

    def __init__(self, version: str) -> None:
        """Say which the present one is."""
        super().__init__("this mask was changed meanwhile", "load it again; nothing of it was stored")
        self.version = version
