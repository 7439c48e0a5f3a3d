"""Progress of a running round: stage, folds, worker."""

from collections.abc import Callable, Mapping, Sequence
from html import escape

import streamlit as st

from app.components.charts import stage_chart
from app.components.complaints import complaints, plain
from app.services.rounds.jobs import WAITING, FoldRun, RoundProgress, ShardRun
from app.services.workers import WorkerState
from core.types import JobStatus, Recipe, Task

ACCURACY: Mapping[Task, str] = {Task.CLASSIFICATION: "accuracy", Task.SEGMENTATION: "pixel accuracy"}
_MEASURES: Mapping[Task, str] = {Task.CLASSIFICATION: "accuracy", Task.SEGMENTATION: "mIoU"}  # of a recipe's networks
_MINUTE, _HOUR = 60, 3600
_ICONS = {
    JobStatus.QUEUED: ":material/schedule:",
    JobStatus.RUNNING: ":material/play_circle:",
    JobStatus.DONE: ":material/check_circle:",
    JobStatus.FAILED: ":material/error:",
    JobStatus.CANCELLED: ":material/cancel:",
}
_COLOURS = {
    JobStatus.QUEUED: "gray",
    JobStatus.RUNNING: "blue",
    JobStatus.DONE: "green",
    JobStatus.FAILED: "red",
    JobStatus.CANCELLED: "gray",
}


@st.fragment(run_every=1.0)
@complaints()
def live_round(status: JobStatus, look: Callable[[], RoundProgress], cancel: Callable[[], object], key: str) -> None:
    """Show an unfinished round, once a second; draw the page again once its status is no longer `status`."""
    progress = look()
    if progress.round.status is not status:
        st.rerun()
    if draw_round(progress, key):
        cancel()
        st.rerun()


@st.fragment(run_every=5.0)
@complaints()
def live_worker(look: Callable[[], WorkerState]) -> None:
    """Draw the state of the worker, refreshed in the background."""
    worker = look()
    icon = ":green[:material/circle:]" if worker.is_alive else ":orange[:material/circle:]"
    device = f" · {worker.alive[0].device}" if worker.alive else ""
    st.caption(f"{icon} {worker.text}{device}")


def draw_round(progress: RoundProgress, key: str) -> bool:
    """Draw an unfinished round and return True if it was cancelled in this run, after one confirmation."""
    asking = f"{key}_asking_{progress.round.id}"
    with st.container(border=True, key=key):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            shown = progress.round
            badge = status_badge(JobStatus.RUNNING if progress.is_at_work else JobStatus.QUEUED)
            st.markdown(f"**{shown.name}** of {plain(shown.dataset)} {badge}")
            if not st.session_state.get(asking):
                st.button(
                    "Cancel",
                    icon=":material/stop:",
                    key=f"{key}_cancel",
                    on_click=_note,
                    args=(asking,),
                    kwargs={"on": True},
                )
        pressed = bool(st.session_state.get(asking)) and _ask_whether_to_cancel(progress, asking, key)
        st.progress(min(1.0, progress.fraction), text=headline(progress))
        fold = progress.current
        if progress.is_at_work and progress.current_shards:
            _draw_embedding(progress)
        elif fold is not None and progress.is_at_work:
            _draw_numbers(fold, progress)
        st.html(fold_strip(progress.folds, shown.recipe, progress.shards))
        if progress.scores:
            top = progress.ceiling
            stage_chart(
                [(one.name, one.value) for one in progress.scores],
                f"{key}_stages",
                _MEASURES[shown.task],
                None if top is None else (top.value, f"all labels ({top.source}, out of fold)"),
            )
        if progress.worker.is_silent:
            st.warning(f"No worker is running it now: {progress.worker.text}.", icon=":material/hourglass_empty:")
    return pressed


def _ask_whether_to_cancel(progress: RoundProgress, asking: str, key: str) -> bool:
    """Draw the one question before a round is cancelled and return whether the answer was yes."""
    with st.container(border=True, key=f"{key}_question"):
        st.markdown(f"**Cancel {progress.round.name}?** {cancelled_notice(progress)}")
        with st.container(horizontal=True):
            pressed = st.button("Cancel the round", type="primary", key=f"{key}_cancel_yes")
            st.button("Keep it running", key=f"{key}_cancel_no", on_click=_note, args=(asking,), kwargs={"on": False})
    if pressed:
        st.session_state[asking] = False
    return pressed


def cancelled_notice(progress: RoundProgress) -> str:
    """Return the notice of a cancelled round: its finished parts stay, and it can be resumed."""
    if progress.shards and progress.shards_done < len(progress.shards):
        kept = "is done and stays" if progress.shards_done == 1 else "are done and stay"
        return f"{progress.shards_done:,} of {len(progress.shards):,} shards {kept}; you can resume it."
    if len(progress.folds) == 1:
        return "What it finished so far stays, and you can resume it."
    done = sum(fold.status is JobStatus.DONE for fold in progress.folds)
    stay = {0: "No fold is done yet", 1: f"1 of {len(progress.folds)} folds is done and stays"}
    return f"{stay.get(done, f'{done} of {len(progress.folds)} folds are done and stay')}; you can resume it."


