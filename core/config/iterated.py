"""The settings of the recipe "iterated": a teacher labels what is unlabelled, a student learns it, several times."""

from dataclasses import dataclass

from core.config.settings import RecipeSettings
from core.types import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class IteratedSettings(RecipeSettings):
    """How often, which pseudo labels are learnt, and what is chosen by.

    Shares are of each predicted class, so that rare ones are not starved; the share grows evenly to `last_share`.
    """

    iterations: int = 3
    share: float = 0.5  # of each class' predictions that the first student learns: the most confident ones
    last_share: float = 0.8  # and the last one
    least_confidence: float = 0.5  # below it nothing is learnt, whatever the share
    fine_tuning: float = 0.25  # steps on the real labels, as a part of those on pseudo labels
    fine_tuning_rate: float = 0.3  # of the learning rate
    consistency: bool = False  # whether unlabelled images also teach beside the real labels, by weak and strong views
    threshold: float = 0.95  # of consistency: how sure the weak view must be
    ratio: int = 3  # of consistency: unlabelled images for each labelled one
    validation_split: str = ""  # the split that is chosen by; empty: a share of the labelled images, drawn
    validation_share: float = 0.2
    test_split: str = ""  # the split that is looked at once, at the end; empty: none

    def __post_init__(self) -> None:
        """Refuse what cannot work, saying what would."""
        if self.iterations < 1:
            raise ConfigError(f"iterations is {self.iterations}, must be at least 1")
        if self.ratio < 1:
            raise ConfigError(f"ratio is {self.ratio}, must be at least 1")
        for name in ("share", "last_share", "fine_tuning", "fine_tuning_rate"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, must be above 0 and at most 1")
        for name in ("least_confidence", "threshold"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, must be from 0 to 1")
        if not 0 < self.validation_share <= _MOST_VALIDATION:
            raise ConfigError(
                f"validation_share is {self.validation_share}, must be above 0 and at most {_MOST_VALIDATION}"
            )
        if self.test_split and self.test_split == self.validation_split:
            raise ConfigError(f"{self.test_split!r} cannot be chosen by and be the test; name another split")

    def share_at(self, iteration: int) -> float:
        """Return the share that the student of an iteration, from 1 on, learns."""
        way = (iteration - 1) / max(1, self.iterations - 1)
        return self.share + way * (self.last_share - self.share)


_MOST_VALIDATION = 0.5
