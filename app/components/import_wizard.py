"""Form of an import: source, preview, request."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, Any

import streamlit as st

from app.components.complaints import complaints
from app.components.folder_browser import browse_button, chosen_folder, folder_browser
from app.components.import_preview import STYLE, draw_preview
from app.components.import_questions import answers_of, draw_questions
from app.services.imports.jobs import ImportPreview, ImportRequest, propose_name
from app.services.imports.sources import Listing
from core.data.formats.detect import FORMATS
from core.data.formats.source import SourceFormat
from core.data.masks.camvid_maps import EXACT, MERGED
from core.types import WIDE_IGNORE

FOLDER, ARCHIVE = "On this machine", "Upload a .zip"
PIXEL_MASKS = frozenset(
    {SourceFormat.CAMVID, SourceFormat.MASK_PAIRS, SourceFormat.VOC}
)  # image files, see ReadOptions
_MAPS = {
    "": "as the files say",
    EXACT: "CamVid: exactly 11 classes",
    MERGED: "CamVid: 32 classes merged to 11",
    "file": "a file of mine",
}
MAX_UPLOAD_MB = 500


def draw_header(key: str, *, is_empty: bool) -> bool:
    """Draw the page's title and the button that opens the form; return whether the form is open.

    Session state keeps it under `key`; without datasets the form is open by default.
    """
    st.html(STYLE)
    is_open = bool(st.session_state.get(key, is_empty))
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.title("Datasets", anchor=False)
        label, icon = ("Close", ":material/close:") if is_open else ("Import images", ":material/add:")
        if not is_empty and st.button(
            label, icon=icon, type="secondary" if is_open else "primary", key=f"{key}_toggle"
        ):
            st.session_state[key] = not is_open
            st.rerun()
    return is_open or is_empty


def import_wizard(
    look: Callable[[ImportRequest], ImportPreview],
    recognise: Callable[[Path], SourceFormat | None],
    store_upload: Callable[[IO[bytes], str], Path],
    browse: tuple[Callable[[Path | None], Listing], Callable[[], Sequence[Path]]],
    *,
    known: Sequence[str],
    key: str,
) -> ImportRequest | None:
    """Draw the form and the preview; return the request when Import was pressed in this run.

    `browse` lists a folder and the recent ones; `known` are the datasets that images without labels can be added to.
    """
    left, right = st.container(border=True, key=key).columns([4, 7], gap="large")
    with left:
        source = _source(store_upload, browse, key)
        request = None
        if source is not None and _ask_to_join(known, key):
            request = _join_request(source, known, key)
        elif source is not None:
            request = _request(source, partial(_cached_format, recognise), key)
    if request is None:
        with right:
            _explain()
        return None
    request = replace(request, **answers_of(request.source, key))
    is_known = request.name in known  # whose former answers are used
    if is_known and not request.unlabelled:
        with left:
            help_ = "Answers given to earlier imports of this dataset apply to this one too, unless you forget them"
            request = replace(
                request, forget_answers=st.checkbox("Forget earlier answers", key=f"{key}_forget", help=help_)
            )
    preview = None
    with right, complaints():
        preview = _cached_preview(look, replace(request, name=request.name if is_known else "preview", by=""))
        if preview.remembered:
            answers = ", ".join(f"{option.replace('_', ' ')}: {value}" for option, value in preview.remembered.items())
            st.text(f"As in earlier imports: {answers}")
        draw_questions(preview.meaning.questions, request.source, key)
        draw_preview(preview, f"{key}_preview", request.name if request.unlabelled else "")
    if preview is None:
        return None
    several = "image" if preview.images == 1 else "images"
    label = f"Import {preview.images:,} {several}" if preview.complete else "Import all images"
    pressed = left.button(
        label,
        type="primary",
        key=f"{key}_go",
        disabled=not preview.images or bool(preview.meaning.blocking),
        icon=":material/download:",
    )
    return request if pressed else None


@st.cache_data(ttl=60, max_entries=16, show_spinner="Looking at the images")
def _cached_preview(_look: Callable[[ImportRequest], ImportPreview], request: ImportRequest) -> ImportPreview:
    """Return the preview of a source, cached while other fields of the form change."""
    return _look(request)


@st.cache_data(ttl=60, max_entries=16, show_spinner=False)
def _cached_format(_recognise: Callable[[Path], SourceFormat | None], source: Path) -> SourceFormat | None:
    """Return the recognised format of a source, cached."""
    return _recognise(source)


def _source(
    store_upload: Callable[[IO[bytes], str], Path],
    browse: tuple[Callable[[Path | None], Listing], Callable[[], Sequence[Path]]],
    key: str,
) -> Path | None:
    """Return the folder or table that was named or uploaded."""
    where = st.segmented_control(
        "Where", [FOLDER, ARCHIVE], default=FOLDER, key=f"{key}_where", label_visibility="collapsed"
    )
    if where != ARCHIVE:
        if (chosen := chosen_folder(key)) is not None:
            st.session_state[f"{key}_source"] = chosen
        text = st.text_input(
            "Folder or table", key=f"{key}_source", placeholder="/data/pets, /data/pets/labels.csv or s3://bucket/pets"
        )
        browse_button(key)
        folder_browser(*browse, key)
        return Path(text.strip()) if text.strip() else None
    uploaded = st.file_uploader("Zip file", type="zip", key=f"{key}_zip", max_upload_size=MAX_UPLOAD_MB)
    if uploaded is None:
        return None
    with complaints():
        return store_upload(uploaded, uploaded.name)
    return None


def _ask_to_join(known: Sequence[str], key: str) -> bool:
    """Ask whether the images are to be added to an existing dataset."""
    return bool(known) and st.toggle("These images are unlabelled: add them to a dataset", key=f"{key}_unlabelled")


def _join_request(source: Path, known: Sequence[str], key: str) -> ImportRequest | None:
    """Return the request to add images to a dataset; None until one is chosen, as there is no safe default."""
    name = st.selectbox("Dataset", known, index=None, placeholder="Choose a dataset", key=f"{key}_into")
    st.caption("They become its split *unlabelled*. A round predicts them; later ones train on accepted labels.")
    if name is None:
        return None
    return ImportRequest(name=name, source=str(source), format=SourceFormat.UNLABELLED, unlabelled=True)


def _request(source: Path, recognise: Callable[[Path], SourceFormat | None], key: str) -> ImportRequest | None:
    """Return the request, None while it is incomplete."""
    name = st.text_input("Name of the dataset", key=f"{key}_name", placeholder=propose_name(source))
    chosen = st.selectbox(
        "Read as",
        [None, *SourceFormat],
        format_func=lambda option: "Recognise it" if option is None else FORMATS[option].title,
        key=f"{key}_format",
    )
    columns: dict[str, Any] = {}
    masks = _mask_options(key) if (chosen or recognise(source)) in PIXEL_MASKS else {}
    with st.expander("More"):
        for column, help_ in (("path", "path, file_name …"), ("label", "label, class …"), ("split", ""), ("group", "")):
            columns[f"{column}_column"] = st.text_input(
                f"Column of the {column}", key=f"{key}_{column}_column", placeholder=help_ or column
            ).strip()
        columns["image_root"] = st.text_input(
            "Folder of the images", key=f"{key}_image_root", placeholder="if the table has paths of another machine"
        ).strip()
        columns["class_level"] = st.number_input(
            "Level of the class folders",
            0,
            9,
            key=f"{key}_level",
            help="1 for the folders at the top, 2 for those in them; 0: the top, or you are asked",
        )
        columns["literal_labels"] = st.checkbox("NA, None and nan are names of classes", key=f"{key}_literal")
        merges = st.text_input("Classes that are one", key=f"{key}_merges", placeholder="Cat=cat, CAT=cat")
        columns["merged_classes"] = tuple(merge.strip() for merge in merges.split(",") if merge.strip())
        columns["window"] = st.text_input(
            "Range of the greys",
            key=f"{key}_window",
            placeholder="0-4095, or full",
            help="Values of 10 to 16 bits that become black and white; empty: found in the images",
        ).strip()
        outside = st.checkbox("Follow links that leave the folder", key=f"{key}_outside")
    with complaints():
        return ImportRequest(
            name=name.strip() or propose_name(source),
            source=str(source),
            format=chosen,
            allow_outside_links=outside,
            **masks,
            **columns,
        )
    return None


def _mask_options(key: str) -> dict[str, Any]:
    """Ask for the meaning of the values in masks."""
    colour_map = st.selectbox(
        "Colours of the masks",
        list(_MAPS),
        format_func=_MAPS.__getitem__,
        key=f"{key}_colour_map",
        help="Needed if masks are stored as colours without a label_colors.txt or classes.csv beside them",
    )
    if colour_map == "file":
        colour_map = st.text_input(
            "File of the colours", key=f"{key}_colour_file", placeholder="/data/label_colors.txt: 128 0 0 Building"
        ).strip()
    names = st.text_input(
        "Names of the classes", key=f"{key}_class_names", placeholder="as in classes.txt; or background, cell"
    ).strip()
    ignored = st.text_input("Pixel value that means unlabelled", key=f"{key}_ignore_id", placeholder="255").strip()
    if ignored and not (ignored.isascii() and ignored.isdigit() and int(ignored) <= WIDE_IGNORE):
        st.error(f"{ignored} is not a pixel value; write a number from 0 to {WIDE_IGNORE}", icon=":material/error:")
        ignored = ""
    return {"colour_map": colour_map, "class_names": names, "ignore_id": int(ignored) if ignored else None}


def _explain() -> None:
    """Draw the list of formats."""
    st.markdown("**What Outfold reads**")
    for reader in map(FORMATS.__getitem__, SourceFormat):
        st.markdown(f"{reader.title}  \n:gray[{reader.example}]")
    st.caption("Images stay where they are; Outfold opens them for reading only and never changes them.")
