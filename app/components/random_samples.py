"""Random samples of a round: their start, and the estimates from their verdicts."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from app.components.charts import precision_curve
from app.components.complaints import plain
from app.components.links import link_to_merge
from app.services.reviews import AuditView, Hint, share_text
from app.services.reviews.evidence import set_name
from app.services.rounds.insight import Samples
from core.types import FindingKind

_OFFERED = {
    FindingKind.SUSPICIOUS: "suspicious findings",
    FindingKind.AGREEING: "agreeing findings",
    FindingKind.UNLABELLED: "suggestions for unlabelled images",
}
_BADGES = {
    "certified": ":green-badge[:material/verified: certified]",
    "failed": ":orange-badge[:material/close: not certifiable]",
    "closed": ":gray-badge[:material/lock: closed]",
    "open": ":blue-badge[:material/pending: open]",
}
_MOST_LISTED = 8


def random_samples(found: Samples, classes: Sequence[str], key: str, *, own_count: int | None) -> FindingKind | None:
    """Draw a round's random samples and return the kind of sample to start or continue.

    `own_count` are the wrong labels that the model itself counts.
    """
    st.markdown("**Random samples**")
    st.caption(
        "Only verdicts on a random sample show how many labels are wrong and how many suggestions are right: 30 for a "
        "first number, 60 for a better one."
    )
    sentences, curve = st.columns(2, gap="large")
    with sentences:
        for line in _facts(found):
            st.markdown(plain(line))
        if own_count is not None and found.recalibration.wrong:
            st.caption(f"Model's own count, unverified: {own_count:,} wrong.")
        pressed = _buttons(found, key)
        _list(found.listed, classes)
    with curve:
        _curve(found, key)
    return pressed


def draw_hints(hints: Sequence[Hint], dataset_id: int) -> None:
    """Draw the hints on a round, each with its reason and advice; similar classes get a link to their merge."""
    if hints:
        lines = "".join(f"\n- {plain(hint.text)} {plain(hint.advice)}" for hint in hints)
        st.info(f"Look at these before accepting in bulk:\n{lines}", icon=":material/lightbulb:")
    for both in [hint.classes for hint in hints if hint.classes is not None]:
        link_to_merge(dataset_id, both, "If the two are one class: merge them")


def _facts(found: Samples) -> list[str]:
    recalibration = found.recalibration
    lines = [recalibration.wrong.text] if recalibration.wrong else []
    if recalibration.share:
        lines.append(f"Suggestions: {share_text(recalibration.share)}.")
    if recalibration.next_errors:
        coming = recalibration.next_errors
        lines.append(
            f"Among the next {recalibration.next_cards} cards: about {coming.estimate:,.0f} wrong labels "
            f"(90 % interval {coming.low:,.0f} to {coming.high:,.0f})."
        )
    unlabelled = found.whole.get(FindingKind.UNLABELLED)
    if unlabelled and unlabelled.estimate:
        lines.append(f"Unlabelled: {share_text(unlabelled.estimate)}.")
    elif FindingKind.UNLABELLED in found.sizes:
        lines.append("Suggestions for unlabelled images: precision unknown.")
    return lines


def _buttons(found: Samples, key: str) -> FindingKind | None:
    pressed = None
    with st.container(horizontal=True):
        for kind, name in _OFFERED.items():
            if kind not in found.sizes:
                continue
            started, size = found.whole.get(kind), found.sizes[kind]
            label = f"Continue the sample of {name}" if started else f"Check a random sample of {name}"
            if st.button(
                label,
                icon=":material/casino:",
                key=f"{key}_{kind.name.lower()}",
                help=f"{size:,} in one random order; judge the first 30 to 60 of them",
                disabled=started is not None and started.judged == size,
            ):
                pressed = kind
    return pressed


def _list(listed: Sequence[AuditView], classes: Sequence[str]) -> None:
    if len(listed) > _MOST_LISTED:
        st.caption(f"The newest {_MOST_LISTED} of {len(listed)} samples.")
    for one in listed[::-1][:_MOST_LISTED]:
        address = {"round": str(one.audit.round_id), "audit": str(one.audit.id)}
        name = plain(f"{_capital(set_name(one.audit.filter, classes))} ({one.audit.size:,})")
        with st.container(horizontal=True, vertical_alignment="center"):
            label = f"Sample {one.audit.id}"
            st.page_link("pages/review.py", label=label, icon=":material/rule:", query_params=address)
            st.markdown(_BADGES[one.state], width="content")
        lines = [f"**{name}**", plain(_capital(one.text))]
        if one.estimate and not one.certificate:
            lines.append(plain(share_text(one.estimate)))
        if one.pixels:
            lines.append(plain(f"Pixels: {share_text(one.pixels)}"))
        lines += [
            plain(f"Quarter from {part.audit.filter['min_confidence']:.2f} on: {part.text}") for part in one.quarters
        ]
        st.markdown("  \n".join(lines))


def _curve(found: Samples, key: str) -> None:
    recalibration = found.recalibration
    if FindingKind.SUSPICIOUS not in found.sizes:
        return
    proposed = recalibration.proposed_threshold
    head = "no threshold is proposed" if proposed is None else f"proposed threshold {proposed:.2f}"
    st.markdown(f"**Precision by threshold: {head}**")
    st.caption(plain(f"{_capital(recalibration.reason)}."))
    if recalibration.warning:
        st.warning(recalibration.warning, icon=":material/trending_down:")
    if recalibration.curve:
        precision_curve(recalibration.curve, _certificates(found.listed), proposed, f"{key}_curve")


def _certificates(listed: Sequence[AuditView]) -> list[tuple[float, float, str]]:
    """Return (threshold, share, text) of the certificates of sets that a threshold alone defines."""
    return [
        (one.audit.filter["min_confidence"], one.certificate.share, one.certificate.text)
        for one in listed
        if one.certificate and one.audit.kind is FindingKind.SUSPICIOUS and _is_plain(one.audit.filter)
    ]


def _is_plain(stored: dict[str, Any]) -> bool:
    narrowing = ("given", "pseudo", "split", "fold", "path_contains", "min_area", "max_area", "class_percents")
    return stored["max_confidence"] == 1 and not any(stored[name] not in (None, "", []) for name in narrowing)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
