"""Deletion of datasets, rounds and images, and undo of imports: a dialog with a preview, restorable for a week."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Protocol

import streamlit as st

from app.components.complaints import complaints, plain
from app.components.identity import name_for_record, require
from app.services import datasets, deletions
from app.services.app_context import AppContext
from app.services.deletions import Deletion, contents_text, days_left
from app.services.imports import jobs as import_jobs, undo as import_undo
from app.services.imports.jobs import ImportInfo
from app.services.imports.undo import ImportEffect
from app.services.removals import Removal, RemovalFilter
from app.services.rounds import jobs as rounds
from app.services.rounds.jobs import RoundInfo
from core.types import NO_LABEL, JobStatus, Right

_DELETION_KEY = "deletion_asked"  # in the session: the id of the dataset or round to be deleted
_DELETION_DONE = "deletion_said"  # in the session: message of the finished act
_REMOVAL_KEY = "removal_asked"  # in the session: the images to be removed, and their description
_REMOVAL_DONE = "removal_said"  # in the session: message of the finished act
_UNDO_KEY = "import_undo_asked"  # in the session: the id of the import to be undone
_UNDO_DONE = "import_undo_said"  # in the session: message of the finished act


class HasName(Protocol):
    """A dataset or round."""

    @property
    def name(self) -> str:
        """Return the name."""


Chosen = RemovalFilter | tuple[int, ...]


class Remove(Protocol):
    """Removes images if they are as many as expected."""

    def __call__(self, chosen: Chosen, by: str, *, what: str, expected: int) -> Any:  # noqa: ANN401  ignored
        """Remove them; `what` describes them for the record."""


def ask_deletion(row_id: int) -> None:
    """Open the deletion dialog in the next run of the page."""
    st.session_state[_DELETION_KEY] = row_id
    st.rerun()


def _draw_deletion(
    find: Callable[[int], HasName], held: Callable[[int], dict[str, int]], delete: Callable[[int, str], Any], stays: str
) -> None:
    """Draw the dialog that `ask_deletion` opened; `stays` describes what the deletion leaves untouched."""
    row_id = st.session_state.pop(_DELETION_KEY, None)
    if row_id is not None:
        _deletion_dialog(row_id, find(row_id).name, contents_text(held(row_id)), delete, stays)
    if message := st.session_state.pop(_DELETION_DONE, ""):
        st.toast(plain(message), icon=":material/delete:")


def confirm_buttons(label: str, icon: str, key: str) -> bool:
    """Draw the two buttons of a dialog, and return whether the confirming one was pressed."""
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Cancel", key=f"{key}_cancel"):
            st.rerun()
        return st.button(label, type="primary", icon=icon, key=f"{key}_confirm")


@st.dialog("Delete")
def _deletion_dialog(row_id: int, name: str, held: str, delete: Callable[[int, str], Any], stays: str) -> None:
    st.markdown(f"**{plain(name)}** holds {plain(held)}.")
    st.caption(f"{stays} You can restore it from *Deleted* on the Datasets page for a week; then it is gone for good.")
    if confirm_buttons("Delete", ":material/delete:", "deletion"):
        with complaints():
            require(Right.DELETE)
            delete(row_id, name_for_record())
            st.session_state[_DELETION_DONE] = f"{name} is deleted. Restore it on the Datasets page, under Deleted."
            st.rerun()


def round_deletion(app_context: AppContext, listed: Sequence[RoundInfo], selected: Sequence[int], key: str) -> None:
    """Draw the button that deletes the selected round, its dialog, and the list of removals in the dataset."""
    chosen = [info for info in listed if info.id in selected and info.status.ended]
    if len(chosen) == 1 and st.button(f"Delete {chosen[0].name.lower()}…", icon=":material/delete:", key=key):
        ask_deletion(chosen[0].id)
    with complaints():
        found, held = partial(rounds.get_round, app_context), partial(deletions.round_contents, app_context)
        stays = "Its verdicts and accepted labels stay; its findings, predictions and networks are deleted."
        _draw_deletion(found, held, partial(deletions.delete_round, app_context), stays)
    _draw_removals(deletions.list_removals(app_context, listed[0].dataset_id))


def dataset_deletion(app_context: AppContext) -> None:
    """Draw the dialog that deletes the dataset of `ask_deletion`."""
    with complaints():
        found, held = partial(datasets.get_dataset, app_context), partial(deletions.dataset_contents, app_context)
        _draw_deletion(
            found, held, partial(deletions.delete_dataset, app_context), "The image files stay where they are."
        )


def draw_deleted(found: Sequence[Deletion], restore: Callable[[int], str]) -> None:
    """Draw the restorable deletions; nothing if there are none."""
    if not found:
        return
    with st.expander(f"Deleted ({len(found)})", icon=":material/delete:", key="deleted"):
        for one in found:
            left = days_left(one)
            with st.container(horizontal=True, vertical_alignment="center", key=f"deleted_{one.id}"):
                st.markdown(
                    f"**{plain(one.name)}** · {plain(contents_text(one.held))} · by {plain(one.deleted_by)}, "
                    f"{left} {'day' if left == 1 else 'days'} left"
                )
                if st.button("Restore", icon=":material/restore:", key=f"restore_{one.id}"):
                    name = restore(one.id)
                    st.session_state[_DELETION_DONE] = f"{name} is restored."
                    st.rerun()


def _draw_removals(found: Sequence[tuple[Deletion, datetime | None]]) -> None:
    """Draw the removals of images and undone imports of a dataset, restored ones included."""
    if not found:
        return
    st.markdown("**Images removed and imports undone**")
    lines = [
        f"{one.deleted_at:%Y-%m-%d %H:%M} by {one.deleted_by}: {one.name} ({contents_text(one.held)})"
        + (f", restored {restored:%Y-%m-%d %H:%M}" if restored else "")
        for one, restored in found
    ]
    st.markdown("\n".join(f"- {plain(line)}" for line in lines))


def ask_removal(chosen: Chosen, what: str) -> None:
    """Open the removal dialog in the next run of the page."""
    st.session_state[_REMOVAL_KEY] = (chosen, what)
    st.rerun()


def draw_removal(tell: Callable[[Chosen], Removal], remove: Remove) -> None:
    """Draw the dialog that `ask_removal` opened, and remove the images on confirmation."""
    removal = st.session_state.pop(_REMOVAL_KEY, None)
    if removal is not None:
        chosen, what = removal
        _removal_dialog(tell(chosen), chosen, what, remove)
    if message := st.session_state.pop(_REMOVAL_DONE, ""):
        st.toast(plain(message), icon=":material/delete:")


@st.dialog("Remove images")
def _removal_dialog(found: Removal, chosen: Chosen, what: str, remove: Remove) -> None:
    count = len(found.ids)
    if not count:
        st.markdown(f"No image is chosen: {plain(what)}.")
        return
    st.markdown(f"Remove **{plain(found.text)}**? {plain(what[:1].upper() + what[1:])}.")
    used = f"{found.rounds:,} {'round has' if found.rounds == 1 else 'rounds have'} findings of them, removed too. "
    st.caption(
        f"{used if found.rounds else ''}The image files stay where they are. You can restore them from *Deleted* on "
        "the Datasets page for a week; then they are gone for good."
    )
    if confirm_buttons(f"Remove {count:,} {'image' if count == 1 else 'images'}", ":material/delete:", "removal"):
        with complaints():
            remove(chosen, name_for_record(), what=what, expected=count)
            done = f"{count:,} {'image is' if count == 1 else 'images are'} removed."
            st.session_state[_REMOVAL_DONE] = f"{done} Restore them on the Datasets page, under Deleted."
            st.rerun()


def choose_images(dataset_id: int, classes: Sequence[str], splits: Sequence[str], key: str) -> None:
    """Draw the choice of images by given class, split and path, and the button that opens the removal dialog."""
    with st.expander("Remove images by class, split or path", icon=":material/delete:", key=key):
        columns = st.columns(3)
        names = {number: name for number, name in enumerate(classes)} | {NO_LABEL: "no label"}  # noqa: C416
        label = columns[0].selectbox(
            "Given class", [None, *names], format_func=lambda one: "any" if one is None else names[one],
            key=f"{key}_class",
        )  # fmt: skip
        split = columns[1].selectbox(
            "Split", [None, *splits], format_func=lambda one: "any" if one is None else one or "no split",
            key=f"{key}_split",
        )  # fmt: skip
        path = columns[2].text_input("Path contains", key=f"{key}_path").strip()
        words = [f"given {names[label]}"] if label is not None else []
        words += [f"split {split or 'none'}"] if split is not None else []
        words += [f"path contains {path}"] if path else []
        if not words:
            st.caption("Choose a class or a split, or write a part of the path.")
        if st.button("Remove…", icon=":material/delete:", key=f"{key}_remove", disabled=not words):
            chosen = RemovalFilter(dataset_id=dataset_id, label=label, split=split, path_contains=path)
            ask_removal(chosen, ", ".join(words))


def import_acts(app_context: AppContext, shown: ImportInfo | None) -> int | None:
    """Draw the acts on the import whose report is shown; return the id of an import that was started."""
    import_id = st.session_state.pop(_UNDO_KEY, None)
    if import_id is not None:
        _undo_dialog(app_context, import_undo.preview_undo(app_context, import_id))
    if message := st.session_state.pop(_UNDO_DONE, ""):
        st.toast(plain(message), icon=":material/undo:")
    if shown is None or shown.dataset_id is None or shown.status is not JobStatus.DONE:
        return None
    _draw_imports(import_undo.list_imports(app_context, shown.dataset_id), shown.id, f"imports_{shown.id}")
    if _bring_back((shown.report or {}).get("stays_removed", 0), f"removed_{shown.id}"):
        return import_jobs.bring_back(app_context, shown.dataset_id)
    return None


def _bring_back(count: int, key: str) -> bool:
    """Draw the count of removed images that the source still has, and return whether their button was pressed."""
    if not count:
        return False
    with st.container(border=True, key=key):
        words = "image that was removed by hand stays" if count == 1 else "images that were removed by hand stay"
        st.caption(f"{count:,} {words} removed.")
        return st.button(
            "Bring it back" if count == 1 else f"Bring {count:,} images back",
            icon=":material/restore:",
            key=f"{key}_back",
            help="Imports the source again and shows these images with their verdicts.",
        )


def _draw_imports(listed: Sequence[tuple[ImportInfo, str]], shown: int, key: str) -> None:
    """Draw a dataset's imports, the shown one first, each with its undo or the reason against it."""
    own = next((one for one in listed if one[0].id == shown), None)
    others = [one for one in listed if one[0].id != shown]
    if own is not None:
        _draw_undo(*own, "Undo this import…", key)
    if others:
        with st.expander(f"Other imports of this dataset ({len(others)})", icon=":material/history:", key=key):
            for info, why_not in others:
                done = info.finished_at or info.created_at
                st.markdown(f"**{done:%Y-%m-%d %H:%M}** · {plain(str(info.request['source']))}")
                _draw_undo(info, why_not, "Undo…", key)


