"""Card of a dataset: sample images, counts, progress of its review, and links."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import streamlit as st

from app.components.evaluation_panel import open_splits
from app.components.job_progress import headline
from app.components.links import queue_of
from app.components.members import members_text
from app.services.datasets import DatasetCard, RoundSummary, WrongLabels
from app.services.demo import DEMO
from app.services.evaluation.split_names import DRAWN
from app.services.label_kinds import label_kind
from app.services.rounds.jobs import RoundProgress
from app.services.rounds.preview import about_time
from core.data.buckets import displayed_path
from core.data.formats.detect import FORMATS
from core.data.formats.source import SourceFormat
from core.types import counted

_CLASSES_SHOWN = 6
_CLOSED = "cards_closed_menus"  # in the session: how often each menu was closed by a choice

STYLE = """<style>
.st-key-cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,410px),1fr));gap:14px}
.st-key-cards>*{width:auto!important;min-width:0}
.of-card p{margin:0}
.of-name{font-size:16px;font-weight:650;overflow-wrap:anywhere;line-height:1.3;padding-top:8px}
.of-sub{font-size:12.5px;opacity:.72;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.of-known{white-space:normal;padding-top:6px}
.of-state{font-size:13px;padding-top:9px;display:flex;gap:8px;align-items:baseline}
.of-state b{font-variant-numeric:tabular-nums;flex:none}.of-state span{opacity:.72;margin-left:auto}
.of-bar{height:6px;border-radius:3px;overflow:hidden;margin:5px 0 0;
  background:color-mix(in srgb,currentColor 10%,transparent)}
.of-bar i{display:block;height:100%;background:#2b8a4b}.of-bar i.busy{background:#1f6feb}
</style>"""


@dataclass(frozen=True, slots=True)
class Pressed:
    """Request from a card: report, new name or location, members or deletion of the dataset; else import it again."""

    dataset_id: int
    report: int | None = None
    new_name: str = ""
    new_place: str = ""
    new_image_root: str = ""  # folder of the images of a table at `new_place`
    delete: bool = False
    members: bool = False


def draw_cards(
    cards: list[DatasetCard],
    wrong: Mapping[int, WrongLabels],
    progress: Mapping[int, RoundProgress],
    key: str = "cards",
    members: Mapping[int, Sequence[str]] | None = None,
) -> Pressed | None:
    """Draw the cards and return the request of the button pressed in this run.

    `wrong` holds the estimates of wrong labels, `progress` unfinished newest rounds, `members` the users who see a
    restricted dataset, all by dataset; without login `members` is None.
    """
    st.html(STYLE)
    if progress and not any(card.reviewable for card in cards):
        st.info(first_wait(list(progress.values())), icon=":material/hourglass_top:")
    pressed = None
    with st.container(key=key):
        for card in cards:
            with st.container(border=True, key=f"{key}_{card.dataset.id}", height="stretch"):
                seen_by = None if members is None else members.get(card.dataset.id)
                st.html(card_html(card, wrong.get(card.dataset.id), progress.get(card.dataset.id), seen_by))
                pressed = _draw_actions(card, f"{key}_{card.dataset.id}", has_login=members is not None) or pressed
    return pressed


def first_wait(progress: Sequence[RoundProgress]) -> str:
    """Return the notice while nothing can be reviewed yet, with the time left if known."""
    known = [one.seconds_left for one in progress if one.seconds_left is not None]
    demo = "Two demo datasets with some wrong labels are being prepared. "
    begin = demo if all(one.round.created_by == DEMO for one in progress) else ""
    left = f"in {about_time(min(known))}" if known else "when the first round is done; its time left shows soon"
    return f"{begin}Outfold is looking for wrong labels; the first cards can be reviewed {left}."


def card_html(
    card: DatasetCard,
    wrong: WrongLabels | None,
    progress: RoundProgress | None = None,
    members: Sequence[str] | None = None,
) -> str:
    """Return the card's HTML; all data is escaped. `members` see a restricted dataset, None: all users do."""
    images = "".join(
        f'<img src="/outfold/image/{escape(cover)}/96.webp" alt="" loading="lazy">' for cover in card.covers
    )
    offered = card.dataset.class_state.offered_names
    names = ", ".join(offered[:_CLASSES_SHOWN])
    more = f" and {len(offered) - _CLASSES_SHOWN} more" * (len(offered) > _CLASSES_SHOWN)
    kept = set(card.dataset.evaluation_splits)
    splits = " · ".join(
        f"{'' if name == DRAWN and name in kept else f'{name} '}{count:,}{' for evaluation' * (name in kept)}"
        for name, count in card.split_counts.items()
        if name
    )
    masks = "" if card.masks is None else counted(card.masks, "mask")
    classes = counted(len(offered), "class", "classes") if offered else ""  # "no labels" stands below
    facts = filter(None, [counted(card.images, "image"), masks, classes, splits])
    return (
        f'<div class="of-card"><div class="of-strip">{images}</div>'
        f'<p class="of-name">{escape(card.dataset.name)}</p>'
        f'<p class="of-sub">{escape(" · ".join(facts))}</p>'
        f'<p class="of-sub" title="{escape(", ".join(offered))}">{escape(names + more) or "no labels"}</p>'
        f'<p class="of-sub" title="{escape(displayed_path(card.dataset.root))}">{escape(_source(card))}</p>'
        f"{'' if members is None else _only_for(members)}"
        f"{_state(card, progress)}{_quality(wrong)}</div>"
    )


def _only_for(members: Sequence[str]) -> str:
    return f'<p class="of-sub of-members">Only for {escape(members_text(list(members)))}</p>'


def _source(card: DatasetCard) -> str:
    return f"{FORMATS[SourceFormat(card.dataset.format)].title}, {displayed_path(card.dataset.root)}"


def _quality(wrong: WrongLabels | None) -> str:
    return f'<p class="of-sub of-known" title="{escape(wrong.text)}">{escape(wrong.text)}</p>' if wrong else ""


def _state(card: DatasetCard, progress: RoundProgress | None) -> str:
    newest = card.newest
    if newest is None and _is_bare(card):
        return '<p class="of-state">Imported without labels: label some images, then start a round.</p>'
    if newest is None:
        return '<p class="of-state">No round yet: start one to find wrong labels.</p>'
    if progress is not None:
        left = "" if progress.seconds_left is None else f"{about_time(progress.seconds_left)} left"
        text = f"<b>{escape(progress.round.name)}</b> {escape(headline(progress))}<span>{left}</span>"
        return _bar(text, progress.fraction, "busy")
    if not newest.is_reviewable and card.reviewable is None:
        why = f": {newest.message}" if newest.message else ""
        return f'<p class="of-state">Round {newest.number} {newest.status.value}{escape(why)}</p>'
    what, shown = label_kind(card.dataset.task).reviewed, card.reviewable or newest
    proposals = _left(shown, "proposed", what, shown.proposed, shown.proposed_decided)
    earlier = _review_state(card.contradicting, what) if card.contradicting else ""
    return _review_state(shown, what) + proposals + earlier


def _is_bare(card: DatasetCard) -> bool:
    """Return True if all images were imported without a label."""
    return set(card.class_counts) == {""}


def _review_state(found: RoundSummary, what: str) -> str:
    if not found.recipe.suggests:
        return _left(found, "unlabelled", "images", found.left, found.decided)
    kind = "proposed" if found.recipe.proposes else "suspicious"
    nothing = "proposed nothing" if found.recipe.proposes else "found nothing suspicious"
    none = f'<p class="of-state">Round {found.number} {nothing}.</p>'
    return _left(found, kind, what, found.left, found.decided) or none


def _left(found: RoundSummary, kind: str, what: str, left: int, decided: int) -> str:
    """Return the open count of one kind and its progress; "" without any."""
    if not left + decided:
        return ""
    text = f"<b>{left:,}</b> {kind} {what} left<span>Round {found.number} · {decided:,} decided</span>"
    return _bar(text, decided / (left + decided), "done")


def _bar(text: str, fraction: float, kind: str) -> str:
    width = round(100 * min(1.0, max(0.0, fraction)), 1)
    return f'<p class="of-state">{text}</p><div class="of-bar"><i class="{kind}" style="width:{width}%"></i></div>'


def _draw_actions(card: DatasetCard, key: str, *, has_login: bool) -> Pressed | None:
    with st.container(horizontal=True, vertical_alignment="center", key=f"{key}_actions"):
        dataset = {"dataset": str(card.dataset.id)}
        if card.reviewable:
            chosen = queue_of(card.reviewable.id, card.reviewable.recipe)
            name = "Review" if card.reviewable.recipe.suggests else "Label images"
            st.page_link("pages/review.py", label=name, icon=":material/rule:", query_params=chosen)
        elif _is_bare(card):
            st.page_link("pages/review.py", label="Label images", icon=":material/label:", query_params=dataset)
        if card.contradicting:
            earlier = card.contradicting
            st.page_link(
                "pages/review.py",
                label=f"Round {earlier.number}",
                icon=":material/rule:",
                query_params=queue_of(earlier.id, earlier.recipe),
            )
        st.page_link(
            "pages/rounds.py",
            label="Rounds" if card.rounds else "Start a round",
            icon=":material/cycle:",
            query_params=dataset,
        )
        if card.reviewable and card.reviewable.recipe.suggests:
            st.page_link("pages/insight.py", label="Insight", icon=":material/insights:", query_params=dataset)
        if card.reviewable:
            st.page_link("pages/exports.py", label="Export", icon=":material/output:", query_params=dataset)
        label = f"{card.problems:,} {'problem' if card.problems == 1 else 'problems'}"
        if card.problems and st.button(label, icon=":material/summarize:", type="tertiary", key=f"{key}_report"):
            return Pressed(card.dataset.id, report=card.import_id)
        with st.container(key=f"{key}_menu", width="content"):
            closed = st.session_state.setdefault(_CLOSED, {})
            pressed = _draw_menu(card, key, closed.get(key, 0), has_login=has_login)
        if pressed is not None:
            closed[key] = closed.get(key, 0) + 1
        return pressed


def _draw_menu(card: DatasetCard, key: str, closed: int, *, has_login: bool) -> Pressed | None:
    """Draw the menu; its key counts how often it was `closed`, so that it does not stay over the dialog it opened."""
    with st.popover(
        "",
        icon=":material/more_horiz:",
        key=f"{key}_menu_{closed}",
        help="Import again, classes, evaluation, rename, move, delete",
    ):
        if st.button(
            "Import again", icon=":material/sync:", key=f"{key}_again", help="Adds the new images of its folder"
        ):
            return Pressed(card.dataset.id)
        if not card.problems and st.button("Import report", icon=":material/summarize:", key=f"{key}_report"):
            return Pressed(card.dataset.id, report=card.import_id)
        st.page_link(
            "pages/classes.py",
            label="Classes",
            icon=":material/category:",
            query_params={"dataset": str(card.dataset.id)},
        )
        if st.button("Evaluation splits", icon=":material/shield:", key=f"{key}_splits"):
            open_splits(card.dataset.id)
        if has_login and st.button("Members…", icon=":material/group:", key=f"{key}_members"):
            return Pressed(card.dataset.id, members=True)
        name = st.text_input("Name", value=card.dataset.name, key=f"{key}_name")
        if st.button("Rename", icon=":material/edit:", key=f"{key}_rename") and name.strip() != card.dataset.name:
            return Pressed(card.dataset.id, new_name=name)
        place = st.text_input("Folder or table", value=displayed_path(card.dataset.root), key=f"{key}_place").strip()
        former = displayed_path(str(card.dataset.options.get("image_root") or ""))
        images = st.text_input("Folder of its images", value=former, key=f"{key}_image_root").strip() if former else ""
        hint = "The images are in another folder now; they are recognised by their content"
        if st.button("Move", icon=":material/drive_file_move:", key=f"{key}_move", help=hint) and place:
            return Pressed(card.dataset.id, new_place=place, new_image_root=images)
        gone = st.button("Delete…", icon=":material/delete:", key=f"{key}_delete")
    return Pressed(card.dataset.id, delete=True) if gone else None
