"""Form of a new round, filled in with the configuration proposed for the dataset."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import streamlit as st

from app.components.further_networks import further_fields
from app.components.recipe_form import recipe_field, recipe_fields
from app.components.round_fields import OWN_FIELDS, network_fields, size_fields, training_fields
from app.services.recipes import RECIPES
from app.services.rounds.jobs import RoundInfo, RoundProposal
from app.services.rounds.preview import Estimates, about_time
from core.config import (
    ProbabilityMethod,
    RecipeSettings,
    RoundConfig,
    as_fine_tuning,
    further_network,
    with_model,
)
from core.types import ConfigError, Recipe

_POLL_SECONDS = 2.0
_NAMES = {ProbabilityMethod.PROBE: "Fast: pretrained network", ProbabilityMethod.FINE_TUNE: "Longer: fine-tune it"}

_LAST = "As in the last round"
_TIMED = frozenset({"model", "method", "input_size", "epochs", "batch_size"})  # a training's time depends on them
_UNTIMED = "The time it takes is shown once it runs."


def round_form(
    proposal: RoundProposal,
    key: str,
    *,
    number: int,
    blocked: str | None = None,
    look_at_times: Callable[[], Estimates] = lambda: Estimates((), pending=False),
) -> tuple[Recipe, RoundConfig, dict[str, Any]] | None:
    """Draw the form and return its values if Start was pressed in this run; `blocked` is the reason against it.

    Values are the recipe, the training settings, and the recipe's own settings.
    `look_at_times` returns the estimated duration of each proposal.
    """
    before, after, of_scenes = OWN_FIELDS[proposal.task]
    with st.container(border=True, key=key):
        st.markdown(f"**Round {number}**")
        begin = _chosen_proposal(proposal, key)
        times = st.container()
        if begin != proposal.config:  # fields of its own, with its values
            key = f"{key}_last" if begin is proposal.remembered else f"{key}_other"
        recipe = recipe_field(proposal.task, key)
        settings = recipe_fields(recipe, proposal, key)
        probes = proposal.task in recipe.probes
        if not probes:  # the recipe trains networks
            begin = as_fine_tuning(begin)
        chosen: dict[str, Any] = {"model": begin.model}
        further: list[dict[str, Any]] = []
        if recipe.trains:
            chosen = (before(begin, key) if probes else {}) | network_fields(begin, proposal, key)
            probed = chosen.get("method", begin.method) is ProbabilityMethod.PROBE
            chosen |= size_fields(begin, key, folded=recipe.in_folds, probes=probed) | after(begin, key)
            with st.expander("More", key=f"{key}_more"):
                network = replace(begin, method=chosen.get("method", begin.method))
                chosen |= training_fields(begin, key) | of_scenes(network, key)
                further = further_fields(begin, proposal, key) if proposal.task in recipe.mixes else []
        with times:
            if recipe.timed and recipe.in_folds:
                _draw_times(look_at_times, partial(_times_of_proposals, proposal))
            elif recipe.timed:
                timed = {name: chosen[name] for name in _TIMED & chosen.keys()}
                own = partial(RECIPES[recipe].settings.from_json, settings)
                _draw_times(look_at_times, partial(_time_of_one_piece, proposal, begin, timed, own))
            elif recipe.trains:
                st.caption(_UNTIMED)
        pressed = st.button(
            "Start round",
            type="primary",
            icon=":material/play_arrow:",
            key=f"{key}_start",
            width="stretch",
            disabled=blocked is not None,
        )
        if blocked:
            st.caption(blocked)
        if not pressed:
            return None
        try:
            first = replace(with_model(begin, chosen["model"]), **chosen)
            members = tuple(further_network(first, values) for values in further)
            return recipe, replace(first, members=members), settings
        except ConfigError as error:
            st.error(str(error), icon=":material/error:")
            return None


def blocked_reason(at_work: RoundInfo | None, *, is_bare: bool) -> str | None:
    """Return the reason against starting a round, None if there is none; `is_bare`: no image has a label."""
    if at_work is not None:
        return f"{at_work.name} is still running: wait for it, or cancel it first."
    return "No image has a label yet: label some first." if is_bare else None


def _chosen_proposal(proposal: RoundProposal, key: str) -> RoundConfig:
    """Draw the proposals and return the chosen one; the network used last is the default."""
    configs = [*proposal.configs, *([proposal.remembered] if proposal.remembered else [])]
    names = [_NAMES[config.method] for config in proposal.configs] + [_LAST]
    chosen = first = len(configs) - 1 if proposal.remembered else 0
    if len(configs) > 1:
        selected = st.segmented_control(
            "Proposed", range(len(configs)), default=first, format_func=names.__getitem__, key=f"{key}_proposed"
        )
        chosen = first if selected is None else selected
    config = configs[chosen]
    epochs = f", {config.epochs} epochs" if config.method is ProbabilityMethod.FINE_TUNE else ""
    why = "Used last" if config is proposal.remembered else f"Proposed for {proposal.images}"
    st.caption(f"{why}: {config.model} at {config.seen_size} pixels{epochs}")
    return config


def _times_of_proposals(proposal: RoundProposal, known: Estimates) -> str:
    """Return the time of each proposal's round in folds."""
    return " · ".join(
        f"{_NAMES[config.method].partition(':')[0]}: {about_time(seconds)}"
        if len(known.seconds) > 1
        else about_time(seconds)
        for config, seconds in zip(proposal.configs, known.seconds, strict=False)
        if seconds is not None
    )


def _time_of_one_piece(
    proposal: RoundProposal,
    begin: RoundConfig,
    chosen: Mapping[str, Any],
    read_settings: Callable[[], RecipeSettings],
    known: Estimates,
) -> str:
    """Return the time of a recipe of one piece, if a trial measured the chosen network."""
    try:
        config, settings = replace(begin, **chosen), read_settings()
    except ConfigError:
        return _UNTIMED  # refused at the start, with the reason
    for proposed, costs in zip(proposal.configs, known.costs, strict=False):
        if costs is not None and replace(proposed, epochs=config.epochs, batch_size=config.batch_size) == config:
            seconds = settings.seconds(costs, config.epochs, config.batch_size)
            return _UNTIMED if seconds is None else about_time(seconds)
    return _UNTIMED


def _draw_times(look: Callable[[], Estimates], words: Callable[[Estimates], str]) -> None:
    """Draw estimated durations, measured in the background while the page is shown."""

    def draw(known: Estimates) -> None:
        st.caption("measuring the time it takes..." if known.pending else words(known))

    def poll_times() -> None:
        known = look()
        draw(known)
        if not known.pending:
            st.rerun()  # draw the answer

    known = look()
    if known.pending:
        st.fragment(poll_times, run_every=_POLL_SECONDS)()
    else:
        draw(known)