def _draw_undo(info: ImportInfo, why_not: str, label: str, key: str) -> None:
    if why_not:
        st.caption(plain(f"{why_not[:1].upper()}{why_not[1:]}."))
    elif st.button(label, icon=":material/undo:", key=f"{key}_undo_{info.id}"):
        st.session_state[_UNDO_KEY] = info.id
        st.rerun()


@st.dialog("Undo an import")
def _undo_dialog(app_context: AppContext, effect: ImportEffect) -> None:
    when = f"{effect.info.created_at:%Y-%m-%d %H:%M}"
    st.markdown(f"Undo the import of **{when}** into **{plain(effect.dataset.name)}**: {plain(effect.text)}.")
    used = f"{effect.rounds:,} {'round has' if effect.rounds == 1 else 'rounds have'} findings of these images. "
    st.caption(
        f"{used if effect.rounds else ''}Later changes, the classes and all files stay. You "
        "can restore it from *Deleted* on the Datasets page for a week; then it is gone for good."
    )
    if confirm_buttons("Undo the import", ":material/undo:", "import_undo"):
        with complaints():
            import_undo.undo(app_context, effect.info.id, name_for_record())
            st.session_state[_UNDO_DONE] = "The import is undone. Restore it on the Datasets page, under Deleted."
            st.rerun()
