"""What the settings of all recipes share; each recipe has a module of its own beside this one."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from core.types import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeSettings:
    """What all recipes' settings share: they are stored as JSON and read back."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the settings stored as `values`; what is not named has its default.

        Raises:
            ConfigError: a setting is unknown or has a value that cannot work.
        """
        known = {item.name for item in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            those = ", ".join(sorted(known)) or "none"
            raise ConfigError(f"unknown settings {', '.join(unknown)} of the recipe; known are {those}")
        return cls(**values)
