"""What the settings of all recipes share; each recipe has a module of its own beside this one."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from core.types import ConfigError

_KINDS: Mapping[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text; a number as one stands in quotes, as in '\"2020\"'",
}


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
        for item in fields(cls):
            if item.name in values:
                _check_kind(item.name, values[item.name], type(item.default))
        return cls(**values)


def _check_kind(name: str, value: object, kind: type) -> None:
    """Refuse what is of another kind than a setting's default; a whole number is a number too, true is none."""
    if type(value) is not kind and not (kind is float and type(value) is int):
        raise ConfigError(f"{name} is {json.dumps(value)}, must be {_KINDS[kind]}")
