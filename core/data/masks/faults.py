"""What can be wrong with one mask, as one kind of error, so that it is collected and never ends a reading."""

from core.types import DatasetError


class MaskError(DatasetError):
    """One mask cannot be used, or (as a warning) only after a guess. `kind` is short and stable, `cure` what to do."""

    def __init__(self, kind: str, message: str, cure: str) -> None:
        """Say what is wrong and what would help."""
        super().__init__(message)
        self.kind = kind
        self.cure = cure
