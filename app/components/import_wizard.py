"""Name a source, see what it holds, import it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import IO

import streamlit as st

from app.components.complaints import complaints
from app.components.import_preview import draw_preview
from app.services.imports import ImportRequest, Preview, name_for
from core.data.formats.detect import FORMATS
from core.data.formats.source import SourceFormat

FOLDER, ARCHIVE = "On this machine", "Upload a .zip"
MAX_UPLOAD_MB = 500


def draw_header(key: str, *, is_empty: bool) -> bool:
    """Draw the page's title and the button that opens the form; return whether the form is open.

    Session state holds under `key` whether it is; where there is nothing yet it is open by itself.
    """
    is_open = bool(st.session_state.get(key, is_empty))
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown("### Datasets")
        label, icon = ("Close", ":material/close:") if is_open else ("Import images", ":material/add:")
        if not is_empty and st.button(
            label, icon=icon, type="secondary" if is_open else "primary", key=f"{key}_toggle"
        ):
            st.session_state[key] = not is_open
            st.rerun()
    return is_open or is_empty


def import_wizard(
    look: Callable[[ImportRequest], Preview], store_upload: Callable[[IO[bytes], str], Path], key: str
) -> ImportRequest | None:
    """Draw the form and what the source holds; return the request when Import was pressed in this run."""
    left, right = st.container(border=True, key=key).columns([4, 7], gap="large")
    with left:
        source = _source(store_upload, key)
        request = _request(source, key) if source else None
    if request is None:
        with right:
            _explain()
        return None
    preview = None
    with right, complaints():
        preview = _looked(look, replace(request, name="preview", by=""))
        draw_preview(preview, f"{key}_preview")
    if preview is None:
        return None
    several = "image" if preview.images == 1 else "images"
    label = f"Import {preview.images:,} {several}" if preview.complete else "Import all images"
    pressed = left.button(
        label, type="primary", key=f"{key}_go", disabled=not preview.images, icon=":material/download:"
    )
    return request if pressed else None


@st.cache_data(ttl=60, max_entries=16, show_spinner="Looking at the images")
def _looked(_look: Callable[[ImportRequest], Preview], request: ImportRequest) -> Preview:
    """Look at a source; typing elsewhere in the form does not look again."""
    return _look(request)


def _source(store_upload: Callable[[IO[bytes], str], Path], key: str) -> Path | None:
    """Return the folder or table that was named or uploaded."""
    where = st.segmented_control(
        "Where", [FOLDER, ARCHIVE], default=FOLDER, key=f"{key}_where", label_visibility="collapsed"
    )
    if where != ARCHIVE:
        text = st.text_input("Folder or table", key=f"{key}_source", placeholder="/data/pets or /data/pets/labels.csv")
        return Path(text.strip()) if text.strip() else None
    uploaded = st.file_uploader("Zip file", type="zip", key=f"{key}_zip", max_upload_size=MAX_UPLOAD_MB)
    if uploaded is None:
        return None
    with complaints():
        return store_upload(uploaded, uploaded.name)
    return None


def _request(source: Path, key: str) -> ImportRequest | None:
    """Return what the form says, None while it cannot be imported."""
    name = st.text_input("Name of the dataset", key=f"{key}_name", placeholder=name_for(source))
    chosen = st.selectbox(
        "Read as",
        [None, *SourceFormat],
        format_func=lambda option: "Recognise it" if option is None else FORMATS[option].title,
        key=f"{key}_format",
    )
    columns = {}
    with st.expander("More"):
        for column, help_ in (("path", "path, file_name …"), ("label", "label, class …"), ("split", ""), ("group", "")):
            columns[f"{column}_column"] = st.text_input(
                f"Column of the {column}", key=f"{key}_{column}_column", placeholder=help_ or column
            ).strip()
        outside = st.checkbox("Follow links that leave the folder", key=f"{key}_outside")
    with complaints():
        return ImportRequest(
            name=name.strip() or name_for(source),
            source=str(source),
            format=chosen,
            allow_outside_links=outside,
            **columns,
        )
    return None


def _explain() -> None:
    """Say what can be imported."""
    st.markdown("**What Outfold reads**")
    for reader in map(FORMATS.__getitem__, SourceFormat):
        st.markdown(f"{reader.title}  \n:gray[{reader.example}]")
    st.caption("Images stay where they are; Outfold opens them for reading only and never changes them.")
