"""Rounds as commands show them: progress until the end, the result, and `rounds`, the list of a dataset's rounds."""

import time
from typing import TYPE_CHECKING, Any

import typer

from app.commands.console import (
    INTERRUPTED,
    DatasetName,
    JsonFlag,
    can_ask,
    echo,
    echo_hints,
    echo_json,
    echo_table,
    fail,
    inform,
    progress_bar,
    shell_quote,
)
from core.types import JobStatus, counted

if TYPE_CHECKING:
    from app.services.app_context import AppContext
    from app.services.datasets import DatasetInfo
    from app.services.rounds.history import Past
    from app.services.rounds.jobs import RoundComparison, RoundInfo, RoundProgress

POLL_SECONDS = 0.5
_SHOWN = 10  # class pairs
_NUMBERS = {  # displayed names of numbers that are stored under other names
    "miou": "mIoU",
    "accuracy": "out-of-fold accuracy",
    "regions": "regions found",
    "wobble_regions": "boundary differences",
    "tiny_regions": "regions too small to show",
}
_DECIDED = ("accept", "bulk", "relabel", "keep", "ambiguous", "exclude")


def watch_round(opened: "AppContext", started: "RoundInfo", *, quiet: bool) -> "RoundInfo":
    """Show the progress of a round until it ends; start a worker if none is alive."""
    from app.services.rounds import jobs as rounds
    from app.worker.embedded import EmbeddedWorker

    worker = EmbeddedWorker(opened)  # starts one only if none is alive
    worker.start()
    try:
        with progress_bar(started.name, quiet=quiet) as step:
            while True:
                seen = rounds.progress(opened, started.id)
                if seen.round.status.ended:
                    return seen.round
                step(seen.fraction, 1.0, _words(seen))
                time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        _leave_round(opened, started, goes_on=worker.pid is None)
        raise typer.Exit(INTERRUPTED) from None
    finally:
        worker.stop()


def show_round(opened: "AppContext", chosen: "RoundInfo", *, as_json: bool) -> None:
    """Print the status of a round."""
    from app.services.rounds import jobs as rounds

    info = rounds.get_round(opened, chosen.id)
    if as_json:
        echo_json(info)
    else:
        echo(f"{info.name} of {info.dataset}: {info.status}")


def finish_round(opened: "AppContext", ended: "RoundInfo", *, as_json: bool) -> None:
    """Print the result of an ended round, or fail with the reason."""
    from app.services import reviews
    from app.services.label_kinds import label_kind
    from app.services.rounds import jobs as rounds

    if ended.status is not JobStatus.DONE:
        fail(ended.message or f"{ended.name} of {ended.dataset} was {ended.status}")
    if not ended.recipe.finds:
        echo_impact(opened, ended, as_json=as_json)
        return
    compared, hints = rounds.compare(opened, [ended.id])[0], reviews.hints(opened, ended.id)
    if as_json:
        echo_json(
            {
                "round": ended,
                "suspicious": compared.suspicious,
                "proposed": compared.proposed,
                "seconds": compared.seconds,
                "metrics": compared.numbers,
                **({"networks": compared.metrics["networks"]} if "networks" in compared.metrics else {}),
                "wrong_labels": compared.wrong.as_json() if compared.wrong else None,
                "hints": hints,
            }
        )
        return
    if not ended.recipe.suggests:
        echo(f"{ended.name} of {ended.dataset}: {counted(compared.proposed, 'image')} to label")
        inform("label them in the browser: python -m app serve")
        return
    proposed = f"{compared.proposed:,} proposed for unlabelled data"
    suspicious = f"{compared.suspicious:,} suspicious {label_kind(ended.task).reviewed}"
    found, show = suspicious + f", {proposed}," * bool(compared.proposed), ""
    if ended.recipe.proposes:
        found, show = proposed, " --show unlabelled"
    echo(f"{ended.name} of {ended.dataset}: {found} in {compared.seconds or 0:.0f} s")
    for name, value in compared.numbers.items():
        number = f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
        echo(f"  {_NUMBERS.get(name, name.replace('_', ' '))}: {number}")
    for network in compared.metrics.get("networks", ()):
        weight = f"weight {network['weight']:.2f}, " if "weight" in network else ""
        agreement, likelihood = network["agreement"], network["log_likelihood"]
        echo(f"  {network['model']}: {weight}agreement {agreement:.4g}, log likelihood {likelihood:.4g}")
    if compared.wrong:
        echo(compared.wrong.text)
    echo_hints(hints)
    inform(f"next: python -m app findings {shell_quote(ended.dataset)}{show}, or in the browser: python -m app serve")


