"""The form of a new round: what suits the dataset is filled in, with the reason; everything can be changed."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from app.components.further_networks import further_fields
from app.components.recipe_form import recipe_field, recipe_fields
from app.components.round_fields import OWN_FIELDS, network_fields, size_fields, training_fields
from app.services.rounds import Proposal
from app.services.timings import Estimates, about
from core.config import Method, RoundConfig, further, mixes, trained, with_model
from core.types import ConfigError, Recipe

_LOOK_SECONDS = 2.0
_NAMES = {Method.PROBE: "Fast: pretrained network", Method.FINE_TUNE: "Longer: fine-tune it"}

_LAST = "As in the last round"


@dataclass(frozen=True, slots=True)
class Wish:
    """A round somebody wants: what it does, how its networks are trained, and the recipe's own settings."""

    recipe: Recipe
    config: RoundConfig
    settings: dict[str, Any]


def round_form(
    proposal: Proposal,
    key: str,
    *,
    number: int,
    waits_for: str | None = None,
    look_at_times: Callable[[], Estimates] = lambda: Estimates((), pending=False),
) -> Wish | None:
    """Draw the form and return what is wanted when Start was pressed in this run; not while another is at work.

    `look_at_times` returns how long each proposal takes.
    """
    before, after, of_scenes = OWN_FIELDS[proposal.task]
    with st.container(border=True, key=key):
        st.markdown(f"**Round {number}**")
        begin = _chosen_proposal(proposal, key)
        _draw_times(proposal, look_at_times)
        if begin != proposal.config:  # whose fields begin with its own values
            key = f"{key}_last" if begin is proposal.remembered else f"{key}_other"
        recipe = recipe_field(proposal.task, key)
        settings = recipe_fields(recipe, proposal.splits, key)
        if recipe.proposes:  # such recipes train networks
            begin = trained(begin)
        chosen: dict[str, Any] = {"model": begin.model}
        beside: list[dict[str, Any]] = []
        if recipe.trains:
            chosen = ({} if recipe.proposes else before(begin, key)) | network_fields(begin, proposal, key)
            chosen |= size_fields(begin, key, folded=recipe is Recipe.CROSS_FOLD) | after(begin, key)
            with st.expander("More", key=f"{key}_more"):
                asked = replace(begin, method=chosen.get("method", begin.method))
                chosen |= training_fields(begin, key) | of_scenes(asked, key)
                beside = further_fields(begin, proposal, key) if mixes(recipe, proposal.task) else []
        if not st.button(
            "Start round",
            type="primary",
            icon=":material/play_arrow:",
            key=f"{key}_start",
            width="stretch",
            disabled=waits_for is not None,
            help=f"{waits_for} is still at work" if waits_for else None,
        ):
            return None
        try:
            first = replace(with_model(begin, chosen["model"]), **chosen)
            members = tuple(further(first, values) for values in beside)
            return Wish(recipe, replace(first, members=members), settings)
        except ConfigError as error:
            st.error(str(error), icon=":material/error:")
            return None


def _chosen_proposal(proposal: Proposal, key: str) -> RoundConfig:
    """Say what is proposed for these images, and ask which where there are several; the network used last is chosen."""
    configs = [*proposal.configs, *([proposal.remembered] if proposal.remembered else [])]
    names = [_NAMES[config.method] for config in proposal.configs] + [_LAST]
    chosen = first = len(configs) - 1 if proposal.remembered else 0
    if len(configs) > 1:
        asked = st.segmented_control(
            "Proposed", range(len(configs)), default=first, format_func=names.__getitem__, key=f"{key}_proposed"
        )
        chosen = first if asked is None else asked
    config = configs[chosen]
    epochs = f", {config.epochs} epochs" if config.method is Method.FINE_TUNE else ""
    why = "Used last" if config is proposal.remembered else f"Proposed for {proposal.images}"
    st.caption(f"{why}: {config.model} at {config.seen_size} pixels{epochs}")
    return config


def _draw_times(proposal: Proposal, look: Callable[[], Estimates]) -> None:
    """Say how long each proposal takes, or that it is being measured; the rest of the page does not wait for it."""

    def draw(known: Estimates) -> None:
        words = [
            f"{_NAMES[config.method].partition(':')[0]}: {about(seconds)}" if len(known.seconds) > 1 else about(seconds)
            for config, seconds in zip(proposal.configs, known.seconds, strict=False)
            if seconds is not None
        ]
        st.caption("measuring the time it takes..." if known.pending else " · ".join(words))

    def look_again() -> None:
        known = look()
        draw(known)
        if not known.pending:
            st.rerun()  # the page that no longer asks

    known = look()
    if known.pending:
        st.fragment(look_again, run_every=_LOOK_SECONDS)()
    else:
        draw(known)
