"""Folder browser: choice of a folder on the server as the source of an import."""

from collections.abc import Callable, Sequence
from pathlib import Path

import streamlit as st

from app.components.complaints import complaints, plain
from app.services.imports.sources import FolderEntry, Listing

_HEIGHT = 320  # pixels; longer lists scroll


def browse_button(key: str) -> None:
    """Draw the button that opens and closes the browser."""
    is_open = _is_open(key)
    label, icon = ("Close folders", ":material/folder_off:") if is_open else ("Browse", ":material/folder_open:")
    if st.button(label, icon=icon, key=f"{key}_browse"):
        st.session_state[f"{key}_open"] = not is_open
        st.session_state.pop(f"{key}_at", None)
        st.rerun()


def folder_browser(look: Callable[[Path | None], Listing], recent: Callable[[], Sequence[Path]], key: str) -> None:
    """Draw the open browser; `chosen_folder` returns its choice in the next run."""
    if not _is_open(key):
        return
    with st.container(border=True, key=f"{key}_folders"):
        place: Path | None = st.session_state.get(f"{key}_at")
        listing = None
        with complaints():
            listing = look(place)
        if listing is None:
            if st.button("Back to the start", icon=":material/home:", key=f"{key}_home"):
                _enter(None, key)
            return
        _draw_place(listing, key)
        with st.container(height=_HEIGHT if len(listing.folders) > 6 else "content", border=False):  # noqa: PLR2004 rows
            for number, folder in enumerate(listing.folders):
                name = folder.path.name if listing.path else str(folder.path)
                label = f"{plain(name)} · {_count(folder)}" if folder.images or folder.more else plain(name)
                if st.button(label, icon=":material/folder:", type="tertiary", key=f"{key}_folder_{number}"):
                    _enter(folder.path, key)
        if not listing.folders:
            st.caption("No folders in here.")
        if listing.cut:
            st.caption("There are more folders than are listed; type the path above.")
        if place is None:
            _draw_recent(recent(), key)


def chosen_folder(key: str) -> str | None:
    """Return the chosen folder once, None without one."""
    chosen: str | None = st.session_state.pop(f"{key}_chosen", None)
    return chosen


def _is_open(key: str) -> bool:
    return bool(st.session_state.get(f"{key}_open"))


def _draw_place(listing: Listing, key: str) -> None:
    st.markdown(f"**{plain(str(listing.path))}**" if listing.path else "**Folders you can import from**")
    if listing.path is None:
        return
    with st.container(horizontal=True):
        if listing.has_up and st.button("Up", icon=":material/arrow_upward:", key=f"{key}_up"):
            _enter(listing.parent, key)
        if st.button("Use this folder", icon=":material/check:", type="primary", key=f"{key}_use"):
            _choose(listing.path, key)


def _draw_recent(recent: Sequence[Path], key: str) -> None:
    if recent:
        st.caption("Recent")
    for number, path in enumerate(recent):
        if st.button(plain(str(path)), icon=":material/history:", type="tertiary", key=f"{key}_recent_{number}"):
            _enter(path, key)


def _count(folder: FolderEntry) -> str:
    if folder.more:
        return f"{folder.images:,}+ images" if folder.images else "many files"
    return f"{folder.images:,} {'image' if folder.images == 1 else 'images'}"


def _enter(path: Path | None, key: str) -> None:
    st.session_state[f"{key}_at"] = path
    st.rerun()


def _choose(path: Path, key: str) -> None:
    st.session_state[f"{key}_chosen"], st.session_state[f"{key}_open"] = str(path), False
    st.rerun()
