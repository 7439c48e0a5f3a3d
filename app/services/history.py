"""A dataset's rounds as they followed one another: what changed in labels and settings from each to the next.

What a round did not measure, or opened too long ago to have noted, is None: unknown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.services.rounds import Comparison, RoundInfo, compare
from app.services.workspace import Workspace
from core.types import RoundStatus


@dataclass(frozen=True, slots=True)
class Past:
    """One round and what changed in it; `settings` are those that differ from the round before, as (then, now)."""

    round: RoundInfo
    compared: Comparison | None  # None: it is not finished
    settings: dict[str, tuple[Any, Any]]
    given: Mapping[str, Any] | None  # `core.judge.label_changes` against the labels the dataset came with
    before: Mapping[str, Any] | None  # the same against the round before, with its number as `round`
    verdicts: Mapping[str, int] | None  # what people decided since that one opened, by the names of `Status`
    is_first: bool  # no round before it was finished, so nothing can have changed since

    @property
    def changed_settings(self) -> str:
        """Return the settings that changed, in words."""
        return ", ".join(f"{name.replace('_', ' ')} {then} → {now}" for name, (then, now) in self.settings.items())


def history(workspace: Workspace, listed: Sequence[RoundInfo]) -> list[Past]:
    """Return the past of each round in `listed`, all of a dataset's rounds, newest first as they are."""
    past, finished = [], {one.round.id: one for one in compare(workspace, [info.id for info in listed])}
    for place, info in enumerate(listed):
        compared = finished.get(info.id)
        noted = compared.metrics.get("label_changes", {}) if compared else {}
        earlier = listed[place + 1] if place + 1 < len(listed) else None
        settings = {} if earlier is None else _differing(earlier, info)
        is_first = not any(one.status is RoundStatus.DONE for one in listed[place + 1 :])
        changes = noted.get("given"), noted.get("before"), noted.get("verdicts")
        past.append(Past(info, compared, settings, *changes, is_first))
    return past


def _differing(earlier: RoundInfo, info: RoundInfo) -> dict[str, tuple[Any, Any]]:
    """Return what differs; the recipes' own settings only where the recipe is the same."""
    alike = earlier.recipe is info.recipe
    then, now = (_settings(one, with_own=alike) for one in (earlier, info))
    return {name: (then.get(name), value) for name, value in now.items() if then.get(name) != value}


def _settings(info: RoundInfo, *, with_own: bool) -> dict[str, Any]:
    own = info.recipe_config or {} if with_own else {}
    return {"recipe": info.recipe.value} | info.config | {f"{info.recipe}: {name}": own[name] for name in own}
