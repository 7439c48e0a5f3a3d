"""Running import, and the report of an ended one."""

from collections.abc import Callable, Sequence
from html import escape
from typing import Any, Protocol

import streamlit as st

from app.components.complaints import plain
from app.components.import_preview import bars, bold_count, problem_table
from app.components.links import link_to_merge
from app.services.class_lists import SimilarClasses
from app.services.imports.jobs import ImportInfo, problems_csv
from core.types import JobStatus, Problem, Severity, counted

_CLASSES = 24  # with their share of pixels; the others are counted
_SHOWN = 1_000  # rows of the table; the download has all stored problems
_CHANGES = {
    "added": "new",
    "changed": "changed",
    "moved": "moved",
    "unchanged": "as before",
    "returned": "back again",
    "vanished": "vanished",
}


class LoadProblems(Protocol):
    """Finds at most `limit` problems of one kind (None: any) with a text in their path."""

    def __call__(self, *, kind: str | None = None, text: str = "", limit: int | None = None) -> list[Problem]:
        """Return the matching problems, in the order of the files."""


def draw_running(info: ImportInfo, worker: str, key: str) -> bool:
    """Draw a queued or running import and return whether Cancel was pressed in this run."""
    with st.container(border=True, key=key):
        head, button = st.columns([6, 1], vertical_alignment="center")
        with head:
            st.html(f'<p class="of-facts"><b>Importing {escape(str(info.request["name"]))}</b></p>')
        pressed = button.button("Cancel", icon=":material/stop:", key=f"{key}_cancel", width="stretch")
        st.progress(info.done / info.total if info.total else 0.0, text=headline(info))
        st.caption(worker)
    return pressed


def headline(info: ImportInfo) -> str:
    """Return the current step in one line."""
    if info.status is JobStatus.QUEUED:
        return "waiting for the worker"
    if not info.total:
        return f"{info.message}: {info.done:,} so far"
    return f"{info.message}: {info.done:,} of {info.total:,}"


def draw_report(info: ImportInfo, counts: Sequence[tuple[Severity, str, int]], load: LoadProblems, key: str) -> bool:
    """Draw the report of an ended import and its problems; return whether Close was pressed in this run."""
    with st.container(border=True, key=key):
        head, button = st.columns([8, 1], vertical_alignment="center")
        with head:
            st.html(f'<p class="of-facts">{_result(info)}</p>')
        pressed = button.button("Close", icon=":material/close:", key=f"{key}_close", width="stretch")
        if info.report and info.status is JobStatus.DONE:
            nothing = "no mask" if "masks" in info.report else "no label"
            st.html(bars({name or nothing: count for name, count in info.report["classes"].items()}))
            if set(info.report["classes"]) == {""}:
                _draw_next_step(info)
            if pixels := info.report.get("pixels"):
                st.html(f'<p class="of-facts">{_shares(pixels)}</p>')
        if counts:
            _draw_problems(info, counts, load, key)
        elif info.status is JobStatus.DONE:
            st.caption(":green[:material/check:] No problem was found.")
    return pressed


def _draw_next_step(info: ImportInfo) -> None:
    """Link to where images without any label get their first ones."""
    address = {"dataset": str(info.dataset_id)}
    st.page_link("pages/review.py", label="Label images", icon=":material/label:", query_params=address)


def draw_one_class(dataset_id: int | None, find: Callable[[int], Sequence[SimilarClasses]]) -> None:
    """Draw, for classes whose names are spellings of one, a link to their merge."""
    if dataset_id is None:
        return
    for one in find(dataset_id):
        link_to_merge(dataset_id, (one.class_id, one.other_id), f"{plain(one.why)}: merge them")


def draw_corrected(info: ImportInfo, key: str) -> bool:
    """Draw the counts of masks changed outside of Outfold, and return whether their import was pressed."""
    counts: dict[str, int] = (info.report or {}).get("mended", {})
    if not any(counts.values()):
        return False
    phrases = {"taken": "became edits", "open": "differ from the given ones", "left": "were left: decided here"}
    text = ", ".join(f"{counts[name]:,} {words}" for name, words in phrases.items() if counts.get(name))
    with st.container(border=True, key=key):
        st.caption(f"Masks corrected elsewhere: {text}.")
        if not counts.get("open"):
            return False
        return st.button(
            f"Take {counted(counts['open'], 'mask')} as my edits",
            icon=":material/download_done:",
            key=f"{key}_take",
            help="Imports the source again. Their edits are one act, which can be undone.",
        )


def _result(info: ImportInfo) -> str:
    name = escape(str(info.request["name"]))
    if info.report is None or info.status is not JobStatus.DONE:
        return f"<b>{name} was not imported.</b> {escape(info.message)}"
    return f"<b>{name}</b> · {_summary(info.report)}"


def _summary(report: dict[str, Any]) -> str:
    parts = [bold_count(report["images"], "image")]
    parts += [counted(report["masks"], "mask")] if "masks" in report else []
    parts += [f"{count:,} {_CHANGES[kind]}" for kind, count in report["changes"].items() if count]
    differing = report.get("annotators_differ")
    parts += [f"{differing:,} whose annotators disagree: they will await a second opinion"] if differing else []
    parts += [f"{escape(name) or 'no split'} {count:,}" for name, count in report["splits"].items() if name]
    return " · ".join([*parts, f"read in {report['seconds']:.1f} s"])


def _shares(pixels: dict[str, int]) -> str:
    """Return the share of pixels of each class, the largest first, and of those that are unlabelled."""
    total = max(sum(pixels.values()), 1)
    ordered = sorted(pixels.items(), key=lambda item: (item[0] == "", -item[1]))
    shown = [f"{escape(name) or 'unlabelled'} {count / total:.1%}" for name, count in ordered[:_CLASSES]]
    more = [f"and {len(ordered) - _CLASSES:,} more"] if len(ordered) > _CLASSES else []
    return "Pixels: " + " · ".join([*shown, *more])


def _draw_problems(info: ImportInfo, counts: Sequence[tuple[Severity, str, int]], load: LoadProblems, key: str) -> None:
    totals = {(severity, kind): count for severity, kind, count in counts}
    kinds = [kind for _, kind in totals]
    chosen, text, download = st.columns([6, 3, 2], vertical_alignment="bottom")
    with chosen:
        kind = st.pills(
            "Problems",
            kinds,
            format_func=lambda kind: f"{_mark(totals, kind)} {kind} {_count(totals, kind):,}",
            key=f"{key}_kind",
            wrap=True,
        )
    path = text.text_input("Path contains", key=f"{key}_path")
    problem_table(load(kind=kind, text=path.strip(), limit=_SHOWN), f"{key}_problems")
    download.download_button(
        "All as CSV",
        lambda: problems_csv(load(limit=None)),
        file_name=f"problems-import-{info.id}.csv",
        mime="text/csv",
        icon=":material/download:",
        key=f"{key}_csv",
        on_click="ignore",
        width="stretch",
    )


def _mark(totals: dict[tuple[Severity, str], int], kind: str) -> str:
    return ":material/block:" if (Severity.ERROR, kind) in totals else ":material/warning:"


def _count(totals: dict[tuple[Severity, str], int], kind: str) -> int:
    return sum(count for (_, name), count in totals.items() if name == kind)