def _note(name: str, *, on: bool) -> None:
    st.session_state[name] = on


def headline(progress: RoundProgress) -> str:
    """Return the current step in one line."""
    fold, shards = progress.current, progress.current_shards
    if (fold is not None or shards) and not progress.is_at_work:
        return f"{WAITING}, which resumes where it stopped"
    if shards:
        return f"embedding, {progress.shards_done:,} of {len(progress.shards):,} shards done, {len(shards)} running"
    if fold is not None:
        epoch = f" · epoch {fold.epoch} of {fold.epochs}" if fold.epochs else ""
        note = f" · {fold.message}" if fold.message else ""
        if len(progress.folds) == 1:  # a recipe of one piece reports its own stage
            return f"{fold.message}: {fold.stage}{epoch}" if fold.message else f"{fold.stage}{epoch}"
        return f"{fold.stage}, fold {fold.fold + 1} of {len(progress.folds)}{epoch}{note}"
    if progress.ahead and progress.round.status is JobStatus.QUEUED:
        return f"{progress.round.stage}; {progress.ahead} other {'round' if progress.ahead == 1 else 'rounds'} first"
    return progress.round.stage


def status_badge(status: JobStatus) -> str:
    """Return a status as Markdown: a colour, an icon and the word."""
    return f":{_COLOURS[status]}-badge[{_ICONS[status]} {status_word(status)}]"


def status_word(status: JobStatus) -> str:
    """Return the word for a status; queued rounds are "waiting"."""
    return "waiting" if status is JobStatus.QUEUED else status.value


def time_text(seconds: float | None) -> str:
    """Return a readable duration: 48 s, 3 min 20 s, 2 h 5 min."""
    if seconds is None:
        return "…"
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < _HOUR:
        return f"{int(seconds // _MINUTE)} min {int(seconds % _MINUTE)} s"
    return f"{int(seconds // _HOUR)} h {int(seconds % _HOUR // _MINUTE)} min"


def fold_strip(folds: Sequence[FoldRun], recipe: Recipe, shards: Sequence[ShardRun] = ()) -> str:
    """Return a bar for all shards, if any, and one per fold, as HTML with texts for screen readers."""
    cells = []
    if shards:
        done = sum(shard.status is JobStatus.DONE for shard in shards)
        share = sum(shard.fraction for shard in shards) / len(shards)
        title = f"{done:,} of {len(shards):,} shards done"
        cells.append(_bar("embedding", title, share, is_done=done == len(shards)))
    for fold in folds:
        accuracy = "" if fold.accuracy is None else f" {fold.accuracy:.1%}"
        text = (recipe.piece or f"fold {fold.fold + 1}") + accuracy
        title = f"{text}, {status_word(fold.status)}" + (f", taken up {fold.attempt} times" if fold.attempt > 1 else "")
        cells.append(_bar(text, title, fold.fraction, is_done=fold.status is JobStatus.DONE))
    return f'<div style="display:flex;gap:8px;flex-wrap:wrap" role="list">{"".join(cells)}</div>'


def _bar(text: str, title: str, share: float, *, is_done: bool) -> str:
    width, colour = (100, "#2b8a4b") if is_done else (round(100 * share), "#1f6feb")
    return (
        f'<div title="{title}" style="flex:1;min-width:4rem"><div style="height:6px;border-radius:3px;overflow:'
        f'hidden;background:rgba(128,138,156,.25)"><div style="height:100%;width:{width}%;'
        f'background:{colour}"></div></div><small style="opacity:.7">{text}</small></div>'
    )


def draw_figures(figures: Mapping[str, str]) -> None:
    """Draw a row of figures, each with its name below."""
    cells = "".join(
        f'<div><div style="font-size:1.5rem;font-weight:600;line-height:1.2">{escape(value)}</div>'
        f'<div style="font-size:.85rem;opacity:.65">{escape(name)}</div></div>'
        for name, value in figures.items()
    )
    st.html(f'<div style="display:flex;flex-wrap:wrap;gap:.6rem 2.4rem;margin:.2rem 0 .4rem">{cells}</div>')


def _draw_embedding(progress: RoundProgress) -> None:
    speeds = [shard.images_per_second for shard in progress.current_shards if shard.images_per_second is not None]
    speed = f"{sum(speeds):,.0f}" if speeds else "…"
    draw_figures({"images per second": speed, "time left of the embedding": time_text(progress.seconds_left)})


def _draw_numbers(fold: FoldRun, progress: RoundProgress) -> None:
    figures = {
        "loss": "…" if fold.loss is None else f"{fold.loss:.3f}",
        f"held-out {ACCURACY[progress.round.task]}": "…" if fold.accuracy is None else f"{fold.accuracy:.1%}",
    }
    if progress.mean_iou is not None:
        figures["mIoU of the folds done"] = f"{progress.mean_iou:.1%}"
    figures["images per second"] = "…" if fold.images_per_second is None else f"{fold.images_per_second:,.0f}"
    draw_figures({**figures, "time left": time_text(progress.seconds_left)})