def echo_impact(opened: "AppContext", ended: "RoundInfo", *, as_json: bool) -> None:
    """Print the result of a finished comparison."""
    from app.services.evaluation import impact as comparing

    impact = comparing.measured_comparison(opened, ended).impact
    if impact is None:
        fail(f"{ended.name} of {ended.dataset} kept no result", "start it again")
    if as_json:
        echo_json({"round": ended, "worth": impact})
        return
    echo(f"{ended.name} of {ended.dataset}. {impact['sentence']}")
    for line in comparing.remarks(impact):
        echo(line)
    words = comparing.class_words(impact)
    echo_table(["class", "images", "original", "cleaned", "difference", words.interval, words.p], _impact_rows(impact))
    inform(words.note)


def rounds_(*, dataset: DatasetName, as_json: JsonFlag = False) -> None:
    """List a dataset's rounds, newest first: recipe, results, and changes of labels and settings.

    "changed" counts labels (of masks: images) that differ from those of the previous round, "from given" those that
    differ from the given labels. Rounds of older releases say "unknown". "wrong labels" are unknown until a random
    sample of the round's findings is judged (`audit`). Bulk acts follow, each with its certificate or its evidence,
    then acts on classes, removals of images, and undone imports.

    Examples:
      python -m app rounds pets
      python -m app rounds pets --json
    """
    from app.commands.lookup import app_context, get_dataset
    from app.services import deletions, reviews
    from app.services.rounds import jobs as rounds
    from app.services.rounds.history import history

    opened = app_context()
    info = get_dataset(opened, dataset)
    past = history(opened, rounds.list_rounds(opened, info.id))
    if as_json:
        echo_json([_past_values(one, info) for one in past])
        return
    columns = (
        "round", "recipe", "status", "result", "suspicious", "decided", "wrong labels", "changed", "from given",
        "settings",
    )  # fmt: skip
    echo_table(
        columns, [_past_row(one) for one in past], numbers=("result", "suspicious", "decided", "changed", "from given")
    )
    newest = next((one for one in past if one.before is not None), None)
    if newest is not None and newest.before is not None and newest.before["pairs"]:
        unit = "labels" if newest.before["pixels"] is None else "pixels"
        echo(f"\n{newest.round.name} opened with these changes since round {newest.before['round']}:")
        echo_table(["from", "to", unit], _with_class_names(newest.before["pairs"][:_SHOWN], info), numbers=[unit])
        if newest.verdicts:
            decided = [f"{newest.verdicts[name]:,} {name}" for name in _DECIDED if name in newest.verdicts]
            echo(f"decided in between: {', '.join(decided)}")
    for act in (act for one in reversed(past) for act in one.bulk_acts):
        echo(f"accepted in bulk in round {act.round}: {act.size:,} ({act.set}; {act.annotator}). {act.text}")
    for change in reviews.class_history(opened, info.id):
        echo(f"{change.annotator} {change.text} ({change.decided_at:%Y-%m-%d})")
    for gone, restored in deletions.list_removals(opened, info.id):
        back = f", restored {restored:%Y-%m-%d %H:%M}" if restored else ""
        held = deletions.contents_text(gone.held)
        echo(f"{gone.deleted_at:%Y-%m-%d %H:%M} by {gone.deleted_by}: {gone.name} ({held}){back}")
    if not past:
        inform(f"no round yet; start one: python -m app round {shell_quote(info.name)}")


def _leave_round(opened: "AppContext", started: "RoundInfo", *, goes_on: bool) -> None:
    from app.services.rounds import jobs as rounds

    if can_ask() and typer.confirm(f"\nCancel {started.name} of {started.dataset}?", default=False, err=True):
        rounds.cancel_round(opened, started.id)
        inform("cancelled")
        return
    name = shell_quote(started.dataset)
    how = "it continues in its worker" if goes_on else "it resumes as soon as a worker runs"
    inform(f"left {started.name} of {started.dataset} as it is: {how}")
    inform(f"watch it: python -m app round {name} --watch; cancel it: python -m app round {name} --cancel")


