"""Running and ended exports: progress, path, download."""

from collections.abc import Container, Mapping, Sequence
from datetime import datetime
from typing import Any

import pandas as pd
import streamlit as st

from app.components.complaints import plain
from app.components.export_form import TITLES
from app.components.export_preview import draw_counts, draw_known
from app.components.job_progress import status_badge
from app.services.exports.jobs import ExportInfo
from app.services.workers import WorkerState
from core.data.export.items import ExportFormat
from core.data.storage import size_text
from core.types import JobStatus


def draw_running(info: ExportInfo, worker: WorkerState, key: str) -> bool:
    """Draw an unfinished export and return whether Cancel was pressed in this run."""
    with st.container(border=True, key=key):
        head, button = st.columns([6, 1], vertical_alignment="center")
        head.markdown(f"**{plain(_title(info))}** {status_badge(info.status)}")
        pressed = button.button("Cancel", icon=":material/stop:", key=f"{key}_cancel", width="stretch")
        of = f" · {info.done:,} of {info.total:,}" if info.total else ""
        st.progress(info.done / info.total if info.total else 0.0, text=plain(f"{info.message}{of}"))
        if worker.is_silent:
            st.warning(f"No worker is running it now: {worker.text}.", icon=":material/hourglass_empty:")
    return pressed


def draw_former(exports: Sequence[ExportInfo], small: Container[int], key: str) -> None:
    """Draw ended exports, newest first, and the selected one in full; those with an id in `small` can be downloaded."""
    st.markdown("**Earlier exports**")
    columns = {
        "Started": st.column_config.DatetimeColumn(format="D MMM, HH:mm", timezone=st.context.timezone),
        "Download": st.column_config.LinkColumn(display_text="zip"),
        "Images": st.column_config.NumberColumn(format="localized"),
        "Changed": st.column_config.NumberColumn(format="localized"),
    }
    event = st.dataframe(
        pd.DataFrame([_row(info, can_download=info.id in small) for info in exports]),
        column_config=columns, hide_index=True, key=key, on_select="rerun", selection_mode="single-row",
        alt="earlier exports of this dataset", placeholder="",
    )  # fmt: skip
    rows = event["selection"]["rows"]
    if rows and rows[0] < len(exports):
        shown = exports[rows[0]]
        draw_result(shown, f"{key}_result", can_download=shown.id in small, with_counts=True)


def draw_result(info: ExportInfo, key: str, *, can_download: bool, with_counts: bool = False) -> None:
    """Draw one ended export: path, download, counts."""
    with st.container(border=True, key=key):
        head, button = st.columns([5, 1.4], vertical_alignment="center")
        head.markdown(f"**{plain(_title(info))}** {status_badge(info.status)}")
        if info.manifest is None:
            (st.error if info.status is JobStatus.FAILED else st.caption)(plain(info.message))
            return
        if can_download:
            button.link_button("Download", _address(info), icon=":material/download:", type="primary", width="stretch")
        st.code(info.path, language=None)
        files = info.manifest["files"]
        placed = ", ".join(f"{count:,} by {how}" for how, count in files["placed"].items())
        st.caption(
            "Read back and compared with the decisions: equal. "
            + (f"Images: {placed}. " if placed else "")
            + "Its manifest.json lists the origin of every label."
        )
        if with_counts:
            draw_counts(info.manifest["counts"], files["bytes"])
            if "known" in info.manifest:  # manifests of older releases have none
                draw_known(info.manifest["known"])


def _address(info: ExportInfo) -> str:
    return f"/outfold/exports/{info.id}.zip"


def _title(info: ExportInfo) -> str:
    return f"{info.dataset}: {TITLES[ExportFormat(info.request['format'])]}"


def _size(files: Mapping[str, Any]) -> str | None:
    """Return the size of images and tables; None if only tables of unknown size were written."""
    size = files["bytes"] + files.get("table_bytes", 0)
    return size_text(size) if size else None


def _row(info: ExportInfo, *, can_download: bool) -> dict[str, str | int | datetime | None]:
    counts = info.manifest["counts"] if info.manifest else None
    return {
        "Started": info.created_at,
        "Format": info.request["format"],
        "Status": info.status.value,
        "Images": counts["items"] if counts else None,
        "Changed": counts["changed"] if counts else None,
        "Size": _size(info.manifest["files"]) if info.manifest else None,
        "By": info.created_by,
        "Where": info.path if info.manifest else info.message,
        "Download": _address(info) if can_download else None,
    }
