"""Errors of requests about a review, each with its cure."""

from core.types import OutfoldError


class ReviewError(OutfoldError):
    """A request that cannot be answered; `message` says what is wrong, `cure` what to do."""

    def __init__(self, message: str, cure: str) -> None:
        """Say what is wrong and what to do."""
        super().__init__(f"{message}; {cure}")
        self.message = message
        self.cure = cure


class NotFoundError(ReviewError):
    """There is no such round, finding or act."""


class RefusedError(ReviewError):
    """The request makes no sense as it stands."""


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