def _words(seen: "RoundProgress") -> str:
    fold, shards = seen.current, seen.current_shards
    if shards:
        left = [] if seen.seconds_left is None else [f"{seen.seconds_left:.0f} s left of the embedding"]
        return " · ".join([f"embedding, {seen.shards_done:,} of {len(seen.shards):,} shards done", *left])
    if fold is None:
        return seen.round.stage
    alone = [fold.message] if fold.message else []  # a recipe of one piece reports its own stage
    parts = alone if len(seen.folds) == 1 else [f"fold {fold.fold + 1}/{len(seen.folds)}"]
    parts = [*parts, f"{fold.stage} {fold.epoch}/{fold.epochs}"]
    parts += [] if fold.loss is None else [f"loss {fold.loss:.3f}"]
    parts += [] if fold.accuracy is None else [f"accuracy {fold.accuracy:.3f}"]
    parts += [] if fold.images_per_second is None else [f"{fold.images_per_second:,.0f} images/s"]
    parts += [] if seen.seconds_left is None else [f"{seen.seconds_left:.0f} s left"]
    return " · ".join(parts)


def _impact_rows(impact: dict[str, Any]) -> list[list[object]]:
    return [
        [
            one["name"],
            one["count"],
            f"{one['original']:.1%}",
            f"{one['cleaned']:.1%}",
            f"{100 * one['difference']:+.1f}",
            "too few images" if one["interval"] is None else _interval(one["interval"]),
            f"{one['p_adjusted']:.2g}",
        ]
        for one in impact["per_class"]
    ]


def _interval(interval: dict[str, float]) -> str:
    return f"{100 * interval['low']:+.1f} to {100 * interval['high']:+.1f}"


def _past_row(one: "Past") -> tuple[object, ...]:
    compared, info = one.compared, one.round
    result = info.accuracy if info.mean_iou is None else info.mean_iou
    return (
        info.number,
        info.recipe.value,
        info.status.value,
        "" if result is None else f"{result:.1%}",
        *_finding_counts(compared),
        compared.wrong.short if compared and compared.wrong else "",
        "" if compared is None else _change_count(one.before, first=one.is_first),
        "" if compared is None else _change_count(one.given),
        one.changed_settings,
    )


def _finding_counts(compared: "RoundComparison | None") -> tuple[str, str]:
    """Return the counts of findings and of decided ones; "proposed" is added where a round only proposes."""
    if compared is None:
        return "", ""
    found, decided = compared.looked_for
    return f"{found:,}" + " proposed" * compared.round.recipe.proposes, f"{decided:,}"


def _change_count(found: Any, *, first: bool = False) -> str:  # noqa: ANN401 JSON
    if found is None:
        return "" if first else "unknown"
    return f"{found['changed']:,}"


def _past_values(one: "Past", info: "DatasetInfo") -> dict[str, Any]:
    compared = one.compared
    return {
        "round": one.round,
        "suspicious": None if compared is None else compared.suspicious,
        "decided": None if compared is None else compared.decided,
        "proposed": None if compared is None else compared.proposed,
        "proposed_decided": None if compared is None else compared.proposed_decided,
        "metrics": {} if compared is None else compared.numbers,
        "wrong_labels": compared.wrong.as_json() if compared and compared.wrong else None,
        "bulk_acts": [act.as_json() for act in one.bulk_acts],
        "settings": {name: list(pair) for name, pair in one.settings.items()},
        "since_given": _changes_values(one.given, info),
        "since_round_before": _changes_values(one.before, info),
        "verdicts": one.verdicts,
    }


def _changes_values(found: Any, info: "DatasetInfo") -> dict[str, Any] | None:  # noqa: ANN401 JSON
    if found is None:
        return None
    pairs = [
        {"from": first, "to": second, "count": count}
        for first, second, count in _with_class_names(found["pairs"], info)
    ]
    return {**found, "pairs": pairs}


def _with_class_names(pairs: list[list[int]], info: "DatasetInfo") -> list[tuple[str | None, str | None, int]]:
    names = [*info.classes, None]  # class -1: unlabelled
    return [(names[first], names[second], count) for first, second, count in pairs]
